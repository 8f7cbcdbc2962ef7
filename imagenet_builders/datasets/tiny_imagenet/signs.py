"""How Tiny ImageNet is known without its list of classes: its folders, names and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from imagenet_builders import labels
from imagenet_builders.datasets.description import Signs, Tally
from imagenet_builders.locate.glimpse import Glimpse

_IMAGES = 500
_ENDING = r"\.(?i:jpe?g|png)"
_IN_IMAGES = re.compile(rf"(?:.*/)?(n[0-9]{{8}})/images/\1_(0|[1-9][0-9]{{0,2}}){_ENDING}")
_BOXES = re.compile(r"(n[0-9]{8})/\1_boxes\.txt")
_IN_CLASS = re.compile(rf"(n[0-9]{{8}})/\1_([0-9]+){_ENDING}")
_KEY = re.compile(r"n[0-9]{8}_([0-9]+)\.JPEG")

# Where so many images a class, on average, have at least so large a share of the numbers up to
# their highest, and none is above 499, they are not ILSVRC2012's. Of its train images, numbers
# below 500 have some 46 in a class of Tiny ImageNet, and never half of them.
# Source: the names of a tenth of all, `imagenet_subsets/10percent.txt` in google-research/simclr.
_MIN_IMAGES = 20
_MIN_SHARE = 0.5


def _has_its_folders(seen: Glimpse) -> str | None:
    boxes = next(filter(_BOXES.fullmatch, seen.names), None)
    in_images = _in_images(seen.paths_of_images)
    classes = seen.classes or {wnid for wnid, _ in in_images}
    if not classes or not _are_its_classes(classes):
        return None
    of_its_classes = f"{_classes(len(classes))} among the 200 of Tiny ImageNet, and"
    if in_images:
        first = seen.paths_of_images[0]
        return f"{of_its_classes} images lie in folders of that name, such as {first!r}"
    if boxes is not None:
        return f"{of_its_classes} it has files such as {boxes!r}"
    numbers: dict[str, list[int]] = {}
    for match in filter(None, map(_IN_CLASS.fullmatch, seen.names)):
        numbers.setdefault(match[1], []).append(int(match[2]))
    if _are_its_numbers(numbers.values()):
        return f"{of_its_classes} images are numbered from 0 to {_IMAGES - 1} in each"
    return None


def _has_its_numbers(tally: Tally) -> str | None:
    if not _are_its_classes(tally.counts) or max(tally.counts.values()) > _IMAGES:
        return None
    numbers = []
    for wnid in tally.counts:
        matches = [_KEY.fullmatch(key) for key in tally.keys(wnid)]
        numbers.append([int(match[1]) for match in matches if match is not None])
        if len(numbers[-1]) < len(matches):
            return None
    if not _are_its_numbers(numbers):
        return None
    return f"{len(tally.counts):,} of its 200 classes, with images numbered 0 to {_IMAGES - 1} each"


def _in_images(paths: Sequence[str]) -> list[tuple[str, int]]:
    """Classes and numbers of images, if each is in the folder `images` of its class."""
    matches = [match for match in map(_IN_IMAGES.fullmatch, paths) if match is not None]
    found = [(match[1], int(match[2])) for match in matches]
    is_all = len(found) == len(paths) and all(number < _IMAGES for _, number in found)
    return found if is_all else []


def _are_its_classes(wnids: Iterable[str]) -> bool:
    return frozenset(labels.wnids("tiny_imagenet")).issuperset(wnids)


def _are_its_numbers(of_classes: Iterable[list[int]]) -> bool:
    """Whether the numbers of the images of some classes can only be those of this dataset."""
    found = [numbers for numbers in of_classes if numbers]
    images = sum(map(len, found))
    if not found or images < _MIN_IMAGES * len(found):
        return False
    highest = list(map(max, found))
    return max(highest) < _IMAGES and images >= _MIN_SHARE * sum(each + 1 for each in highest)


def _classes(number: int) -> str:
    return "its class is" if number == 1 else f"its {number:,} classes are"


def has_only_images(seen: Glimpse, split: str) -> bool:
    """Whether all images in a folder are named as those of a split, of which there are some."""
    named = re.compile(rf"{_SPLIT_NAMES[split]}{_ENDING}").fullmatch
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
