"""The value of imagenet12k."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders import labels
from imagenet_builders.datasets.description import Config, Dataset, LabelOf, Signs, Split
from imagenet_builders.datasets.ilsvrc2012 import signs
from imagenet_builders.datasets.imagenet12k import layouts
from imagenet_builders.formats import signatures
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.packaging import SHARDS_READ_HERE, Packaging

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet12k import imagenet12k_dataset_builder

    return imagenet12k_dataset_builder.Builder


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.imagenet12k import staged

    del config
    return staged.recipes(manual_dir, context, only)


def _label_of(split: str, ids: Mapping[str, int]) -> LabelOf:
    del split
    naming = Naming("train", ids)
    return lambda key: naming.row_of(key)[1]


def _split(name: str, per_class: int | None) -> Split:
    return Split(
        name,
        layouts.SHARDS.images[name],
        None,
        "the dataset card of timm/imagenet-12k-wds",
        per_class=per_class,
    )


DATASET = Dataset(
    name=layouts.NAME,
    summary="11,821 classes of the fall 2011 release, chosen and resized by timm",
    configs=(
        Config(
            None,
            (_split("train", None), _split("validation", 40)),
            functools.partial(labels.wnids, layouts.SPACE),
            stem="imagenet12k",
        ),
    ),
    builder=_builder,
    packagings=(
        Packaging(
            names=r"imagenet12k-(train|validation)-[0-9]+\.tar",
            example="imagenet12k-train-0000.tar",
            what="shards of WebDataset, as timm/imagenet-12k-wds has them",
            begins=(signatures.TAR,),
            way=SHARDS_READ_HERE,
            is_read=True,
        ),
    ),
    find=layouts.survey,
    recipes=_recipes,
    count=layouts.SHARDS.count,
    label_of=_label_of,
    splits_apart=True,
    signs=(Signs(title="ImageNet-12k", names=signs.TRAIN_ONLY),),
)
