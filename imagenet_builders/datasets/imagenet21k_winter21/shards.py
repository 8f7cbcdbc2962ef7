"""The WebDataset shards that timm made of the winter 2021 release: `timm/imagenet-w21-wds`.

Their images are not the official bytes: those with a side of less than 32 pixels were left out,
larger ones resized to 768 pixels on their smaller side, and 20 damaged ones mended. Whether `.cls`
counts classes from 0 or from 1, no document says, so a label is that of the wnid in an image's
name.

Source: the dataset card of `timm/imagenet-w21-wds`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imagenet_builders.datasets.imagenet21k_winter21.classes import classes_of, why_unknown
from imagenet_builders.labels.image_names import train_image
from imagenet_builders.locate import exported
from imagenet_builders.sources.webdataset import Collection

CONFIG = "whole"
"""The configuration that the shards are of."""

PLACES = (".", "imagenet-w21-wds", "wds")
"""Directories below `manual_dir` that may have the shards."""

NOTE = (
    "images with a side of less than 32 pixels were left out, and large ones resized to 768 on the "
    "smaller side, so bytes are not the official ones"
)
"""What is to be known of a dataset that is built of them."""


def note_of(shard: Path) -> str:
    """`NOTE`, unless this package has exported a shard, whose images are then those of a dataset.

    Args:
        shard: One of the shards.
    """
    return "" if exported.around(shard) is not None else NOTE


def _row_of(name: str) -> tuple[str, int]:
    """Key and label of an image by its name."""
    key, wnid = train_image(name)
    classes = classes_of(CONFIG)
    if wnid not in classes:
        raise ValueError(why_unknown(CONFIG, wnid))
    return key, classes.id_of(wnid)


def _rule(split: str) -> Callable[[str], tuple[str, int]]:
    del split
    return _row_of


SHARDS = Collection(
    "imagenet_w21",
    {"train": 2048},
    {"train": 13_151_276},
    19_167,
    _rule,
    bases=(0, 1),
)
"""`timm/imagenet-w21-wds`."""
