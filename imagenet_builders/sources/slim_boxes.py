"""The boxes in a record of slim: relative, rounded to four decimals, their classes from 0 or 1."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from imagenet_builders.formats import voc
from imagenet_builders.formats.tfrecord.example_values import Kind
from imagenet_builders.formats.tfrecord.wire import DamageError

CLASSES = 1000
"""Number of classes."""

_CORNERS = tuple(b"image/object/bbox/" + name for name in (b"xmin", b"ymin", b"xmax", b"ymax"))
_BOX_LABELS = b"image/object/bbox/label"
WANTED = {**dict.fromkeys(_CORNERS, Kind.FLOATS), _BOX_LABELS: Kind.INTS}
"""The features that boxes are in, and how they are read."""


class Odd(NamedTuple):
    """How many boxes of an image are odd; the columns of that."""

    swapped: int
    clamped: int
    empty: int


class Boxes(NamedTuple):
    """The boxes of an image: their corners as in `voc.Boxes`, their labels, and odd ones."""

    corners: Sequence[float]
    labels: Sequence[int]
    odd: Odd


def boxes_of(found: dict[bytes, Any], key: str, label: int, base: int) -> Boxes:
    """The boxes of an image.

    Args:
        found: The features of its record.
        key: The key of the image, for messages.
        label: Its label.
        base: What classes are counted from, 0 or 1.

    Raises:
        DamageError: They are no boxes.
    """
    xmin, ymin, xmax, ymax = sides = tuple(found.get(name, ()) for name in _CORNERS)
    box_labels = found.get(_BOX_LABELS)
    if box_labels is None:
        box_labels = (label + base,) * len(xmin)
    if not len(xmin) == len(ymin) == len(xmax) == len(ymax) == len(box_labels):
        raise DamageError(f"expected as many of each side and label of the boxes of {key}")
    if not all(map(math.isfinite, itertools.chain(*sides))):
        raise DamageError(f"expected boxes of {key} relative to it, found what is not a number")
    if not all(base <= number < CLASSES + base for number in box_labels):
        raise DamageError(
            f"expected classes from {base} to {CLASSES - 1 + base:,} of the boxes of {key}, "
            f"found {listed(box_labels)}"
        )
    box_labels = [number - base for number in box_labels]
    corners: list[float] = []
    for x0, y0, x1, y1 in zip(*sides, strict=True):
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            return _odd_boxes(sides, box_labels)
        corners += y0 + 0.0, x0 + 0.0, y1, x1  # Which makes 0 of -0, as for odd boxes.
    return Boxes(corners, box_labels, _NOTHING_ODD)


def _odd_boxes(sides: Sequence[Sequence[float]], box_labels: Sequence[int]) -> Boxes:
    """Boxes of which some are without area, turned round, or go beyond the image."""
    objects = map(voc.VocObject, map(str, box_labels), *sides)
    boxes = voc.relative(voc.Annotation(1.0, 1.0, tuple(objects)))
    odd = Odd(boxes.swapped, boxes.clamped, boxes.empty)
    return Boxes(boxes.corners, tuple(map(int, boxes.names)), odd)


def listed(numbers: Sequence[int]) -> str:
    """The first of some numbers, for messages."""
    return ", ".join(map(str, numbers[:5])) or "none"


_NOTHING_ODD = Odd(0, 0, 0)
