"""The CRC-32C of a whole TFRecord file, from those of its records, which are known anyway.

A checksum is linear: that of two texts is that of the first, with as many zero bytes behind it as
the second has, added to that of the second. What zero bytes do to a checksum is a matrix of bits,
of which tables are made here for every power of two of zeros, so that a thousand records take as
many steps as one. To read a file's bytes once more for its checksum takes five times as long.

Source: Mark Adler's `crc32_combine` in zlib. "Add" is exclusive or.
"""

from __future__ import annotations

import functools

import google_crc32c
import numpy as np

from imagenet_builders.formats.tfrecord import frame

_POLYNOMIAL = 0x82F63B78  # Of CRC-32C, lowest power first.


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
    tails = _bytes_of(frame.masked(crcs).astype("<u4"))
    behind_data = np.full_like(lengths, frame.TAIL_BYTES)
    framed = _of_rows(tails)
    framed ^= _with_zeros(crcs, behind_data)
    framed ^= _with_zeros(_of_rows(heads(lengths)), lengths + behind_data)
    ends = np.cumsum(lengths + frame.FRAME_BYTES)
    behind = ends[-1:].sum() - ends
    return int(np.bitwise_xor.reduce(_with_zeros(framed, behind), initial=0))


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
    crcs = crcs.copy()
    for power in range(int(counts.max(initial=0)).bit_length()):
        chosen = np.flatnonzero(counts >> power & 1)
        crcs[chosen] = _looked_up(_zeros(power), crcs[chosen])
    return crcs


@functools.cache
def _zeros(power: int) -> np.ndarray:
    """What 2**`power` zero bytes do to each byte of a checksum, uint32 of shape (4, 256)."""
    if power:
        half = _zeros(power - 1)
        return _looked_up(half, half.ravel()).reshape(4, 256)
    crcs = np.arange(256, dtype=np.uint32)[None] << np.array([[0], [8], [16], [24]], np.uint32)
    one = np.uint32(1)
    for _ in range(8):
        crcs = (crcs >> one) ^ (crcs & one) * np.uint32(_POLYNOMIAL)
    return crcs


def _looked_up(table: np.ndarray, crcs: np.ndarray) -> np.ndarray:
    found: np.ndarray = table[0][crcs & 0xFF]
    for number in range(1, 4):
        found = found ^ table[number][crcs >> 8 * number & 0xFF]
    return found
