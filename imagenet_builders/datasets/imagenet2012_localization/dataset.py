"""The value of imagenet2012_localization."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.datasets.description import Config, Dataset
from imagenet_builders.datasets.ilsvrc2012 import layouts, signs, splits, subsets
from imagenet_builders.locate.found import Survey

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet2012_localization import (
        imagenet2012_localization_dataset_builder,
    )

    return imagenet2012_localization_dataset_builder.Builder


def _find(manual_dir: Path, config: str | None) -> Survey:
    del config
    parts = {split: split for split in ("train", "validation")}
    return layouts.survey(DATASET.name, manual_dir, parts, boxes=True)


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.imagenet2012_localization import staged

    found = DATASET.survey(manual_dir, config).of_splits(only)
    return staged.recipes(found.reading(context.copies), context)


DATASET = Dataset(
    name="imagenet2012_localization",
    summary="ILSVRC2012 with the bounding boxes of its objects",
    configs=(
        Config(
            None,
            (splits.with_boxes(splits.TRAIN), splits.with_boxes(splits.VALIDATION)),
            splits.classes,
            subsets=subsets.subsets,
        ),
    ),
    builder=_builder,
    find=_find,
    recipes=_recipes,
    label_of=splits.label_of,
    needs_boxes=True,
    signs=signs.ALL,
)
