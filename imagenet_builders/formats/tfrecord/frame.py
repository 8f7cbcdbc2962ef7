"""The frame of a record in a TFRecord file: its length and two checksums.

    length    8 bytes, little-endian
    checksum  4 bytes, of the length: CRC-32C, masked
    data      `length` bytes
    checksum  4 bytes, of the data

Source: `record_writer.cc` of TensorFlow.
"""

from __future__ import annotations

import struct

from imagenet_builders.formats.tfrecord.example_window import DamageError, Window

MAX_RECORD_BYTES = 256 << 20
"""Bound on one record; the largest image of ImageNet has less than a tenth of it."""

HEAD_BYTES = 12
"""Bytes of a frame before the data."""
TAIL_BYTES = 4
"""Bytes of a frame behind the data."""

_FRAME_BYTES = HEAD_BYTES + TAIL_BYTES
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


def record_end(window: Window, at: int, file_size: int) -> int:
    """Where a record ends, its frame with it; the checksum of its length is checked.

    Args:
        window: Reads the file.
        at: Where the record's frame begins, before the end of the file.
        file_size: Bytes of the file.

    Returns:
        The offset behind the record's last byte; not beyond the file's end.

    Raises:
        DamageError: There is no whole record of an allowed size.
        OSError: The file cannot be read.
    """
    import google_crc32c

    there = file_size - at
    if there < _FRAME_BYTES:
        raise DamageError(
            f"the file is cut off: a record has at least {_FRAME_BYTES} bytes, but only {there} "
            "remain"
        )
    head = window.get(at, HEAD_BYTES)
    length, stored = _HEAD.unpack(head)
    if masked(google_crc32c.value(head[:8])) != stored:
        where = "at the beginning of the file" if at == 0 else "behind the record before"
        raise DamageError(f"expected a TFRecord {where}, found a length whose checksum is wrong")
    if length > there - _FRAME_BYTES:
        raise DamageError(
            f"the file is cut off: this record has {length:,} bytes, but only "
            f"{there - _FRAME_BYTES:,} remain for them"
        )
    if length > MAX_RECORD_BYTES:
        raise DamageError(
            f"expected a record of at most {MAX_RECORD_BYTES:,} bytes, found one of {length:,}"
        )
    return at + int(length) + _FRAME_BYTES


def data_problem(record: bytes) -> str | None:
    """What is wrong with the data of a record, by its checksum; None if nothing is.

    Args:
        record: The record with its frame.
    """
    import google_crc32c

    (stored,) = _TAIL.unpack_from(record, len(record) - TAIL_BYTES)
    found = masked(google_crc32c.value(record[HEAD_BYTES:-TAIL_BYTES]))
    if found == stored:
        return None
    return f"expected a record with the checksum {stored:#010x}, found one with {found:#010x}"


def masked(crc: int) -> int:
    """A checksum as TFRecord stores it."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF
