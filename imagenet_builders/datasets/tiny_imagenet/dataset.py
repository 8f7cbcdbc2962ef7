"""The value of tiny_imagenet."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders import labels
from imagenet_builders.datasets.description import Config, Dataset, LabelOf, Split
from imagenet_builders.datasets.ilsvrc2012 import splits
from imagenet_builders.datasets.tiny_imagenet import layouts
from imagenet_builders.datasets.tiny_imagenet.signs import SIGNS

if TYPE_CHECKING:
    from imagenet_builders.locate.found import Found
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe
    from imagenet_builders.sources.inspection import Counted, Inspection, Problem
    from imagenet_builders.sources.kind import Expected


_KEY = re.compile(r"(val|test)_[0-9]{1,5}\.JPEG")
_NO_LABEL = -1


def _builder() -> type[Any]:
    from imagenet_builders.datasets.tiny_imagenet import tiny_imagenet_dataset_builder

    return tiny_imagenet_dataset_builder.Builder


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.tiny_imagenet import staged

    del config, only
    return staged.recipes(manual_dir, context)


def _count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    from imagenet_builders.datasets.tiny_imagenet import counting

    return counting.count(found, inspected, expected)


def _label_of(split: str, ids: Mapping[str, int]) -> LabelOf:
    if split == "train":
        return splits.label_of(split, ids)
    kind = "val" if split == "validation" else "test"

    def of_name(key: str) -> int | None:
        match = _KEY.fullmatch(key)
        if match is None or match[1] != kind:
            raise ValueError(f"only images such as {kind}_0.JPEG belong here")
        return _NO_LABEL if kind == "test" else None

    return of_name


def _split(name: str, images: int, image_bytes: int) -> Split:
    return Split(
        name,
        images,
        image_bytes,
        "the dataset's description",
        archives=(layouts.ARCHIVE,),
        per_class=None if name == "test" else images // 200,
        folders=(layouts.SPLITS[name],),
    )


DATASET = Dataset(
    name=layouts.NAME,
    summary="200 classes of ImageNet in 64x64 pixels",
    configs=(
        Config(
            None,
            (
                _split("train", 100_000, 206_750_036),
                _split("validation", 10_000, 20_675_004),
                _split("test", 10_000, 20_675_004),
            ),
            functools.partial(labels.wnids, "tiny_imagenet"),
        ),
    ),
    builder=_builder,
    find=layouts.survey,
    recipes=_recipes,
    count=_count,
    label_of=_label_of,
    flat_boxes=True,
    files=(layouts.CLASS_LIST,),
    signs=(SIGNS,),
)
