"""Damage to a file: where it may matter, and what storage, copies and strangers do to it."""

from __future__ import annotations

import bisect
import gzip
import random
import re
import zlib
from collections.abc import Callable

# What begins a structure, how far before it that begins, and how long it is.
_STRUCTURES = (
    (b"ustar", 257, 512),
    (b"PK\x01\x02", 0, 46 + 40),
    (b"PK\x03\x04", 0, 30 + 40),
    (b"PK\x05\x06", 0, 22),
    (b"PK\x06\x06", 0, 56),
    (b"PK\x06\x07", 0, 20),
    (b"\x93NUMPY", 0, 128),
    (b"image/", 8, 60),
    (b"<annotation", 0, 600),
    (b"\xff\xd8\xff", 0, 700),
)
_EXTREMES = (b"\0" * 8, b"\xff" * 8, b"\xff\xff\xff\x7f" * 2, b"\0\0\0\x80" * 2, b"\1" + b"\0" * 7)

Range = tuple[int, int]


def structures(data: bytes) -> list[Range]:
    """Begin and length of what a reader goes by, in the order of the file."""
    found = {(0, min(len(data), 128)), (max(0, len(data) - 128), min(len(data), 128))}
    for mark, before, length in _STRUCTURES:
        for match in re.finditer(re.escape(mark), data):
            begin = match.start() - before
            if begin >= 0:
                found.add((begin, min(length, len(data) - begin)))
    if data.startswith(b"hsqs"):
        tables = int.from_bytes(data[64:72], "little")  # Of inodes; the others are behind it.
        found = {(0, 96), (tables, len(data) - tables)}
    return sorted(found)


def _point(data: bytes, rng: random.Random, places: list[Range]) -> int:
    """An offset: most are of pixels, so half of the time one of what is not."""
    if places and rng.random() < 0.7:
        begin, length = rng.choice(places)
        return min(begin + rng.randrange(max(1, length)), len(data) - 1)
    return rng.randrange(len(data))


def _boundary(data: bytes, rng: random.Random, places: list[Range]) -> int:
    return rng.choice(places)[0] if places else rng.randrange(len(data))


def flip(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    changed = bytearray(data)
    count = rng.choice([1, 1, 1, 2, 16])
    for _ in range(count):
        changed[_point(data, rng, places)] ^= 1 << rng.randrange(8)
    return f"{count} bits flipped", bytes(changed)


def overwrite(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    at, what = _point(data, rng, places), rng.choice([*_EXTREMES, rng.randbytes(8)])
    what = what[: rng.choice([1, 2, 4, 8])]
    return f"{what!r} at {at}", data[:at] + what + data[at + len(what) :]


def truncate_at_boundary(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    at = _boundary(data, rng, places)
    return f"cut at the boundary {at}", data[:at]


def truncate(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    at = rng.choice([_point(data, rng, places), 0, 1, len(data) - 1])
    return f"cut at {at}", data[:at]


def append(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    junk = rng.choice([b"\0", b"\0" * 512, b"junk\n", rng.randbytes(700), data, data[:512]])
    return f"{len(junk)} bytes appended", data + junk


def swap(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    size = rng.choice([512, 4096])
    one, other = (rng.randrange(-(-len(data) // size)) * size for _ in range(2))
    one, other = sorted((one, other))
    if other - one < size:
        return "nothing swapped", data
    a, b = data[one : one + size], data[other : other + size]
    return f"{size} at {one} and {other} swapped", b"".join(
        (data[:one], b, data[one + size : other], a, data[other + size :])
    )


def zero(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    at, size = _point(data, rng, places), rng.choice([1, 16, 512, 4096, 20_000])
    size = min(size, len(data) - at)
    return f"{size} zeros at {at}", data[:at] + bytes(size) + data[at + size :]


def zero_to_the_end(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    """Leaves zeros from some place on, as an interrupted preallocated copy does."""
    at = rng.choice([_boundary(data, rng, places), rng.randrange(len(data)) // 4096 * 4096])
    return f"zeros from {at} on", data[:at] + bytes(len(data) - at)


def remove(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    at, end = sorted((_boundary(data, rng, places), _boundary(data, rng, places)))
    if at == end:
        end = at + rng.choice([1, 512])
    return f"without {at} to {end}", data[:at] + data[end:]


def duplicate(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    """Members twice: what lies between two boundaries, again at a third."""
    starts = [begin for begin, _ in places] or [0]
    at = rng.choice(starts)
    following = bisect.bisect_right(starts, at) + rng.choice([0, 0, 1, 2])
    end = starts[following] if following < len(starts) else len(data)
    to = rng.choice([end, rng.choice(starts)])
    return f"{at} to {end} again at {to}", data[:to] + data[at:end] + data[to:]


def forge_tar_header(data: bytes, rng: random.Random, places: list[Range]) -> tuple[str, bytes]:
    """A byte of a tar header changed, with a checksum that is right again."""
    headers = [begin for begin, length in places if data[begin + 257 : begin + 262] == b"ustar"]
    if not headers:
        return overwrite(data, rng, places)
    begin = rng.choice(headers)
    block = bytearray(data[begin : begin + 512])
    at = rng.choice([rng.randrange(100), rng.randrange(124, 136), 156, rng.randrange(345, 512)])
    block[at] = rng.choice([*b"0123456789xgLKS/.n_\0\xff", rng.randrange(256)])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return f"forged header at {begin}, byte {at}", data[:begin] + block + data[begin + 512 :]


Damage = Callable[[bytes, random.Random, list[Range]], tuple[str, bytes]]
DAMAGES: tuple[Damage, ...] = (
    *(flip, flip, flip, overwrite, overwrite, truncate_at_boundary, truncate, append, swap, zero),
    *(zero_to_the_end, remove, duplicate, duplicate, forge_tar_header),
)


def damaged(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Another content of a file, and what was done to it.

    What is inside a gzip file is damaged as often as the file itself.
    """
    if not data:
        return "junk in an empty file", rng.randbytes(40)
    if data.startswith(b"\x1f\x8b") and rng.random() < 0.5:
        what, inside = damaged(gzip.decompress(data), rng)
        packer = zlib.compressobj(1, wbits=31)
        return f"inside: {what}", packer.compress(inside) + packer.flush()
    return rng.choice(DAMAGES)(data, rng, structures(data))
