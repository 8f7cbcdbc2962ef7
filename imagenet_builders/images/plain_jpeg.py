"""Recognises the JPEG that most images are, in a few µs: the fast way beside `inspect_jpeg`.

Of what has this shape the careful way has nothing to say: three channels in one baseline scan,
segments as libjpeg writes them unless told otherwise, sound Huffman tables, no marker among the
compressed data, and the end where it belongs. All else, sound or not, is left to the careful way.
"""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple

from imagenet_builders.images.jpeg import (
    MAX_SIDE,
    TENSORFLOW_SAMPLES,
    UnreadableError,
    huffman_tables,
)
from imagenet_builders.images.markers import holds_marker

_MAX_SEGMENTS = 64  # Of more, the careful way tells what they are.


class _Layout(NamedTuple):
    """How the quantisation tables lie in their segments, from which to the scan all is known.

    Attributes:
        parts: Of each table what is before it; of the frame, what is before height and width, these
            two, and its components; and as much as the standard's Huffman tables take, with the
            header of the scan.
        first: What is before the first table.
        second: What is before the second.
    """

    parts: struct.Struct
    first: bytes
    second: bytes


_APART_LENGTH = 0x43
_APART = _Layout(  # As libjpeg writes them.
    struct.Struct(">5s64x5s64x5sHH10s446s"),
    b"\xff\xdb\x00\x43\x00",
    b"\xff\xdb\x00\x43\x01",
)
_JOINED = _Layout(struct.Struct(">5s64x1s64x5sHH10s446s"), b"\xff\xdb\x00\x84\x00", b"\x01")
_FRAME = b"\xff\xc0\x00\x11\x08"
_COMPONENTS = frozenset(
    bytes((3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1)) for sampling in (0x11, 0x12, 0x21, 0x22)
)
# It uses the Huffman tables 0 and 1, of DC and of AC coefficients: bits as in `huffman_tables`.
_SCAN = bytes.fromhex("ffda000c03010002110311003f00")
_TABLES = 0b110011
# Their segments have 432 bytes, or fewer if the tables are made for the image. With the header of
# the scan, no more than this is looked at.
_MAX_TABLES_BYTES = 2048

_START = struct.Struct(">HHH").unpack_from  # With the first marker and the length of its segment.
_MARKER = struct.Struct(">HH").unpack_from  # With the length of its segment.
_SOI, _APPLICATIONS, _COMMENT, _HUFFMAN = 0xFFD8, 0xFFE0, 0xFFFE, 0xFFC4


# The image that was looked at last: an export asks once more for one that was just inspected.
_last: tuple[bytes, tuple[int, int] | None] = (b"", None)


def plain_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """The size of a JPEG of the common shape.

    Args:
        data: An image file's content.

    Returns:
        Width and height in pixels; None for all that the careful way must look at.
    """
    global _last
    if type(data) is not bytes:  # What else there is may change.
        return size_in_buffer(data)
    last = _last  # Another thread may replace it meanwhile.
    if last[0] is data:
        return last[1]
    size = size_in_buffer(data)
    _last = (data, size)
    return size


def size_in_buffer(data: bytes | memoryview) -> tuple[int, int] | None:
    """As `plain_size`, of what may have changed since the last time."""
    position = 2
    try:
        start, marker, length = _START(data)
        if start != _SOI or data[-1] != 0xD9 or data[-2] != 0xFF:
            return None
        for _ in range(_MAX_SEGMENTS):
            if (marker & 0xFFF0 != _APPLICATIONS and marker != _COMMENT) or length < 2:
                break
            position += 2 + length
            marker, length = _MARKER(data, position)
        layout = _APART if length == _APART_LENGTH else _JOINED
        parts = layout.parts
        first, second, frame, height, width, components, rest = parts.unpack_from(data, position)
    except struct.error:
        return None
    position += parts.size - len(rest)
    if not rest.endswith(_SCAN):
        rest = bytes(data[position : position + _MAX_TABLES_BYTES])
        rest = rest[: rest.find(_SCAN) + len(_SCAN)]
    scan, end = position + len(rest), len(data) - 2
    if (
        frame != _FRAME
        or components not in _COMPONENTS
        or first != layout.first
        or second != layout.second
        or not _begin_scan(rest)
        or not 0 < height <= MAX_SIDE
        or not 0 < width <= MAX_SIDE
        or 3 * width * height >= TENSORFLOW_SAMPLES
        or scan > end
        or holds_marker(data, scan, end)
    ):
        return None
    return width, height


# Most JPEGs have the tables of the standard's annex K; others have some of their own.
@functools.lru_cache(maxsize=64)
def _begin_scan(segments: bytes) -> bool:
    """Whether it is DHT segments that define all tables of a scan, each sound, and its header."""
    end = len(segments) - len(_SCAN)
    defined = bogus = position = 0
    try:
        while position < end:
            marker, length = _MARKER(segments, position)
            if marker != _HUFFMAN or length < 2:
                return False
            found, unusable = huffman_tables(segments[position + 4 : position + 2 + length])
            defined |= found
            bogus |= unusable
            position += 2 + length
    except UnreadableError:
        return False
    is_whole = position == end and segments.endswith(_SCAN)
    return is_whole and not bogus and defined & _TABLES == _TABLES
