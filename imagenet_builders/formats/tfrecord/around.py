"""What surrounds the images of many records, made at once: the fast way beside `serialize`.

All bytes of a record but the image and the checksum are known before the image is read: the frame,
the other features, and the lengths that depend on the image's. NumPy makes them for a thousand rows
in the time that Python takes for some ten.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imagenet_builders.formats.tfrecord import checksums
from imagenet_builders.formats.tfrecord.example import TAGS, field_sizes
from imagenet_builders.formats.tfrecord.wire import encode_varint

# Values that have no more bytes than this lie in a matrix, whose rows are as long as the longest.
_NARROW = 64


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


class _Piece(NamedTuple):
    """Some bytes of each row.

    Attributes:
        data: uint8 of shape (rows, most bytes), or (1, bytes) where those of all rows are the same.
        sizes: How many a row has, the first of its line; None where it has all of them.
    """

    data: np.ndarray
    sizes: np.ndarray | None = None


_Ragged = tuple[np.ndarray, np.ndarray]
"""Bytes of each row that may be many: those of all rows, and how many each has."""


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
    if not len(sizes):
        return Around([], [])
    columns = {**features, image: Column("bytes", np.empty(0, np.uint8), sizes)}
    names = sorted(columns)
    entries = {name: _entry(name, columns[name]) for name in names}
    total = sum((size for _, size in entries.values()), np.zeros_like(sizes))
    before: list[_Piece | _Ragged] = [
        _Piece(checksums.heads(field_sizes(total))),
        _varints(total, b"\x0a"),
    ]
    after: list[_Piece | _Ragged] = []
    part = before
    for name in names:
        part += entries[name][0]
        if name == image:
            part = after
        else:
            part.append(_values(columns[name]))
    return Around(_joined(before, len(sizes)), _joined(after, len(sizes)))


def integers(values: np.ndarray, counts: np.ndarray | None = None) -> Column:
    """A feature of integers.

    Args:
        values: All of them, row after row.
        counts: How many each row has; None for one.
    """
    data, sizes = _compressed([_varints(values)] if len(values) else [], len(values))
    if counts is not None:
        sizes = _sums(sizes, counts)
    return Column("int64", data, sizes)


def floats(values: np.ndarray, counts: np.ndarray) -> Column:
    """A feature of floats; see `integers`."""
    return Column("float", values.astype("<f4").view(np.uint8), 4 * counts.astype(np.int64))


def _entry(name: str, column: Column) -> tuple[list[_Piece], np.ndarray]:
    """An entry of the map of features: what it has before its data, and its bytes with these."""
    values = field_sizes(column.sizes)
    has_values = None
    if column.kind != "bytes" and not column.sizes.all():
        # An empty packed list is not written at all.
        has_values = column.sizes > 0
        values[~has_values] = 0
    features = field_sizes(values)
    key = name.encode()
    key = b"\x0a" + encode_varint(len(key)) + key
    entries = field_sizes(features) + len(key)
    pieces = [
        _varints(entries, b"\x0a"),
        _varints(features, key + b"\x12"),
        _varints(values, bytes([TAGS[column.kind]])),
        _varints(column.sizes, b"\x0a", has_values),
    ]
    return pieces, field_sizes(entries)


def _values(column: Column) -> _Piece | _Ragged:
    """The data of a feature."""
    width = int(column.sizes.max())
    if width > _NARROW:
        return column.data, column.sizes
    starts = np.cumsum(column.sizes) - column.sizes
    # The last row may have fewer than the longest.
    padded = np.concatenate([column.data, np.zeros(width, np.uint8)])
    return _Piece(padded[starts[:, None] + np.arange(width)], column.sizes)


def _varints(numbers: np.ndarray, before: bytes = b"", where: np.ndarray | None = None) -> _Piece:
    """Numbers in base 128, as `wire.encode_varint` has them, each behind the same bytes.

    Args:
        numbers: Integers, of which there is one at least.
        before: The bytes.
        where: The rows that have them; None for all.
    """
    if where is None and (numbers == numbers[0]).all():
        both = before + encode_varint(int(numbers[0]))
        return _Piece(np.frombuffer(both, np.uint8)[None])
    digits = []
    sizes = np.full(len(numbers), len(before) + 1)
    left = numbers.astype(np.int64).view(np.uint64)
    while (more := left > 0x7F).any():
        # The highest bit of a byte says that another one follows.
        digits.append(left.astype(np.uint8) | more.view(np.uint8) << 7)
        sizes += more
        left = left >> np.uint64(7)
    digits.append(left.astype(np.uint8))
    data = np.empty((len(numbers), len(before) + len(digits)), np.uint8)
    data[:, : len(before)] = np.frombuffer(before, np.uint8)
    for place, digit in enumerate(digits, len(before)):
        data[:, place] = digit
    if where is not None:
        return _Piece(data, np.where(where, sizes, 0))
    return _Piece(data, sizes if len(digits) > 1 else None)


def _joined(pieces: Sequence[_Piece | _Ragged], rows: int) -> list[bytes]:
    """The pieces of each row, one behind the other."""
    if not pieces:
        return [b""] * rows
    runs: list[_Ragged] = []
    for is_narrow, group in itertools.groupby(pieces, lambda piece: isinstance(piece, _Piece)):
        run: list[Any] = list(group)
        runs += [_compressed(run, rows)] if is_narrow else run
    data, sizes = runs[0] if len(runs) == 1 else _interleaved(runs)
    content, places = data.tobytes(), [0, *np.cumsum(sizes).tolist()]
    return [content[start:end] for start, end in itertools.pairwise(places)]


def _compressed(pieces: Sequence[_Piece], rows: int) -> _Ragged:
    """Narrow pieces of each row, one behind the other."""
    widths = [piece.data.shape[1] for piece in pieces]
    lines = np.empty((rows, sum(widths)), np.uint8)
    counted = np.ones(lines.shape, np.bool_)
    sizes = np.full(rows, lines.shape[1])
    at = 0
    for piece, width in zip(pieces, widths, strict=True):
        lines[:, at : at + width] = piece.data
        if piece.sizes is not None:
            counted[:, at : at + width] = np.arange(width) < piece.sizes[:, None]
            sizes += piece.sizes - width
        at += width
    return np.compress(counted.ravel(), lines.ravel()), sizes  # Faster than `lines[counted]`.


def _interleaved(runs: Sequence[_Ragged]) -> _Ragged:
    """Runs of bytes of each row, one behind the other."""
    sizes = sum((size for _, size in runs), np.zeros_like(runs[0][1]))
    joined = np.empty(int(sizes.sum()), np.uint8)
    at = np.cumsum(sizes) - sizes
    for data, size in runs:
        joined[np.arange(len(data)) + np.repeat(at - (np.cumsum(size) - size), size)] = data
        at = at + size
    return joined, sizes


def _sums(numbers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The sums of so many numbers each."""
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(numbers)])
    ends = np.cumsum(counts)
    difference: np.ndarray = sums[ends] - sums[ends - counts]
    return difference
