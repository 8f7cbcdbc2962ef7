"""The checksum of a file, from those of its records, is that of its bytes."""

from __future__ import annotations

import random

import google_crc32c
import numpy as np
import pytest

from imagenet_builders.formats.tfrecord import checksums, frame

SIZES = (0, 1, 2, 3, 255, 256, 4095, 70_000, 1 << 20)


@pytest.mark.parametrize("records", [0, 1, 2, 3, 100])
def test_is_that_of_the_files_bytes(records: int) -> None:
    rng = random.Random(records)
    made = [rng.randbytes(rng.choice(SIZES)) for _ in range(records)]
    crc = 0
    for record in made:
        before, after, _ = frame.frame([record])
        crc = google_crc32c.extend(crc, before + record + after)
    lengths = np.array([len(record) for record in made], np.uint32)
    crcs = np.array([google_crc32c.value(record) for record in made], np.uint32)
    assert checksums.of_file(lengths, crcs) == crc


def test_heads_are_those_of_frames() -> None:
    lengths = [0, 1, 255, 256, 65_535, 1 << 24, (1 << 32) - 1]
    heads = checksums.heads(np.array(lengths, np.uint32))
    for length, head in zip(lengths, heads, strict=True):
        packed = length.to_bytes(8, "little")
        crc = frame.masked(google_crc32c.value(packed))
        assert head.tobytes() == packed + crc.to_bytes(4, "little")


def test_files_of_many_gigabytes_need_no_more_steps() -> None:
    """A record of 3 GB, three times: by its checksum alone, and put together from its parts."""
    size, crc = 3 << 30, 0x12345678
    lengths, crcs = np.full(3, size, np.int64), np.full(3, crc, np.uint32)
    by_parts = 0
    zeros = 1 << 20
    for _ in range(3):
        before, after = (
            checksums.heads(lengths[:1]).tobytes(),
            frame.masked(crc).to_bytes(4, "little"),
        )
        by_parts = google_crc32c.extend(by_parts, before)
        # So many zero bytes behind it: twice as many, again and again, by the rule for a record.
        by_parts = _behind(by_parts, size) ^ crc
        by_parts = google_crc32c.extend(by_parts, after)
    assert checksums.of_file(lengths, crcs) == by_parts
    assert _behind(0x1234, zeros) == _plainly_behind(0x1234, zeros)


def _behind(crc: int, zeros: int) -> int:
    """`crc32_combine` of zlib for CRC-32C, as it stands there: with matrices of 32 columns."""
    odd = [0x82F63B78, *(1 << bit for bit in range(31))]  # One zero bit.
    even = _squared(odd)
    odd = _squared(even)
    while True:
        even = _squared(odd)
        if zeros & 1:
            crc = _times(even, crc)
        zeros >>= 1
        if not zeros:
            return crc
        odd = even


def _times(matrix: list[int], vector: int) -> int:
    result = 0
    for column in matrix:
        if vector & 1:
            result ^= column
        vector >>= 1
    return result


def _squared(matrix: list[int]) -> list[int]:
    return [_times(matrix, column) for column in matrix]


def _plainly_behind(crc: int, zeros: int) -> int:
    """The same from what checksums are: linear but for what stands for nothing."""
    return google_crc32c.extend(crc, bytes(zeros)) ^ google_crc32c.value(bytes(zeros))
