"""Reads the small features of a `tf.train.Example` in a file, without reading the large one.

An Example is a map of features in no promised order, and one of them may be an image of megabytes.
The file is read through a window that skips features that are not wanted: the messages around an
image cost one read, on whichever side of it they are.

    Example   1: Features
    Features  1: map entry, repeated
    map entry 1: name, 2: Feature
    Feature   1: BytesList or 2: FloatList or 3: Int64List
    a list    1: value, repeated or packed

The grammar is strict: a message twice, a name twice or a field that is not above, which protobuf
would merge, overwrite or skip, is damage here, because no writer writes it.

Source: `example.proto` and `feature.proto` of TensorFlow; protobuf's encoding.
"""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from imagenet_builders.formats.tfrecord.wire import DamageError, decode_varint, signed

MAX_NAME_BYTES = 256
"""Bound on the name of a feature."""
MAX_VALUE_BYTES = 64 << 10
"""Bound on the values of a feature that is read; a real one has tens of bytes."""
MAX_FEATURES = 256
"""Bound on the features of an example; real ones have up to 16."""

_WINDOW = 4096

# Most features are the same in many examples (class, colour space, no boxes): their bytes are
# looked up before they are read, as long as there are not too many of them.
_SHORT = 128
_REMEMBERED = 1 << 14

# Tag and length of any field take no more.
_FIELD_HEAD = 12

# Number and wire type of a field.
_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A
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


class Window:
    """Bytes of a file by their position, some thousand of them at a time.

    Args:
        fd: Open descriptor.
        size: Bytes of the file.
    """

    def __init__(self, fd: int, size: int):
        self._fd = fd
        self._size = size
        self._start = 0
        self._data = b""

    @classmethod
    def over(cls, data: bytes) -> Self:
        """A window over bytes that were read already."""
        window = cls(-1, len(data))
        window._data = data
        return window

    def get(self, at: int, size: int) -> bytes:
        """The `size` bytes at `at`, which must be there, or DamageError is raised."""
        i = at - self._start
        if i < 0 or i + size > len(self._data):
            self._load(at, size)
            i = 0
        return self._data[i : i + size]

    def field(self, at: int, end: int) -> tuple[int, int, int]:
        """The length-delimited field at `at`.

        Args:
            at: Where its tag is.
            end: Where the message that holds it ends.

        Returns:
            Its tag, where its content begins, and where that ends.

        Raises:
            DamageError: There is none, or it goes beyond `end`.
            OSError: It cannot be read.
        """
        i = at - self._start
        there = len(self._data)
        if i < 0 or (i + _FIELD_HEAD > there and self._start + there < self._size):
            self._load(at, min(_FIELD_HEAD, self._size - at))
            i = 0
        data = self._data
        try:
            tag, size = data[i], data[i + 1]
            i += 2
            if size > 127:
                size, i = decode_varint(data, i - 1, len(data), self._start)
        except IndexError:
            raise DamageError("expected a field, found the end of the file") from None
        if tag & 7 != 2:
            raise DamageError(f"expected a field of an Example, found the byte {tag:#04x}")
        start = self._start + i
        if size > end - start:
            raise DamageError(
                f"expected a field within its message, where {max(0, end - start):,} bytes remain, "
                f"found one of {size:,} bytes"
            )
        return tag, start, start + size

    def _load(self, at: int, size: int) -> None:
        wanted = min(max(size, _WINDOW), self._size - at)
        if wanted < size:
            raise DamageError(f"expected {size:,} bytes, found the end of the file")
        data = os.pread(self._fd, wanted, at)
        if len(data) < size:
            raise DamageError(
                f"expected {size:,} bytes, found only {len(data):,}: the file became shorter while "
                "it was read"
            )
        self._start, self._data = at, data


