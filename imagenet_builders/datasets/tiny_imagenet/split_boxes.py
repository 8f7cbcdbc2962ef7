"""The boxes of the images of Tiny ImageNet, and the labels that stand beside them.

Every train and validation image has one box, in a line of a text file. An image without a line, or
a line without an image, is an error, because a part of the copy is missing. Where a split has none
of these files, as scripts leave it that sort images for other programs, it has no boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from imagenet_builders import labels
from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet.boxes import PixelBox
from imagenet_builders.datasets.tiny_imagenet.contents import NO_LABEL, TWICE, Contents, Images
from imagenet_builders.datasets.tiny_imagenet.layouts import NAME
from imagenet_builders.datasets.tiny_imagenet.names import ANNOTATIONS, boxes_file

NO_BOX = PixelBox(0, 0, 0, 0)
"""The `bbox` of an image without one."""

MISSING_TEXT = (
    "there are images that this file should describe, but it is missing; copy this file from the "
    "official archive"
)
"""What is said of a file of boxes that is not there."""

# Characters of a name in a message.
_SHOWN = 60

_Line = TypeVar("_Line")


def boxes_of(split: str, images: Images, contents: Contents) -> list[PixelBox]:
    """The box of each image, `NO_BOX` for all of a split without any; it also sets labels.

    Args:
        split: `train`, `validation` or `test`.
        images: The images of the split. Those of validation receive the labels that the
            annotations say, those of test `NO_LABEL`.
        contents: The contents of the source.

    Returns:
        A box for each image, in pixels.

    Raises:
        SourceError: The files of boxes are not those of the images, or an image is there twice.
    """
    check_once(images, contents)
    rows = images.rows
    if split == "train":
        return _train(images, contents)
    if split == "validation" and rows.keys:
        return _validation(images, contents)
    rows.labels[:] = [NO_LABEL] * len(rows)
    return [NO_BOX] * len(rows)


def check_once(images: Images, contents: Contents) -> None:
    """Refuses an image that is there twice, in two folders or spellings."""
    if len(set(images.rows.keys)) == len(images.rows):
        return
    first: dict[str, str] = {}
    for key, path in zip(images.rows.keys, images.paths, strict=True):
        other = first.setdefault(key, path)
        if other != path:
            raise contents.error(path, TWICE.format(other))


def _train(images: Images, contents: Contents) -> list[PixelBox]:
    rows = images.rows
    wnids = labels.wnids(NAME)
    by_class: dict[str, list[str]] = {}
    for key, label in zip(rows.keys, rows.labels, strict=True):
        by_class.setdefault(wnids[label], []).append(key)
    if not contents.has_boxes("train", by_class):
        return [NO_BOX] * len(rows)
    found: dict[str, PixelBox] = {}
    for wnid, keys in by_class.items():
        found.update(_lines(contents, boxes_file(wnid), keys, tiny.train_boxes))
    return [found[key] for key in rows.keys]


def _validation(images: Images, contents: Contents) -> list[PixelBox]:
    rows = images.rows
    if contents.tells_labels("validation") and not contents.has_boxes("validation", ()):
        return [NO_BOX] * len(rows)
    classes = labels.space(NAME)
    lines = _lines(
        contents,
        ANNOTATIONS,
        rows.keys,
        lambda data: tiny.validation_boxes(data, classes.__contains__),
    )
    found = [classes.id_of(lines[key][0]) for key in rows.keys]
    for path, told, label in zip(images.paths, rows.labels, found, strict=True):
        if told not in (NO_LABEL, label):
            raise contents.error(
                path,
                f"expected an image of class {classes.wnids[label]}, as {ANNOTATIONS} says, in the "
                f"folder of that class, found it in that of {classes.wnids[told]}; one of the two "
                "was changed, stage the official archive",
            )
    rows.labels[:] = found
    return [lines[key][1] for key in rows.keys]


def _lines(
    contents: Contents,
    name: str,
    keys: list[str],
    parse: Callable[[bytes], dict[str, _Line]],
) -> dict[str, _Line]:
    """The lines of a file of boxes, which must have one for each image."""
    data = contents.text(name)
    if data is None:
        raise contents.error(name, MISSING_TEXT)
    try:
        lines = parse(data)
    except tiny.BoxFileError as error:
        raise contents.error(name, f"{error}; stage the original archive") from None
    images = set(keys)
    if lines.keys() == images:
        return lines
    without = [key for key in keys if key not in lines]
    if without:
        raise contents.error(
            name,
            f"expected a line for each image, found none for {without[0]!r}"
            f"{_and_others(without)}; stage the original archive",
        )
    astray = [image for image in lines if image not in images]
    if astray:
        raise contents.error(
            name,
            f"it has a line for {astray[0][:_SHOWN]!r}{_and_others(astray)}, but there is no such "
            "image; copy or unpack the images again",
        )
    return lines


def _and_others(names: list[str]) -> str:
    more = len(names) - 1
    return f" and {more:,} other{'s' if more > 1 else ''}" if more else ""
