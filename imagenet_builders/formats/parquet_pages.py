"""What the pages of a column in a Parquet file say of their sizes, before any is unpacked.

Arrow takes as much memory as a page's header claims, so the headers are read first.

Source: `parquet.thrift` of Apache Parquet; the compact protocol of Apache Thrift.
"""

from __future__ import annotations

import os

_MAX_HEADER_BYTES = 64 << 10
_MAX_DEPTH = 8
_MAX_VARINT_BYTES = 10

# Types of the compact protocol.
_BOOLEANS, _NUMBERS, _LISTS = (1, 2), (4, 5, 6), (9, 10)
_BYTE, _DOUBLE, _BINARY, _STRUCT = 3, 7, 8, 12
_UNPACKED_SIZE, _PACKED_SIZE = 2, 3


class PageError(ValueError):
    """A page's header is damaged, or does not lie where it should."""


def unpacked_sizes(fd: int, start: int, size: int) -> tuple[int, int]:
    """Bytes of all pages of a column once they are unpacked, and of the largest one.

    Args:
        fd: Open descriptor of the file.
        start: Where the column begins.
        size: Its bytes.

    Returns:
        The bytes of all, and of the largest, as their headers say.

    Raises:
        PageError: The headers are damaged, or do not fill those bytes.
    """
    position, end = start, start + size
    total = largest = 0
    while position < end:
        header = _Header(os.pread(fd, min(_MAX_HEADER_BYTES, end - position), position))
        fields = header.struct(0)
        packed, unpacked = fields.get(_PACKED_SIZE, -1), fields.get(_UNPACKED_SIZE, -1)
        if packed < 0 or unpacked < 0 or position + header.at + packed > end:
            raise PageError(f"the header of a page at byte {position:,} is damaged")
        total += unpacked
        largest = max(largest, unpacked)
        position += header.at + packed
    return total, largest


class _Header:
    """A struct of the compact protocol at the beginning of some bytes."""

    def __init__(self, data: bytes):
        self._data = data
        self.at = 0

    def struct(self, depth: int) -> dict[int, int]:
        """The numbers in a struct by their fields; all else is passed over."""
        if depth > _MAX_DEPTH:
            raise PageError("the header of a page has structs inside of structs")
        fields: dict[int, int] = {}
        field = 0
        while (head := self._byte()) != 0:
            delta, kind = head >> 4, head & 15
            field = field + delta if delta else self._number()
            value = self._value(kind, depth)
            if value is not None:
                fields[field] = value
        return fields

    def _value(self, kind: int, depth: int) -> int | None:
        if kind in _NUMBERS:
            return self._number()
        if kind == _BYTE:
            self._skip(1)
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind == _BINARY:
            self._skip(self._varint())
        elif kind in _LISTS:
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            for _ in range(min(count, len(self._data) + 1)):
                if head & 15 in _BOOLEANS:
                    self._skip(1)
                else:
                    self._value(head & 15, depth)
        elif kind == _STRUCT:
            self.struct(depth + 1)
        elif kind not in _BOOLEANS:
            raise PageError(f"the header of a page has a field of the unknown type {kind}")
        return None

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise PageError("the header of a page is cut off")

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise PageError("the header of a page has a number that is too long")

    def _number(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
