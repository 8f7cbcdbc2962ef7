"""The value of imagenet12k."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders import labels
from imagenet_builders.datasets.description import Config, Dataset, LabelOf, Signs, Split
from imagenet_builders.datasets.ilsvrc2012 import signs
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Survey
from imagenet_builders.locate.search import Layout, Tree, find, require_directory
from imagenet_builders.sources import shard_sets
from imagenet_builders.sources.webdataset import Collection as Shards

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe

NAME = "imagenet12k"
SPACE = "imagenet12k"
"""The label space."""


def _ids() -> dict[str, int]:
    return {wnid: label for label, wnid in enumerate(labels.wnids(SPACE))}


def _rule(split: str) -> Callable[[str], tuple[str, int]]:
    del split  # Images of both splits are named by their classes.
    return Naming("train", _ids()).row_of


SHARDS = Shards(
    "imagenet12k",
    {"train": 1024, "validation": 512},
    {"train": 12_129_687, "validation": 472_840},
    11_821,
    _rule,
    bases=(0, 1),
)
"""`timm/imagenet-12k-wds`. Its card does not say what `.cls` counts classes from."""

LAYOUTS = (
    Layout(
        "WebDataset shards of timm",
        "webdataset",
        (".", "imagenet-12k-wds", "wds"),
        dict.fromkeys(SHARDS.shards, ()),
    ),
)


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet12k import imagenet12k_dataset_builder

    return imagenet12k_dataset_builder.Builder


def _find(manual_dir: Path, config: str | None) -> Survey:
    del config
    require_directory(NAME, manual_dir)
    tree = Tree(manual_dir)
    recognise = functools.partial(shard_sets.recognise_sets, SHARDS.sets)
    found = {
        split: find(tree, LAYOUTS, split, lambda kind: recognise, split=split)
        for split in SHARDS.shards
    }
    return Survey(
        NAME,
        {split: sources for split, sources in found.items() if sources},
        missing={
            split: (f"{manual_dir}/{SHARDS.range_of(split)}",)
            for split, sources in found.items()
            if not sources
        },
        warnings=tuple(tree.warnings),
    )


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
        SHARDS.images[name],
        None,
        "the dataset card of timm/imagenet-12k-wds",
        per_class=per_class,
    )


DATASET = Dataset(
    name=NAME,
    summary="11,821 classes of the fall 2011 release, chosen and resized by timm",
    configs=(
        Config(
            None,
            (_split("train", None), _split("validation", 40)),
            functools.partial(labels.wnids, SPACE),
        ),
    ),
    builder=_builder,
    find=_find,
    recipes=_recipes,
    count=SHARDS.count,
    label_of=_label_of,
    splits_apart=True,
    signs=(Signs(title="ImageNet-12k", names=signs.TRAIN_ONLY),),
)
