"""The value of imagenet2012."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.datasets.description import Config, Dataset
from imagenet_builders.datasets.ilsvrc2012 import packagings, signs, splits, staged, subsets
from imagenet_builders.locate.found import Survey

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet2012 import imagenet2012_dataset_builder

    return imagenet2012_dataset_builder.Builder


def _find(manual_dir: Path, config: str | None) -> Survey:
    del config
    return staged.find(DATASET.name, manual_dir)


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.ilsvrc2012 import examples
    from imagenet_builders.plan.recipe import SplitRecipe

    return [
        SplitRecipe(split, index, examples.make_examples, examples.example_sizes, layout=layout)
        for split, index, layout in staged.indexed(DATASET, manual_dir, config, context, only)
    ]


DATASET = Dataset(
    name="imagenet2012",
    summary="ILSVRC2012, 1,000 classes; a drop-in for TensorFlow Datasets' own",
    configs=(
        Config(
            None,
            (splits.TRAIN, splits.VALIDATION, splits.TEST),
            splits.classes,
            subsets=subsets.subsets,
            stem="imagenet1k",
        ),
    ),
    builder=_builder,
    find=_find,
    recipes=_recipes,
    packagings=packagings.PACKAGINGS,
    label_of=splits.label_of,
    version="5.1.0",
    splits_apart=True,
    signs=signs.ALL,
)
