"""The values of features of a `tf.train.Example`, and the tags around them.

Source: `feature.proto` of TensorFlow; protobuf's encoding.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from imagenet_builders.formats.tfrecord.wire import DamageError, decode_varint, signed

FIRST, SECOND, THIRD = 0x0A, 0x12, 0x1A
"""The tags of fields 1 to 3 with a length: number and wire type."""
_FIRST_VARINT, _FIRST_FLOAT = 0x08, 0x0D


class Kind(enum.Enum):
    """How a feature is read."""

    TEXT = enum.auto()
    """Its one byte string, as bytes."""
    PLACE = enum.auto()
    """Where its one byte string is, as a `Span`; the string is not read."""
    INTS = enum.auto()
    """Its integers, a tuple."""
    FLOATS = enum.auto()
    """Its float32 numbers, a tuple."""


class Span(NamedTuple):
    """A range of bytes in a file.

    Attributes:
        offset: Of the first.
        size: How many.
    """

    offset: int
    size: int


LISTS = {
    Kind.TEXT: FIRST,
    Kind.PLACE: FIRST,
    Kind.FLOATS: SECOND,
    Kind.INTS: THIRD,
}
"""The tag of the list that has values of a kind."""


def floats(data: bytes, base: int) -> tuple[float, ...]:
    """The numbers of a FloatList, each packed with others or by itself."""
    numbers: list[float] = []
    i = 0
    while i < len(data):
        tag = data[i]
        i += 1
        size = 4
        if tag == FIRST:
            size, i = decode_varint(data, i, len(data), base)
        if tag not in (FIRST, _FIRST_FLOAT) or size > len(data) - i or size % 4:
            raise DamageError("expected a list of float32, found something else")
        numbers += struct.unpack_from(f"<{size // 4}f", data, i)
        i += size
    return tuple(numbers)


def ints(data: bytes, base: int) -> tuple[int, ...]:
    """The numbers of an Int64List, each packed with others or by itself."""
    numbers: list[int] = []
    i = 0
    while i < len(data):
        tag = data[i]
        i += 1
        if tag == FIRST:
            size, i = decode_varint(data, i, len(data), base)
            if i + size > len(data):
                raise DamageError("expected a list of integers, found one that is cut off")
            numbers += packed(data[i : i + size], base + i)
            i += size
        elif tag == _FIRST_VARINT:
            number, i = decode_varint(data, i, len(data), base)
            numbers.append(signed(number))
        else:
            raise DamageError("expected a list of integers, found something else")
    return tuple(numbers)


def packed(data: bytes, base: int = 0) -> tuple[int, ...]:
    """Numbers in base 128, one after the other."""
    numbers: list[int] = []
    i = 0
    while i < len(data):
        number, i = decode_varint(data, i, len(data), base)
        numbers.append(signed(number))
    return tuple(numbers)
