"""The value of imagenet2012_dogs."""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders import labels
from imagenet_builders.datasets.description import Config, Dataset, Signs, Split
from imagenet_builders.datasets.ilsvrc2012 import layouts, splits
from imagenet_builders.datasets.ilsvrc2012.signs import TRAIN_ONLY
from imagenet_builders.locate.found import Survey

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet2012_dogs import imagenet2012_dogs_dataset_builder

    return imagenet2012_dogs_dataset_builder.Builder


def _find(manual_dir: Path, config: str | None) -> Survey:
    del config
    return layouts.survey(DATASET.name, manual_dir, {"train": "train_t3"}, boxes=True)


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.imagenet2012_dogs import staged

    del only
    return staged.recipes(DATASET.survey(manual_dir, config).reading(context.copies), context)


_TRAIN = Split(
    "train",
    None,
    728_000_000,
    "not known; the archive has 728 MB",
    archives=layouts.OFFICIAL["train_t3"],
    box_archives=layouts.OFFICIAL["train_t3 boxes"][:1],
    naming=functools.partial(splits.naming_of, "train_t3", "dogs"),
)

DATASET = Dataset(
    name="imagenet2012_dogs",
    summary="Task 3 of ILSVRC2012: 120 kinds of dogs, with boxes where they are staged",
    configs=(Config(None, (_TRAIN,), functools.partial(labels.wnids, "dogs")),),
    builder=_builder,
    find=_find,
    recipes=_recipes,
    label_of=splits.label_of,
    fixed_classes=False,
    signs=(Signs(title="Task 3 of ILSVRC2012", names=TRAIN_ONLY),),
)
