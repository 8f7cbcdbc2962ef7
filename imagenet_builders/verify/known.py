"""What is known of the datasets of this package: keys, the labels that follow from them, counts."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping

from imagenet_builders import labels

_TRAIN = re.compile(r"(n[0-9]{8})_[0-9]+\.JPEG")
# Stock TensorFlow Datasets keys test images by their path in the archive.
_NUMBERED = re.compile(r"(?:[^/]+/)*ILSVRC2012_(val|test)_([0-9]{8})\.JPEG")
_TINY = re.compile(r"(val|test)_[0-9]{1,5}\.JPEG")
_BATCH = re.compile(r"(train_data_batch_(?:[1-9]|10)|val_data)/[0-9]{6,}")

ANY_LABEL = None

LabelOf = Callable[[str, str, Mapping[str, int]], "int | None"]
"""From split, key and the classes' labels: the label, or None where the key does not tell. Raises
ValueError where the key is not one of the split."""


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of a dataset.

    Attributes:
        key: The feature that is the key of an example.
        label_of: Gives the label that belongs to a key.
        classes: The classes in the order of their labels.
        fixed_classes: Whether another list of classes is an error.
        official: Split to the official number of images, in all and of each label; the latter is
            None where only the former is known.
        flat_boxes: Whether boxes may be without area, and test images have one of zeros.
    """

    key: str
    label_of: LabelOf
    classes: tuple[str, ...]
    fixed_classes: bool
    official: Mapping[str, tuple[int, tuple[int, ...] | None]]
    flat_boxes: bool = False


@functools.cache
def known(dataset: str, config: str | None) -> Known | None:
    """What is known of a dataset by its name, or None.

    Args:
        dataset: Name, as in `dataset_info.json`.
        config: Name of the configuration, or None.
    """
    if dataset in ("imagenet2012", "imagenet2012_localization"):
        official = _ilsvrc2012() | ({"test": (100_000, None)} if dataset == "imagenet2012" else {})
        return Known("file_name", _ilsvrc_label, labels.wnids("imagenet2012"), True, official)
    if dataset == "imagenet2012_downsampled":
        official = _ilsvrc2012()
        return Known("id", _downsampled_label, labels.wnids("imagenet2012"), True, official)
    if dataset == "imagenet2012_dogs":
        return Known("file_name", _ilsvrc_label, labels.wnids("dogs"), False, {})
    if dataset == "tiny_imagenet":
        per_class = {"train": (100_000, (500,) * 200), "validation": (10_000, (50,) * 200)}
        return Known(
            "file_name",
            _tiny_label,
            labels.wnids("tiny_imagenet"),
            True,
            per_class | {"test": (10_000, None)},
            flat_boxes=True,
        )
    if dataset == "imagenet21k_winter21" and config in ("whole", "p"):
        counts: dict[str, tuple[int, tuple[int, ...] | None]] = {"train": (13_153_500, None)}
        if config == "p":
            counts = {"train": (11_060_223, None), "validation": (522_500, (50,) * 10_450)}
        space = "imagenet21k_winter21" if config == "whole" else "imagenet21k_p"
        return Known("file_name", _winter21_label, labels.wnids(space), True, counts)
    return None


def _ilsvrc2012() -> dict[str, tuple[int, tuple[int, ...] | None]]:
    train = tuple(labels.train_counts().values())
    return {"train": (sum(train), train), "validation": (50_000, (50,) * 1000)}


def _by_wnid(key: str, ids: Mapping[str, int]) -> int:
    match = _TRAIN.fullmatch(key)
    if match is None:
        raise ValueError("a name such as n01440764_1.JPEG")
    if match[1] not in ids:
        raise ValueError(f"a class of the dataset, which {match[1]} is not")
    return ids[match[1]]


def _ilsvrc_label(split: str, key: str, ids: Mapping[str, int]) -> int:
    if split == "train":
        return _by_wnid(key, ids)
    kind, count = ("val", 50_000) if split == "validation" else ("test", 100_000)
    match = _NUMBERED.fullmatch(key)
    if match is None or match[1] != kind or not 1 <= int(match[2]) <= count:
        raise ValueError(f"a name from ILSVRC2012_{kind}_00000001.JPEG to {count:08}")
    return int(labels.validation_labels()[int(match[2]) - 1]) if kind == "val" else -1


def _winter21_label(split: str, key: str, ids: Mapping[str, int]) -> int:
    del split
    return _by_wnid(key, ids)


def _downsampled_label(split: str, key: str, ids: Mapping[str, int]) -> None:
    del ids
    match = _BATCH.fullmatch(key)
    if match is None or match[1].startswith("val") != (split == "validation"):
        example = "val_data" if split == "validation" else "train_data_batch_3"
        raise ValueError(f"an id such as {example}/000123")


def _tiny_label(split: str, key: str, ids: Mapping[str, int]) -> int | None:
    if split == "train":
        return _by_wnid(key, ids)
    kind = "val" if split == "validation" else "test"
    match = _TINY.fullmatch(key)
    if match is None or match[1] != kind:
        raise ValueError(f"a name such as {kind}_0.JPEG")
    return ANY_LABEL if kind == "val" else -1
