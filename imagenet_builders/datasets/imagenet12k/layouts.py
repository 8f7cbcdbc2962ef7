"""The shards of imagenet12k, and where they may lie."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from imagenet_builders import labels
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Survey
from imagenet_builders.locate.search import Layout, Tree, find, require_directory
from imagenet_builders.sources import shard_sets
from imagenet_builders.sources.webdataset import Collection

NAME = "imagenet12k"
SPACE = "imagenet12k"
"""The label space."""


def _ids() -> dict[str, int]:
    return {wnid: label for label, wnid in enumerate(labels.wnids(SPACE))}


def _rule(split: str) -> Callable[[str], tuple[str, int]]:
    del split  # Images of both splits are named by their classes.
    return Naming("train", _ids()).row_of


SHARDS = Collection(
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


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """Surveys what is staged of the dataset; see `Dataset.survey`."""
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
