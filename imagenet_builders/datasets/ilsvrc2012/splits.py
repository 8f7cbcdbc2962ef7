"""The official splits of ILSVRC2012, and the rule that gets a label from an image's name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imagenet_builders import labels
from imagenet_builders.datasets.description import LabelOf, Split
from imagenet_builders.datasets.ilsvrc2012.layouts import OFFICIAL, TEST_PATCH

if TYPE_CHECKING:
    from imagenet_builders.labels.image_names import Naming


def naming_of(part: str, space: str | None = None) -> Naming:
    """The rule for the names of images of a part, with the classes of a label space or all."""
    from imagenet_builders.labels.image_names import Naming

    wnids = classes() if space is None else labels.wnids(space)
    return Naming(part, {wnid: label for label, wnid in enumerate(wnids)})


def _train_counts() -> Sequence[int]:
    return tuple(labels.train_counts().values())


TRAIN = Split(
    "train",
    1_281_167,
    147_897_477_120,
    "the readme of the development kit",
    archives=OFFICIAL["train"],
    per_class=_train_counts,
    naming=functools.partial(naming_of, "train"),
)
VALIDATION = Split(
    "validation",
    50_000,
    6_744_924_160,
    "the readme of the development kit",
    archives=OFFICIAL["validation"],
    per_class=50,
    naming=functools.partial(naming_of, "validation"),
)
TEST = Split(
    "test",
    100_000,
    13_000_000_000,
    "the page of the challenge",
    archives=(*OFFICIAL["test"], TEST_PATCH),
    naming=functools.partial(naming_of, "test"),
)


def classes() -> tuple[str, ...]:
    """The 1,000 wnids, in the order of their labels."""
    return labels.wnids("imagenet2012")


def with_boxes(split: Split) -> Split:
    """A split with the official archive of its boxes."""
    return dataclasses.replace(split, box_archives=OFFICIAL[f"{split.name} boxes"][:1])


def label_of(split: str, ids: Mapping[str, int]) -> LabelOf:
    """The rule of labels of images with their official names; see `Dataset.label_of`."""
    from imagenet_builders.labels.image_names import Naming

    naming = Naming(split, ids)

    def of_key(key: str) -> int:
        # Stock TensorFlow Datasets keys test images by their path in the archive.
        name = key if split == "train" else key.rpartition("/")[2]
        official, label = naming.row_of(name)
        if official != name:
            raise ValueError(f"expected the official name {official}")
        return label

    return of_key
