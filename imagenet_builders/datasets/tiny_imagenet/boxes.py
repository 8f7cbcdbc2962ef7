r"""Reads the text files with the boxes of Tiny ImageNet: a line for each image, in pixels.

    train/<wnid>/<wnid>_boxes.txt   file, xmin, ymin, xmax, ymax
    val/val_annotations.txt         file, wnid, xmin, ymin, xmax, ymax

Images are 64 x 64 pixels. Published lines of the validation file have numbers from 0 to 63, and a
box of a whole image is `0 0 63 63`. 64 is accepted, because no document says whether a box ends in
its last pixel or beside it. Some boxes have no width or no height, such as `0 63 63 63` of
val_37.JPEG, and are kept as they are.

>>> train_boxes(b"n01443537_0.JPEG\t0\t10\t63\t58\n")
{'n01443537_0.JPEG': PixelBox(xmin=0, ymin=10, xmax=63, ymax=58)}
>>> validation_boxes(b"val_0.JPEG\tn03444034\t0\t32\t44\t62\n", {"n03444034"}.__contains__)
{'val_0.JPEG': ('n03444034', PixelBox(xmin=0, ymin=32, xmax=44, ymax=62))}
>>> relative([PixelBox(xmin=0, ymin=32, xmax=44, ymax=62)]).tolist()
[[0.5, 0.0, 0.96875, 0.6875]]

Source: copies of `val_annotations.txt` in public repositories; loaders for the train files.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

SIDE = 64
"""Width and height of every image, in pixels."""

MAX_BYTES = 16 << 20
"""Bound on one file; the largest, of the 10,000 validation images, has about 350 KB."""

_NUMBER = re.compile(r"[0-9]{1,9}")
_IMAGES = (".jpeg", ".jpg", ".png")

_SHOWN = 60

_PIXELS = {str(number): number for number in range(SIDE + 1)}
# What separates columns or lines as well as tabs and newlines do, in ASCII.
_OTHER_SPACES = " \r\v\f\x1c\x1d\x1e\x1f"


class PixelBox(NamedTuple):
    """A box as in its file, in pixels; a min may be greater than its max."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


class BoxFileError(ValueError):
    """A file of boxes cannot be read; the message has the line, what was expected and found."""


def train_boxes(data: bytes) -> dict[str, PixelBox]:
    """The boxes in the file of one train class.

    Args:
        data: The content of `<wnid>_boxes.txt`.

    Returns:
        The box of each image by its file name, in the order of the file.

    Raises:
        BoxFileError: The file is too large or not text, a line does not have its columns, a number
            is not a pixel of the image, or an image is there twice.
    """
    usual = _usual_lines(data, 5)
    if usual is not None:
        names, boxes = usual
        return dict(zip(names, boxes, strict=True))
    return {name: _box(fields, where) for name, fields, where in _lines(data, 5)}


def validation_boxes(
    data: bytes, is_class: Callable[[str], bool]
) -> dict[str, tuple[str, PixelBox]]:
    """The classes and boxes in the file of the validation images.

    Args:
        data: The content of `val_annotations.txt`.
        is_class: Whether a wnid is one of the classes.

    Returns:
        Wnid and box of each image by its file name, in the order of the file.

    Raises:
        BoxFileError: As for `train_boxes`, or a class is not one of the classes.
    """
    usual = _usual_lines(data, 6)
    if usual is not None:
        names, wnids, boxes = usual
        if all(map(is_class, set(wnids))):
            return dict(zip(names, zip(wnids, boxes, strict=True), strict=True))
    found = {}
    for name, (wnid, *numbers), where in _lines(data, 6):
        if not is_class(wnid):
            raise BoxFileError(f"{where}: {wnid[:_SHOWN]!r} is not a class of Tiny ImageNet")
        found[name] = wnid, _box(numbers, where)
    return found


def relative(boxes: Sequence[PixelBox]) -> np.ndarray:
    """Boxes relative to the image: their numbers divided by `SIDE`.

    Args:
        boxes: In pixels. A min that is greater than its max changes places with it.

    Returns:
        float32 of shape (n, 4): ymin, xmin, ymax, xmax of each, from 0 to 1 and exact.
    """
    import numpy as np

    numbers = np.fromiter(itertools.chain.from_iterable(boxes), np.float32, 4 * len(boxes))
    xy = numbers.reshape(-1, 2, 2) / np.float32(SIDE)
    return np.concatenate([xy.min(axis=1)[:, ::-1], xy.max(axis=1)[:, ::-1]], axis=1)


def _usual_lines(data: bytes, columns: int) -> list[tuple[Any, ...]] | None:
    """The columns of a file as the official ones are: tabs, plain numbers, no empty line.

    Returns:
        The columns, with the box of each line in place of its four numbers; None of a file that is
        different in anything, which `_lines` reads or refuses.
    """
    if len(data) > MAX_BYTES or not data.isascii():
        return None
    text = data.decode()
    *lines, last = text.split("\n")
    try:
        found = list(zip(*(line.split("\t") for line in lines), strict=True))
        numbers = [[_PIXELS[field] for field in column] for column in found[-4:]]
    except (ValueError, KeyError):  # Lines of different lengths; no number of a pixel.
        return None
    if last or len(found) != columns or any(space in text for space in _OTHER_SPACES):
        return None
    names = found[0]
    # No other column has it, so each name ends with it.
    if text.count(".JPEG\t") != len(names) or len(set(names)) != len(names):
        return None
    return [*found[:-4], tuple(map(PixelBox._make, zip(*numbers, strict=True)))]


def _lines(data: bytes, columns: int) -> Iterator[tuple[str, list[str], str]]:
    """Yields file name, other columns and place of each line that is not empty."""
    if len(data) > MAX_BYTES:
        raise BoxFileError(f"expected at most {MAX_BYTES:,} bytes, found {len(data):,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BoxFileError(
            f"expected text, found bytes that are not UTF-8 at byte {error.start:,}"
        ) from None
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"line {number:,}"
        if len(fields) != columns:
            raise BoxFileError(f"{where}: expected {columns} columns, found {len(fields)}")
        name = fields[0]
        # Only of what is a line of this kind is anything repeated in messages.
        if not name.lower().endswith(_IMAGES):
            raise BoxFileError(f"{where}: expected the name of an image first, found another text")
        first = seen.setdefault(name, number)
        if first != number:
            raise BoxFileError(
                f"{where}: {name[:_SHOWN]!r} is there twice, first in line {first:,}"
            )
        yield name, fields[1:], where


def _box(fields: list[str], where: str) -> PixelBox:
    for field in fields:
        if not _NUMBER.fullmatch(field) or int(field) > SIDE:
            raise BoxFileError(
                f"{where}: expected whole numbers from 0 to {SIDE}, found {field[:_SHOWN]!r}"
            )
    return PixelBox(*map(int, fields))
