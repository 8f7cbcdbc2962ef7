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

import os
from collections.abc import Mapping
from typing import Any, Self

from imagenet_builders.formats.tfrecord.example_plain import MAX_FEATURES, PlainExamples
from imagenet_builders.formats.tfrecord.example_values import (
    FIRST,
    LISTS,
    SECOND,
    Kind,
    Span,
    floats,
    ints,
)
from imagenet_builders.formats.tfrecord.wire import DamageError, decode_varint

MAX_NAME_BYTES = 256
"""Bound on the name of a feature."""
MAX_VALUE_BYTES = 64 << 10
"""Bound on the values of a feature that is read; a real one has tens of bytes."""
_WINDOW = 4096

# Tag and length of any field take no more.
_FIELD_HEAD = 12


class Window:
    """Bytes of a file by their position, some thousand of them at a time.

    Args:
        fd: Open descriptor.
        size: Bytes of the file.

    Attributes:
        data: The bytes that were read last.
        start: Where in the file they begin.
    """

    def __init__(self, fd: int, size: int):
        self._fd = fd
        self._size = size
        self.start = 0
        self.data = b""

    @classmethod
    def over(cls, data: bytes) -> Self:
        """A window over bytes that were read already."""
        window = cls(-1, len(data))
        window.data = data
        return window

    def get(self, at: int, size: int) -> bytes:
        """The `size` bytes at `at`, which must be there, or DamageError is raised."""
        i = at - self.start
        if i < 0 or i + size > len(self.data):
            self._load(at, size)
            i = 0
        return self.data[i : i + size]

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
        i = at - self.start
        there = len(self.data)
        if i < 0 or (i + _FIELD_HEAD > there and self.start + there < self._size):
            self._load(at, min(_FIELD_HEAD, self._size - at))
            i = 0
        data = self.data
        try:
            tag, size = data[i], data[i + 1]
            i += 2
            if size > 127:
                size, i = decode_varint(data, i - 1, len(data), self.start)
        except IndexError:
            raise DamageError("expected a field, found the end of the file") from None
        if tag & 7 != 2:
            raise DamageError(f"expected a field of an Example, found the byte {tag:#04x}")
        start = self.start + i
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
        self.start, self.data = at, data


class Features:
    """Reads the wanted features of examples, one after the other.

    Args:
        wanted: How to read each wanted feature, by name; other features are skipped.
        repeating: Names of those wanted features that are often the same from one example to the
            next.
    """

    def __init__(self, wanted: Mapping[bytes, Kind], repeating: frozenset[bytes]):
        self._wanted = wanted
        self._plain = PlainExamples(wanted, repeating, self._entry)

    def read(self, window: Window, begin: int, end: int) -> dict[bytes, Any]:
        """The features of the example between `begin` and `end`.

        One in which anything is wrong is read once more, by `read_carefully`.

        Returns:
            Name to value, as `Kind` says; None for a feature that is not wanted. A list without
            values is an empty tuple.

        Raises:
            DamageError: This is no Example, or a wanted feature is of another kind or too large.
            OSError: It cannot be read.
        """
        try:
            found = self._plain.read(window, begin, end)
        except DamageError:
            found = None
        return self.read_carefully(window, begin, end) if found is None else found

    def read_carefully(self, window: Window, begin: int, end: int) -> dict[bytes, Any]:
        """The same field by field, which says what is wrong with the first that is; see `read`."""
        if begin == end:
            raise DamageError("expected an Example, found nothing")
        tag, at, stop = window.field(begin, end)
        if tag != FIRST or stop != end:
            raise DamageError("expected an Example of nothing but features, found something else")
        found: dict[bytes, Any] = {}
        while at < stop:
            tag, start, after = window.field(at, stop)
            if tag != FIRST:
                raise DamageError(f"expected a feature, found a field with the tag {tag:#04x}")
            name, value = self._entry(window, start, after)
            if name in found:
                raise DamageError(f"expected the feature {_shown(name)} once, found it twice")
            if len(found) == MAX_FEATURES:
                raise DamageError(f"expected at most {MAX_FEATURES} features, found more")
            found[name] = value
            at = after
        return found

    def _entry(self, window: Window, at: int, end: int) -> tuple[bytes, Any]:
        name: bytes | None = None
        feature: tuple[int, int] | None = None
        while at < end:
            tag, start, after = window.field(at, end)
            if tag == FIRST and name is None:
                if after - start > MAX_NAME_BYTES:
                    raise DamageError(f"expected a feature's name, found {after - start:,} bytes")
                name = window.get(start, after - start)
            elif tag == SECOND and feature is None:
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
    if tag != LISTS[kind]:
        raise DamageError(f"expected values of another type, found a list with the tag {tag:#04x}")
    if kind is Kind.PLACE or kind is Kind.TEXT:
        if start == end:
            raise DamageError("expected a value, found none")
        tag, start, after = window.field(start, end)
        if tag != FIRST or after != end:
            raise DamageError("expected one value, found more")
        if kind is Kind.PLACE:
            return Span(start, end - start)
    if end - start > MAX_VALUE_BYTES:
        raise DamageError(f"expected at most {MAX_VALUE_BYTES:,} bytes, found {end - start:,}")
    data = window.get(start, end - start)
    if kind is Kind.TEXT:
        return data
    return floats(data, start) if kind is Kind.FLOATS else ints(data, start)


def _shown(name: bytes) -> str:
    return repr(name.decode("latin-1"))
