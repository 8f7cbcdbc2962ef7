"""Headers that are checked at once are taken or left as they are one by one."""

from __future__ import annotations

import random
import tarfile
from typing import Any

import numpy as np

from imagenet_builders.formats.tar_blocks import plain_file_sizes
from imagenet_builders.formats.tar_header import BLOCK, plain_file, plain_file_size


def header(rng: random.Random) -> bytes:
    info = tarfile.TarInfo(rng.choice(["n01440764_1.JPEG", "a" * 99, "a" * 100, "x/" * 80, "\xe9"]))
    info.size = rng.choice([0, 1, 511, 109_527, 8**11 - 1, 8**11])
    info.mtime = rng.choice([0, 1_700_000_000])
    info.uname = rng.choice(["", "root", "\xe9"])
    info.type = rng.choice([tarfile.REGTYPE] * 5 + [tarfile.AREGTYPE, tarfile.DIRTYPE, b"7"])
    info.mode = rng.choice([0o644, 0o7777])
    form: Any = rng.choice([tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    try:
        return info.tobuf(form, "utf-8", "surrogateescape")[-BLOCK:]
    except ValueError:  # What ustar cannot have.
        return plain_file("n01440764_1.JPEG", 5)


def with_checksum(block: bytearray, digits: bytes = b"%06o\0 ") -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = digits % sum(block)
    return bytes(block)


def changed(rng: random.Random, block: bytes) -> bytes:
    """The same, or with a byte changed: in half of them, one whose checksum is right again."""
    data = bytearray(block)
    kind = rng.randrange(5)
    if kind == 0:
        return block
    place = rng.choice([rng.randrange(BLOCK), rng.choice([99, 124, 134, 135, 148, 155, 156, 345])])
    data[place] = rng.choice([0, 0x20, 0x30, 0x37, 0x38, 0x39, 0x80, rng.randrange(256)])
    if kind == 1:
        return bytes(data)
    spelling = rng.choice([b"%06o\0 "] * 4 + [b"%07o\0", b"%6o\0 ", b"%07o "])
    return with_checksum(data, spelling) if sum(data) < 8**6 else bytes(data)


def test_sizes_are_those_of_each_header_alone():
    rng = random.Random(20261130)
    blocks = [changed(rng, header(rng)) for _ in range(6000)] + [bytes(BLOCK), b"\xff" * BLOCK]
    expected = [plain_file_size(block) for block in blocks]
    table = np.frombuffer(b"".join(blocks), np.uint8).reshape(-1, BLOCK)
    found = plain_file_sizes(table)
    assert found.dtype == np.int64
    assert [None if size < 0 else size for size in found.tolist()] == expected
    plain = sum(size is not None for size in expected)
    assert 400 < plain < 3000
    # Headers with other bytes between them.
    wide = np.concatenate([table, table[::-1]], axis=1)
    assert (plain_file_sizes(wide[:, :BLOCK]) == found).all()


def test_there_may_be_no_headers():
    assert plain_file_sizes(np.empty((0, BLOCK), np.uint8)).shape == (0,)