class Features:
    """Reads the wanted features of examples, one after the other.

    Args:
        wanted: How to read each wanted feature, by name; other features are skipped.
        repeating: Names of those wanted features that are often the same from one example to the
            next.
    """

    def __init__(self, wanted: Mapping[bytes, Kind], repeating: frozenset[bytes]):
        self._wanted = wanted
        self._repeating = repeating
        self._remembered: dict[bytes, tuple[bytes, Any]] = {}

    def read(self, window: Window, begin: int, end: int) -> dict[bytes, Any]:
        """The features of the example between `begin` and `end`.

        Returns:
            Name to value, as `Kind` says; None for a feature that is not wanted. A list without
            values is an empty tuple.

        Raises:
            DamageError: This is no Example, or a wanted feature is of another kind or too large.
            OSError: It cannot be read.
        """
        if begin == end:
            raise DamageError("expected an Example, found nothing")
        tag, at, stop = window.field(begin, end)
        if tag != _FIRST or stop != end:
            raise DamageError("expected an Example of nothing but features, found something else")
        found: dict[bytes, Any] = {}
        while at < stop:
            tag, start, after = window.field(at, stop)
            if tag != _FIRST:
                raise DamageError(f"expected a feature, found a field with the tag {tag:#04x}")
            name, value = self._feature(window, start, after)
            if name in found:
                raise DamageError(f"expected the feature {_shown(name)} once, found it twice")
            if len(found) == MAX_FEATURES:
                raise DamageError(f"expected at most {MAX_FEATURES} features, found more")
            found[name] = value
            at = after
        return found

    def _feature(self, window: Window, start: int, end: int) -> tuple[bytes, Any]:
        """Name and value of the map entry between `start` and `end`."""
        if end - start > _SHORT:
            return self._entry(window, start, end)
        data = window.get(start, end - start)
        pair = self._remembered.get(data)
        if pair is None:
            pair = self._entry(window, start, end)
            name, value = pair
            # Places differ, whatever the bytes.
            repeats = not value or name in self._repeating
            if repeats and len(self._remembered) < _REMEMBERED:
                self._remembered[data] = pair
        return pair

    def _entry(self, window: Window, at: int, end: int) -> tuple[bytes, Any]:
        name: bytes | None = None
        feature: tuple[int, int] | None = None
        while at < end:
            tag, start, after = window.field(at, end)
            if tag == _FIRST and name is None:
                if after - start > MAX_NAME_BYTES:
                    raise DamageError(f"expected a feature's name, found {after - start:,} bytes")
                name = window.get(start, after - start)
            elif tag == _SECOND and feature is None:
                feature = start, after
            else:
                raise DamageError(f"expected one name and one value, found another tag {tag:#04x}")
            at = after
        if name is None or feature is None:
            raise DamageError("expected a feature with a name and a value, found one without")
        kind = self._wanted.get(name)
        try:
            return name, None if kind is None else _value(window, kind, *feature)
        except DamageError as error:
            raise DamageError(f"the feature {_shown(name)} cannot be read: {error}") from None


def _value(window: Window, kind: Kind, start: int, end: int) -> Any:
    """The value of the Feature between `start` and `end`."""
    if start == end:
        if kind in (Kind.INTS, Kind.FLOATS):
            return ()
        raise DamageError("expected a value, found none")
    tag, start, after = window.field(start, end)
    if after != end:
        raise DamageError("expected one list of values, found more")
    if tag != _LISTS[kind]:
        raise DamageError(f"expected values of another type, found a list with the tag {tag:#04x}")
    if kind is Kind.PLACE or kind is Kind.TEXT:
        if start == end:
            raise DamageError("expected a value, found none")
        tag, start, after = window.field(start, end)
        if tag != _FIRST or after != end:
            raise DamageError("expected one value, found more")
        if kind is Kind.PLACE:
            return Span(start, end - start)
    if end - start > MAX_VALUE_BYTES:
        raise DamageError(f"expected at most {MAX_VALUE_BYTES:,} bytes, found {end - start:,}")
    data = window.get(start, end - start)
    if kind is Kind.TEXT:
        return data
    return _floats(data, start) if kind is Kind.FLOATS else _ints(data, start)


_LISTS = {
    Kind.TEXT: _FIRST,
    Kind.PLACE: _FIRST,
    Kind.FLOATS: _SECOND,
    Kind.INTS: _THIRD,
}


def _floats(data: bytes, base: int) -> tuple[float, ...]:
    """The numbers of a FloatList, each packed with others or by itself."""
    numbers: list[float] = []
    i = 0
    while i < len(data):
        tag = data[i]
        i += 1
        size = 4
        if tag == _FIRST:
            size, i = decode_varint(data, i, len(data), base)
        if tag not in (_FIRST, _FIRST_FLOAT) or size > len(data) - i or size % 4:
            raise DamageError("expected a list of float32, found something else")
        numbers += struct.unpack_from(f"<{size // 4}f", data, i)
        i += size
    return tuple(numbers)


def _ints(data: bytes, base: int) -> tuple[int, ...]:
    """The numbers of an Int64List, each packed with others or by itself."""
    numbers: list[int] = []
    i = 0
    while i < len(data):
        tag = data[i]
        i += 1
        if tag == _FIRST:
            size, i = decode_varint(data, i, len(data), base)
            end = i + size
            if end > len(data):
                raise DamageError("expected a list of integers, found one that is cut off")
            while i < end:
                number, i = decode_varint(data, i, end, base)
                numbers.append(signed(number))
        elif tag == _FIRST_VARINT:
            number, i = decode_varint(data, i, len(data), base)
            numbers.append(signed(number))
        else:
            raise DamageError("expected a list of integers, found something else")
    return tuple(numbers)


def _shown(name: bytes) -> str:
    return repr(name.decode("latin-1"))
