"""The parts of an ArrayRecord file that its library does not look at: headers, footer, padding.

The library checks the data of the records it is asked for. A byte that is changed in the file's
signature, in its footer, or in the padding goes unnoticed, so these are read here.

Sources: riegeli/doc/riegeli_records_file_format.md; HighwayHash's portable implementation.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from imagenet_builders.verify.problems import FileError

_BLOCK = 1 << 16
_BLOCK_HEADER = 24
_CHUNK_HEADER = 40
_READ_BYTES = 1 << 20
_MAX_HASHED = 1 << 26  # The footer of a shard has some ten bytes a record.

_MASK = (1 << 64) - 1
_KEY = struct.unpack("<4Q", b"Riegeli/records\nRiegeli/records\n")
_INIT_0 = (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3)
_INIT_1 = (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377)


def check_structure(path: str, records: int) -> None:
    """Checks everything but the data of the first `records` records, which the library checks.

    Args:
        path: The file.
        records: Number of records in it.

    Raises:
        FileError: Something is damaged.
    """
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        blocks = _check_blocks(file, size)
        position, left = 0, records
        first = True
        while position < size:
            if position % _BLOCK == 0 and not blocks[position // _BLOCK]:
                _check_zeros(file, position, size)
                return
            header, after = _read(file, position, _CHUNK_HEADER, size)
            if not any(header):
                _check_zeros(file, position, size, skip_headers=True)
                return
            stored, length, data_hash, kind, _ = struct.unpack("<5Q", header)
            if highway_hash(header[8:]) != stored:
                raise FileError("the header of a chunk is damaged", position)
            if first and (kind != ord("s") or length):
                raise FileError("the signature of the file is missing", position)
            count = kind >> 8
            end = _after(after, length)
            if end > size:
                raise FileError("a chunk goes beyond the end of the file", position)
            if kind & 0xFF == ord("r") and count <= left and left:
                left -= count
            else:
                if length > _MAX_HASHED:
                    raise FileError("a chunk that is not of records is too large", position)
                data, end = _read(file, after, length, size)
                if kind & 0xFF == ord("p"):
                    if any(data) or data_hash != zeros_hash(length):
                        raise FileError("the padding is damaged", position)
                elif highway_hash(data) != data_hash:
                    raise FileError("the data of a chunk are damaged", position)
            first = False
            position = end


def _check_blocks(file: BinaryIO, size: int) -> list[bool]:
    """Checks the header of each block; says which have one and are not padding."""
    there = []
    for start in range(0, size, _BLOCK):
        file.seek(start)
        header = file.read(_BLOCK_HEADER)
        there.append(any(header))
        if any(header) and (
            len(header) < _BLOCK_HEADER
            or highway_hash(header[8:]) != int.from_bytes(header[:8], "little")
        ):
            raise FileError("the header of a block is damaged", start)
    return there


def _after(position: int, length: int) -> int:
    """Where so many bytes end, with the headers of the blocks between."""
    if not length:
        return position
    if position % _BLOCK == 0:
        position += _BLOCK_HEADER
    room = _BLOCK - position % _BLOCK
    if length <= room:
        return position + length
    full, rest = divmod(length - room, _BLOCK - _BLOCK_HEADER)
    end = position + room + full * _BLOCK
    return end + _BLOCK_HEADER + rest if rest else end


def _read(file: BinaryIO, position: int, length: int, size: int) -> tuple[bytes, int]:
    """So many bytes without the headers of blocks, and where they end."""
    end = _after(position, length)
    if end > size:
        raise FileError("the file ends within a chunk", position)
    file.seek(position)
    data = file.read(end - position)
    parts = []
    at = 0
    while at < len(data):
        if (position + at) % _BLOCK == 0:
            at += _BLOCK_HEADER
        step = _BLOCK - (position + at) % _BLOCK
        parts.append(data[at : at + step])
        at += step
    return b"".join(parts)[:length], end


def _check_zeros(file: BinaryIO, position: int, size: int, *, skip_headers: bool = False) -> None:
    while position < size:
        if skip_headers and position % _BLOCK == 0:
            position += _BLOCK_HEADER
        file.seek(position)
        data = file.read(min(_BLOCK - position % _BLOCK, size - position))
        if any(data):
            raise FileError("the padding is damaged", position)
        position += max(1, len(data))


_zeros_hashes: dict[int, int] = {}


def zeros_hash(length: int) -> int:
    """The hash of so many zeros."""
    if length not in _zeros_hashes:
        _zeros_hashes[length] = highway_hash(bytes(length))
    return _zeros_hashes[length]


def highway_hash(data: bytes) -> int:
    """HighwayHash of 64 bits under Riegeli's key.

    Args:
        data: The bytes; some 3 MB a second are hashed.

    Returns:
        The hash.

    >>> hex(highway_hash(b""))
    '0x72c3b1e9c0139fe1'
    """
    state = [
        [a ^ b for a, b in zip(_INIT_0, _KEY, strict=True)],
        [a ^ (b >> 32 | b << 32 & _MASK) for a, b in zip(_INIT_1, _KEY, strict=True)],
        list(_INIT_0),
        list(_INIT_1),
    ]
    whole = len(data) & ~31
    for lanes in struct.iter_unpack("<4Q", data[:whole]):
        _update(state, lanes)
    if rest := data[whole:]:
        _update_rest(state, rest)
    v0, v1, m0, m1 = state
    for _ in range(4):
        permuted = [v0[i] >> 32 | v0[i] << 32 & _MASK for i in (2, 3, 0, 1)]
        _update(state, (permuted[0], permuted[1], permuted[2], permuted[3]))
    result: int = (v0[0] + v1[0] + m0[0] + m1[0]) & _MASK
    return result


def _update(state: list[list[int]], lanes: tuple[int, ...]) -> None:
    v0, v1, m0, m1 = state
    for i in range(4):
        v1[i] = (v1[i] + m0[i] + lanes[i]) & _MASK
        m0[i] ^= (v1[i] & 0xFFFFFFFF) * (v0[i] >> 32)
        v0[i] = (v0[i] + m1[i]) & _MASK
        m1[i] ^= (v0[i] & 0xFFFFFFFF) * (v1[i] >> 32)
    for source, target in ((v1, v0), (v0, v1)):
        for i in (0, 2):
            low, high = _zipped(source[i + 1], source[i])
            target[i] = (target[i] + low) & _MASK
            target[i + 1] = (target[i + 1] + high) & _MASK


def _zipped(a: int, b: int) -> tuple[int, int]:
    """HighwayHash's `ZipperMerge` of two lanes."""
    low = (
        ((b & 0xFF000000) | (a & 0xFF00000000)) >> 24
        | ((b & 0xFF0000000000) | (a & 0xFF000000000000)) >> 16
        | (b & 0xFF0000)
        | (b & 0xFF00) << 32
        | (a & 0xFF00000000000000) >> 8
        | (b << 56) & _MASK
    )
    high = (
        ((a & 0xFF000000) | (b & 0xFF00000000)) >> 24
        | (a & 0xFF0000)
        | (a & 0xFF0000000000) >> 16
        | (a & 0xFF00) << 24
        | (b & 0xFF000000000000) >> 8
        | (a & 0xFF) << 48
        | (b & 0xFF00000000000000)
    )
    return low, high


def _update_rest(state: list[list[int]], rest: bytes) -> None:
    size = len(rest)
    v0, v1 = state[0], state[1]
    for i in range(4):
        v0[i] = (v0[i] + (size << 32) + size) & _MASK
        halves = (v1[i] & 0xFFFFFFFF, v1[i] >> 32)
        low, high = ((half << size | half >> (32 - size)) & 0xFFFFFFFF for half in halves)
        v1[i] = low | high << 32
    packet = bytearray(32)
    fours, odd = size & ~3, size & 3
    packet[:fours] = rest[:fours]
    if size & 16:
        packet[28:32] = rest[fours + odd - 4 : fours + odd]
    elif odd:
        packet[16] = rest[fours]
        packet[17] = rest[fours + (odd >> 1)]
        packet[18] = rest[fours + odd - 1]
    _update(state, struct.unpack("<4Q", packet))
