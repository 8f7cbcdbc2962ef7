"""How Tiny ImageNet is known without its list of classes: its folders, names and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imagenet_builders import labels
from imagenet_builders.datasets.description import Signs, Tally
from imagenet_builders.locate.glimpse import Glimpse

_IMAGES = 500
_NUMBERS = frozenset(map(str, range(_IMAGES)))
_IN_IMAGES = re.compile(r"(n[0-9]{8})/images/\1_(0|[1-9][0-9]{0,2})\.JPEG")
_BOXES = re.compile(r"(n[0-9]{8})/\1_boxes\.txt")
_IN_CLASS = re.compile(r"(n[0-9]{8})/\1_([0-9]+)\.(?i:jpe?g|png)")
_KEY = re.compile(r"n[0-9]{8}_([0-9]+)\.JPEG")


def _has_its_folders(seen: Glimpse) -> str | None:
    if not seen.classes or not seen.classes <= frozenset(labels.wnids("tiny_imagenet")):
        return None
    of_its_classes = f"its {len(seen.classes):,} classes are among the 200 of Tiny ImageNet, and"
    in_images = [name for name in seen.names if _IN_IMAGES.fullmatch(name)]
    if in_images and len(in_images) == len(seen.images):
        return f"{of_its_classes} images lie in folders of that name, such as {in_images[0]!r}"
    boxes = next(filter(_BOXES.fullmatch, seen.names), None)
    if boxes is not None:
        return f"{of_its_classes} it has files such as {boxes!r}"
    numbers: dict[str, list[str]] = {}
    for match in filter(None, map(_IN_CLASS.fullmatch, seen.names)):
        numbers.setdefault(match[1], []).append(match[2])
    if numbers and all(map(_are_all, numbers.values())):
        return f"{of_its_classes} images are numbered from 0 to {_IMAGES - 1} in each"
    return None


def _has_its_numbers(tally: Tally) -> str | None:
    if any(number != _IMAGES for number in tally.counts.values()):
        return None
    if not tally.counts.keys() <= frozenset(labels.wnids("tiny_imagenet")):
        return None
    for wnid in tally.counts:
        matches = map(_KEY.fullmatch, tally.keys(wnid))
        if not _are_all(match[1] for match in matches if match is not None):
            return None
    return f"{len(tally.counts):,} of its 200 classes, with images numbered 0 to {_IMAGES - 1} each"


def _are_all(numbers: Iterable[str]) -> bool:
    found = list(numbers)
    return len(found) == _IMAGES and _NUMBERS.issuperset(found)


def has_only_images(seen: Glimpse, split: str) -> bool:
    """Whether all images in a folder are named as those of a split, of which there are some."""
    named = re.compile(rf"{_SPLIT_NAMES[split]}\.JPEG").fullmatch
    return bool(seen.images) and all(map(named, seen.images))


_SPLIT_NAMES = {
    "train": r"n[0-9]{8}_(?:0|[1-9][0-9]?|[1-4][0-9]{2})",
    "validation": r"val_[0-9]{1,4}",
    "test": r"test_[0-9]{1,4}",
}

SIGNS = Signs(
    title="Tiny ImageNet",
    names=_SPLIT_NAMES,
    by_names=_has_its_folders,
    by_index=_has_its_numbers,
)
