"""The value of imagenet2012_resized."""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.datasets.description import Config, Dataset
from imagenet_builders.datasets.ilsvrc2012 import packagings, signs, splits, staged, subsets
from imagenet_builders.datasets.imagenet2012_resized import layouts
from imagenet_builders.locate.found import Survey

if TYPE_CHECKING:
    from imagenet_builders.options import BuildOptions
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe

WRITTEN_BYTES = {256: 61_000, 320: 80_000, 384: 106_000, 512: 112_000}
"""Short side in pixels, of each configuration, to the mean bytes of an image, estimated.

An image of ILSVRC2012 has 115 kB. Photographs of about 500x400 pixels keep 53, 69 and 92 % of their
bytes at 256, 320 and 384, by `benchmarks/resize.py`; few images have a short side above 512.
"""

DEFAULT_QUALITY = 95
DEFAULT_SUBSAMPLING = "4:2:0"


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet2012_resized import imagenet2012_resized_dataset_builder

    return imagenet2012_resized_dataset_builder.Builder


def _find(manual_dir: Path, config: str | None) -> Survey:
    del config
    return staged.find(DATASET.name, manual_dir, (layouts.BUILT,))


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.imagenet2012_resized import examples
    from imagenet_builders.plan.recipe import SplitRecipe

    how = how_to_resize(config, context.options)
    return [
        SplitRecipe(
            split,
            index,
            functools.partial(examples.make_examples, how=how),
            functools.partial(examples.example_sizes, how=how),
            layout=layout,
            made_with=how.described(),
        )
        for split, index, layout in staged.indexed(DATASET, manual_dir, config, context, only)
    ]


def how_to_resize(config: str | None, options: BuildOptions) -> Any:
    """How a build resizes images: an `examples.Resizing`.

    Args:
        config: Name of the configuration; None for the first one.
        options: How to build.
    """
    from imagenet_builders.datasets.imagenet2012_resized import examples
    from imagenet_builders.images import resizing

    return examples.Resizing(
        short_side=int(config or DATASET.configs[0].name or 0),
        quality=options.jpeg_quality or DEFAULT_QUALITY,
        subsampling=options.jpeg_subsampling or DEFAULT_SUBSAMPLING,
        library=resizing.library(),
    )


def _config(short_side: int) -> Config:
    return Config(
        str(short_side),
        (splits.TRAIN, splits.VALIDATION, splits.TEST),
        splits.classes,
        f"A short side of at most {short_side} pixels.",
        written_bytes=WRITTEN_BYTES[short_side],
        subsets=subsets.subsets,
    )


DATASET = Dataset(
    name="imagenet2012_resized",
    summary="ILSVRC2012 with larger images made smaller: a short side of 256 to 512 pixels",
    configs=tuple(map(_config, WRITTEN_BYTES)),
    builder=_builder,
    find=_find,
    recipes=_recipes,
    packagings=packagings.PACKAGINGS,
    label_of=splits.label_of,
    splits_apart=True,
    signs=signs.ALL,
    is_derived=True,
    options=("jpeg_quality", "jpeg_subsampling"),
)
