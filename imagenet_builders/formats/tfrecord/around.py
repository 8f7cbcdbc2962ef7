"""What surrounds the images of many records, made at once: the fast way beside `serialize`.

All bytes of a record but the image and the checksum are known before the image is read: the frame,
the other features, and the lengths that depend on the image's. NumPy makes them for a thousand rows
in the time that Python takes for some fifty.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from imagenet_builders.formats.tfrecord import checksums, frame
from imagenet_builders.formats.tfrecord.example import TAGS, field_sizes, varint_sizes


class Column(NamedTuple):
    """A feature of many examples.

    Attributes:
        kind: `bytes`, of which each example has one, or `float` or `int64`, of which it has any
            number.
        data: The values' bytes as the proto has them, row after row, uint8.
        sizes: Bytes of each row, int64 of shape (rows,).
    """

    kind: str
    data: np.ndarray
    sizes: np.ndarray


class Around(NamedTuple):
    """What stands around the images of records in a TFRecord file.

    Attributes:
        before: Of each, the head of the frame, and the example up to the image.
        after: Of each, the rest of the example. The checksum of the record follows.
    """

    before: list[bytes]
    after: list[bytes]


# Some bytes of each row: those of all rows, and how many each has.
_Ragged = tuple[np.ndarray, np.ndarray]


def around(image: str, image_sizes: np.ndarray, features: Mapping[str, Column]) -> Around:
    """Makes what surrounds images in records.

    Args:
        image: Name of the feature that has the image.
        image_sizes: Bytes of each image, integers of shape (rows,).
        features: The other features, by name.

    Returns:
        What `frame.frame(serialize(example))` has before and after the image.
    """
    sizes = image_sizes.astype(np.int64)
    columns = {**features, image: Column("bytes", np.empty(0, np.uint8), sizes)}
    names = sorted(columns)
    entries = {name: _entry(name, columns[name]) for name in names}
    total = sum((size for _, size in entries.values()), np.zeros_like(sizes))
    before = [_frame_heads(field_sizes(total)), _field_heads(0x0A, total)]
    after: list[_Ragged] = []
    part = before
    for name in names:
        part += entries[name][0]
        if name == image:
            part = after
        else:
            part.append((columns[name].data, columns[name].sizes))
    return Around(_joined(before, len(sizes)), _joined(after, len(sizes)))


def integers(values: np.ndarray, counts: np.ndarray | None = None) -> Column:
    """A feature of integers.

    Args:
        values: All of them, row after row.
        counts: How many each row has; None for one.
    """
    data, sizes = _varints(values)
    if counts is not None:
        sizes = _sums(sizes, counts)
    return Column("int64", data, sizes)


def floats(values: np.ndarray, counts: np.ndarray) -> Column:
    """A feature of floats; see `integers`."""
    return Column("float", values.astype("<f4").view(np.uint8), 4 * counts.astype(np.int64))


def _entry(name: str, column: Column) -> tuple[list[_Ragged], np.ndarray]:
    """An entry of the map of features: what it has before its data, and its bytes with these."""
    values = field_sizes(column.sizes)
    has_values = np.ones(len(column.sizes), np.bool_)
    if column.kind != "bytes":
        # An empty packed list is not written at all.
        has_values = column.sizes > 0
        values[~has_values] = 0
    features = field_sizes(values)
    key = np.frombuffer(name.encode(), np.uint8)
    rows = len(column.sizes)
    entries = field_sizes(np.full(rows, len(key))) + field_sizes(features)
    pieces = [
        _field_heads(0x0A, entries),
        _field_heads(0x0A, np.full(rows, len(key))),
        (np.tile(key, rows), np.full(rows, len(key))),
        _field_heads(0x12, features),
        _field_heads(TAGS[column.kind], values),
        _field_heads(0x0A, column.sizes, has_values),
    ]
    return pieces, field_sizes(entries)


def _frame_heads(lengths: np.ndarray) -> _Ragged:
    return checksums.heads(lengths).reshape(-1), np.full(len(lengths), frame.HEAD_BYTES)


def _field_heads(tag: int, sizes: np.ndarray, where: np.ndarray | None = None) -> _Ragged:
    """What length-delimited fields have before their content, in all rows or some."""
    return _varints(sizes, tag, where)


def _varints(
    numbers: np.ndarray, tag: int | None = None, where: np.ndarray | None = None
) -> _Ragged:
    """Numbers in base 128, as `wire.encode_varint` has them, each behind a tag."""
    sizes = varint_sizes(numbers.astype(np.int64))
    first = 0 if tag is None else 1
    width = first + int(sizes.max(initial=1))
    left = numbers.astype(np.int64).view(np.uint64)
    encoded = np.empty((len(numbers), width), np.uint8)
    if tag is not None:
        encoded[:, 0] = tag
    for column in range(first, width):
        encoded[:, column] = left & np.uint64(0x7F)
        left = left >> np.uint64(7)
        encoded[:, column] |= (sizes > column - first + 1).astype(np.uint8) << 7
    sizes = sizes + first
    if where is not None:
        sizes = np.where(where, sizes, 0)
    return encoded[np.arange(width) < sizes[:, None]], sizes


def _joined(pieces: list[_Ragged], rows: int) -> list[bytes]:
    """The pieces of each row, one behind the other."""
    sizes = sum((size for _, size in pieces), np.zeros(rows, np.int64))
    ends = np.cumsum(sizes)
    joined = np.empty(int(sizes.sum()), np.uint8)
    at = ends - sizes
    for data, size in pieces:
        joined[np.arange(len(data)) + np.repeat(at - (np.cumsum(size) - size), size)] = data
        at = at + size
    content, places = joined.tobytes(), [0, *ends.tolist()]
    return [content[start:end] for start, end in itertools.pairwise(places)]


def _sums(numbers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The sums of so many numbers each."""
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers)])
    ends = np.cumsum(counts)
    difference: np.ndarray = sums[ends] - sums[ends - counts]
    return difference
