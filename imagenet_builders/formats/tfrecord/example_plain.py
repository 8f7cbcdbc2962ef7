"""Reads Examples in which nothing is wrong or unusual in little time, for `example_window`.

Nearly all features of nearly all examples were met before, byte by byte (class, colour space,
height), so they are looked up. Of others, such as a file name, what is before the value was met
before: tags, name and lengths. What is new is read by whoever reads carefully, and remembered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from imagenet_builders.formats.tfrecord.example_values import (
    FIRST,
    LISTS,
    SECOND,
    Kind,
    Span,
    packed,
)
from imagenet_builders.formats.tfrecord.wire import decode_varint

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example_window import Window

MAX_FEATURES = 256
"""Bound on the features of an example; real ones have up to 16."""

# What is remembered has a length of one byte, and there are not too many of them.
_SHORT = 127
_REMEMBERED = 1 << 14

# Tag and length of a feature, and all of one that is short.
_FEATURE_HEAD = 12
_FEATURE = _SHORT + 2

# Tags and lengths in front of a short value: of the feature, its name, the message that has the
# list, the list, and the value.
_BEFORE_VALUE = 10
_BEHIND_NAME = 6


class PlainExamples:
    """Reads the wanted features of examples as writers have them, one after the other.

    Args:
        wanted: How to read each wanted feature, by name.
        repeating: Names of those wanted features that are often the same.
        read_feature: Reads any feature: the map entry between two places.
    """

    def __init__(
        self,
        wanted: Mapping[bytes, Kind],
        repeating: frozenset[bytes],
        read_feature: Callable[[Window, int, int], tuple[bytes, Any]],
    ):
        self._wanted = wanted
        self._repeating = repeating
        self._read_feature = read_feature
        self._remembered: dict[bytes, tuple[bytes, Any]] = {}
        self._heads: dict[bytes, tuple[bytes, Callable[[bytes], Any]]] = {}

    def read(self, window: Window, begin: int, end: int) -> dict[bytes, Any] | None:
        """The features of the example between `begin` and `end`; see `Features.read`.

        Returns:
            Name to value; None where something is wrong.

        Raises:
            DamageError: The same.
            OSError: It cannot be read.
        """
        tag, at, stop = window.field(begin, end)
        if tag != FIRST or stop != end:
            return None
        look_up = self._remembered.get
        pairs: list[tuple[bytes, Any]] = []
        while at < stop:
            data, start = window.data, window.start
            i, last = at - start, min(stop - start, len(data) - 1)
            while i < last:
                # The length of what is remembered is right, so nothing cut off is among it.
                after = i + 2 + data[i + 1]
                pair = look_up(data[i:after])
                if pair is None:
                    break
                pairs.append(pair)
                i = after
            at = start + i
            if at < stop:
                new = self._look_at(window, at, stop)
                if new is None:
                    return None
                pair, at = new
                pairs.append(pair)
        found = dict(pairs)
        if at != stop or len(found) != len(pairs) or len(found) > MAX_FEATURES:
            return None
        return found

    def _look_at(self, window: Window, at: int, stop: int) -> tuple[tuple[bytes, Any], int] | None:
        """Name and value of the feature at `at`, which may be remembered now, and its end."""
        data = window.get(at, min(_FEATURE, stop - at))
        if len(data) > _FEATURE_HEAD:
            end = 2 + data[1]
            values = data[3] + _BEFORE_VALUE
            head = self._heads.get(data[:values])
            if head is not None and end <= len(data):
                name, value_of = head
                return (name, value_of(data[values:end])), at + end
            if end > _FEATURE and data[0] == FIRST:
                place = self._place(data, at)
                if place is not None and place[2] <= stop:
                    return place[:2], place[2]
        tag, start, after = window.field(at, stop)
        if tag != FIRST:
            return None
        pair = self._read_feature(window, start, after)
        if after - start <= _SHORT:
            self._remember(window.get(at, after - at), *pair)
        return pair, after

    def _place(self, data: bytes, at: int) -> tuple[bytes, Span, int] | None:
        """Name and place of the large feature at `at`, which begins with `data`, and its end."""
        last = len(data)
        size, i = decode_varint(data, 1, last)
        end = i + size
        name_end = i + 2 + data[i + 1]
        name = data[i + 2 : name_end]
        if data[i] != FIRST or self._wanted.get(name) is not Kind.PLACE:
            return None
        i = name_end
        for tag in (SECOND, FIRST, FIRST):
            if i >= last or data[i] != tag:
                return None
            size, i = decode_varint(data, i + 1, last)
            if i + size != end:
                return None
        return name, Span(at + i, size), at + end

    def _remember(self, data: bytes, name: bytes, value: Any) -> None:
        """Remembers a short map entry, or what is before its value, that was read."""
        # Places differ, whatever the bytes.
        if not value or name in self._repeating:
            if len(self._remembered) < _REMEMBERED:
                self._remembered[data] = name, value
            return
        kind = self._wanted[name]
        size = len(data) - len(name) - _BEFORE_VALUE
        if size <= 0 or kind is Kind.PLACE:
            return
        lengths = (SECOND, size + 4, LISTS[kind], size + 2, FIRST, size)
        head = bytes((*data[:2], FIRST, len(name), *name, *lengths))
        if not data.startswith(head):
            return
        if kind is Kind.TEXT:
            self._heads[head] = name, bytes
        elif kind is Kind.INTS:
            self._heads[head] = name, packed
        else:
            self._heads[head] = name, struct.Struct(f"<{size // 4}f").unpack
