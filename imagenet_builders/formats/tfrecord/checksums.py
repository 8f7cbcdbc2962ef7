"""The CRC-32C of a whole TFRecord file, from those of its records, which are known anyway.

A checksum is linear: that of two texts is that of the first, with as many zero bytes behind it as
the second has, added to that of the second. What zero bytes do to a checksum is a matrix of bits,
of which tables are made here for every digit of a number of zeros in base 16, so that a thousand
records take as many steps as one. To read a file's bytes once more takes ten times as long.

Source: Mark Adler's `crc32_combine` in zlib. "Add" is exclusive or.
"""

from __future__ import annotations

import functools

import google_crc32c
import numpy as np

from imagenet_builders.formats.tfrecord import frame

_POLYNOMIAL = 0x82F63B78  # Of CRC-32C, lowest power first.

# Numbers of zeros are taken apart in base 16: 64 kB of tables for each digit.
_DIGIT_BITS = 4


def heads(lengths: np.ndarray) -> np.ndarray:
    """What goes before records: their lengths and the checksums of these.

    Args:
        lengths: Bytes of each record, integers of shape (records,).

    Returns:
        uint8 of shape (records, `frame.HEAD_BYTES`).
    """
    made = np.empty((len(lengths), frame.HEAD_BYTES), np.uint8)
    made[:, :8] = _bytes_of(lengths.astype("<u8"))
    made[:, 8:] = _bytes_of(frame.masked(_of_rows(made[:, :8])).astype("<u4"))
    return made


def of_file(lengths: np.ndarray, crcs: np.ndarray) -> int:
    """The CRC-32C of a TFRecord file.

    Args:
        lengths: Bytes of each record, integers of shape (records,).
        crcs: CRC-32C of each record as it is, not masked, uint32 of the same shape.
    """
    lengths = lengths.astype(np.int64)
    tails = _of_rows(_bytes_of(frame.masked(crcs).astype("<u4")))
    ends = np.cumsum(lengths + frame.FRAME_BYTES)
    behind_tails = ends[-1:].sum() - ends
    behind_data = behind_tails + frame.TAIL_BYTES
    parts = [_of_rows(heads(lengths)), crcs, tails]
    behind = [behind_data + lengths, behind_data, behind_tails]
    return int(np.bitwise_xor.reduce(_with_zeros(np.concatenate(parts), np.concatenate(behind))))


def _bytes_of(numbers: np.ndarray) -> np.ndarray:
    return numbers.view(np.uint8).reshape(len(numbers), numbers.itemsize)


def _of_rows(rows: np.ndarray) -> np.ndarray:
    """The CRC-32C of each row of bytes."""
    size = rows.shape[1]
    crcs = np.full(len(rows), google_crc32c.value(bytes(size)), np.uint32)
    for position, table in enumerate(_changes(size)):
        crcs ^= table[rows[:, position]]
    return crcs


@functools.cache
def _changes(size: int) -> list[np.ndarray]:
    """What each byte at each place changes in the checksum of so many zeros."""
    zeros = google_crc32c.value(bytes(size))
    return [
        np.array(
            [
                google_crc32c.value(bytes(at) + bytes([byte]) + bytes(size - at - 1)) ^ zeros
                for byte in range(256)
            ],
            np.uint32,
        )
        for at in range(size)
    ]


def _with_zeros(crcs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What so many zero bytes behind them make of checksums."""
    for place in range(0, int(counts.max(initial=0)).bit_length(), _DIGIT_BITS):
        crcs = _looked_up(_zeros(place), crcs, counts >> place & (1 << _DIGIT_BITS) - 1)
    return crcs


@functools.cache
def _zeros(place: int) -> np.ndarray:
    """What 0, 1, 2, ... times 2**`place` zero bytes do to each byte of a checksum.

    Returns:
        uint32 of shape (2**`_DIGIT_BITS` * 4 * 256,).
    """
    one = np.arange(256, dtype=np.uint32)[None] << np.array([[0], [8], [16], [24]], np.uint32)
    made = [one.ravel()]
    if place:
        # As many as all digits of the place before have, and one.
        before = _zeros(place - _DIGIT_BITS)
        one = _looked_up(before, before[-one.size :], np.ones(1, np.int64))
    else:
        low = np.uint32(1)
        for _ in range(8):
            one = (one >> low) ^ (one & low) * np.uint32(_POLYNOMIAL)
        one = one.ravel()
    for _ in range(1, 1 << _DIGIT_BITS):
        made.append(_looked_up(one, made[-1], np.zeros(1, np.int64)))
    return np.concatenate(made)


def _looked_up(tables: np.ndarray, crcs: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """What tables as `_zeros` has them, of which each checksum has its own, make of checksums."""
    at = digits << 10
    found: np.ndarray = tables.take(at + (crcs & 0xFF))
    for byte in range(1, 4):
        found ^= tables.take(at + (256 * byte) + (crcs >> 8 * byte & 0xFF))
    return found
