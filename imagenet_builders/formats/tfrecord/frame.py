"""Makes and checks the frame of a record in a TFRecord file: its length and two checksums.

    length    8 bytes, little-endian
    checksum  4 bytes, of the length: CRC-32C, masked
    data      `length` bytes
    checksum  4 bytes, of the data

Source: `record_writer.cc` of TensorFlow.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import google_crc32c

from imagenet_builders.formats.tfrecord.wire import DamageError

if TYPE_CHECKING:
    import numpy as np

_Crc = TypeVar("_Crc", int, "np.ndarray")

MAX_RECORD_BYTES = 256 << 20
"""Bound on one record; images have less than a tenth of it."""

HEAD_BYTES = 12
"""Bytes of a frame before the data."""
TAIL_BYTES = 4
"""Bytes of a frame behind the data."""
FRAME_BYTES = HEAD_BYTES + TAIL_BYTES
"""Bytes that a frame adds to the data."""

_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


def frame(buffers: Sequence[bytes]) -> tuple[bytes, bytes, int]:
    """The frame of a record.

    Args:
        buffers: The record's bytes, in pieces.

    Returns:
        What goes before the record, what goes after it, and the record's length in bytes.
    """
    length = 0
    crc = 0
    for buffer in buffers:
        length += len(buffer)
        crc = google_crc32c.extend(crc, buffer)
    return head(length), _TAIL.pack(masked(crc)), length


def head(length: int) -> bytes:
    """What goes before a record of so many bytes."""
    packed = struct.pack("<Q", length)
    return packed + _TAIL.pack(masked(google_crc32c.value(packed)))


def put_tail(buffer: memoryview, at: int, crc: int) -> None:
    """Puts what goes after a record into a buffer.

    Args:
        buffer: The buffer.
        at: Where the record ends in it.
        crc: The record's CRC-32C.
    """
    _TAIL.pack_into(buffer, at, masked(crc))


def data_length(head: bytes, room: int) -> int:
    """The length of a record's data, once it is known to be right and to fit.

    Args:
        head: The first `HEAD_BYTES` of the frame, or all there are.
        room: Bytes from the frame's beginning to the end of the file.

    Returns:
        Bytes of the data; at most `MAX_RECORD_BYTES`, and `room` less the frame.

    Raises:
        DamageError: There is no whole record of an allowed size.
    """
    if room < FRAME_BYTES:
        raise DamageError(
            "the file is cut off within the frame of a record", f"{FRAME_BYTES} bytes", f"{room}"
        )
    length, stored = _HEAD.unpack(head)
    crc = masked(google_crc32c.value(head[:8]))
    if crc != stored:
        raise DamageError(
            "the checksum of a record's length is wrong, so the rest of the file cannot be read; "
            "this is no TFRecord file, or it was damaged",
            f"{stored:08x}",
            f"{crc:08x}",
        )
    if length > room - FRAME_BYTES:
        raise DamageError(
            "a record goes beyond the end of the file, which was cut off",
            f"{length:,} bytes",
            f"{room - FRAME_BYTES:,}",
        )
    if length > MAX_RECORD_BYTES:
        raise DamageError(
            "a record is larger than any image",
            f"at most {MAX_RECORD_BYTES:,} bytes",
            f"{length:,}",
        )
    return int(length)


def data_damage(data: bytes | np.ndarray, tail: bytes | memoryview) -> DamageError | None:
    """The error of a record whose data do not have its checksum; None if they have.

    Args:
        data: The record, as bytes or as an array of uint8.
        tail: The last `TAIL_BYTES` of its frame.
    """
    (stored,) = _TAIL.unpack(tail)
    crc = masked(google_crc32c.value(data))
    if crc == stored:
        return None
    return DamageError(
        "the checksum of the record is wrong, so it is damaged", f"{stored:08x}", f"{crc:08x}"
    )


def has_checksum(parts: Sequence[np.ndarray], tail: bytes | memoryview) -> bool:
    """Whether a record has the checksum that goes after it.

    Args:
        parts: The record, in arrays of uint8.
        tail: The last `TAIL_BYTES` of its frame.
    """
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    return _TAIL.unpack(tail) == (masked(crc),)


def masked(crc: _Crc) -> _Crc:
    """A checksum, or an array of uint32, as TFRecord stores it."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF
