"""Lists some of the members of a zip archive of millions, a few thousand entries at a time.

`zip_members` holds the whole directory, and reads the archive in front of each member; here a
directory of 300 MB passes by, and only the headers of the members that are wanted are read.

Source: PKWARE's APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import itertools
import struct
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from imagenet_builders.formats.zip_directory import (
    COPY_AGAIN,
    Place,
    entries_in,
    find_directory,
    reading,
)
from imagenet_builders.formats.zip_members import ZipMember, member_of
from imagenet_builders.words import counted

MAX_MEMBERS = 1 << 22
MAX_DIRECTORY_BYTES = 1 << 30
"""Bounds on the directory, of which a part is in memory; Kaggle's has 2 million and 0.3 GB."""

_ENTRY = struct.Struct("<4s24xHHH12x")  # 4.3.12: its magic, and the lengths of what follows
_HEAD_BYTES = 4096
_MAGIC = b"PK\1\2"
_READ_BYTES = 4 << 20
_MOST_ENTRY_BYTES = _ENTRY.size + 3 * 0xFFFF

# A header is read with what follows it in one read; cold storage answers many as fast as one.
_HEADER_BYTES = 512
_BATCH = 512
_THREADS = 8


def list_inside(
    fd: int, archive: str, inside: str, *, window: int = _HEADER_BYTES
) -> Iterator[ZipMember]:
    """The members of an archive that are files and lie in a folder, in the order of the directory.

    Args:
        fd: Open descriptor of the file.
        archive: Its path, for messages.
        inside: Path of the folder. Other folders may be above it.
        window: How many bytes are read at a time where members lie; more than a header where they
            are small and lie side by side.

    Yields:
        The members. That they lie apart is for the caller to see to, who has all of them.

    Raises:
        ArchiveError: The archive is damaged, is one of several parts, or has more than
            `MAX_MEMBERS`; or one of these members cannot be read.
    """
    with reading(archive, None):
        place = Place(fd, archive, 0, None, None)
        directory, size, count = find_directory(place, MAX_MEMBERS, MAX_DIRECTORY_BYTES)
        wanted = f"/{inside}/".encode()
        entries = _entries(place, directory, size, count, wanted)
        with ThreadPoolExecutor(_THREADS) as threads:
            while some := list(itertools.islice(entries, _THREADS * _BATCH)):
                batches = [some[at : at + _BATCH] for at in range(0, len(some), _BATCH)]
                for members in threads.map(
                    lambda batch: _members(Place(fd, archive, 0, None, None, window), batch),
                    batches,
                ):
                    for member in members:
                        if member.offset + member.compressed_size > directory:
                            raise place.error(
                                f"expected {member.compressed_size:,} bytes, which would lead into "
                                f"the directory at byte {directory:,}; the archive is damaged, "
                                f"{COPY_AGAIN}",
                                member.offset,
                                member.name,
                            )
                        yield member


def list_names(fd: int, archive: str, inside: str) -> Iterator[zipfile.ZipInfo]:
    """The entries of an archive that are files and lie in a folder, by its directory alone.

    Args:
        fd: Open descriptor of the file.
        archive: Its path, for messages.
        inside: As for `list_inside`.

    Yields:
        The entries, in the order of the directory.

    Raises:
        ArchiveError: As `list_inside`, but for what is wrong where members lie.
    """
    place = Place(fd, archive, 0, None, None)
    directory = find_directory(place, MAX_MEMBERS, MAX_DIRECTORY_BYTES)
    for entry in _entries(place, *directory, f"/{inside}/".encode()):
        if not entry.is_dir():
            yield entry


def count_members(fd: int, archive: str) -> int:
    """Number of members of an archive, folders among them, by its last bytes.

    Args:
        fd: Open descriptor of the file.
        archive: Its path, for messages.

    Raises:
        ArchiveError: It is no zip archive, is damaged, or has too many.
    """
    place = Place(fd, archive, 0, None, None)
    return find_directory(place, MAX_MEMBERS, MAX_DIRECTORY_BYTES)[2]


def _members(place: Place, entries: list[zipfile.ZipInfo]) -> list[ZipMember]:
    return [member_of(place, entry) for entry in entries if not entry.is_dir()]


def _entries(
    place: Place, position: int, size: int, count: int, wanted: bytes
) -> Iterator[zipfile.ZipInfo]:
    """The entries whose names have `wanted` in them."""
    seen, end = 0, position + size
    data, begin = b"", position
    while begin < end:
        data = place.read(begin, min(_READ_BYTES + _MOST_ENTRY_BYTES, end - begin))
        at = 0
        kept: list[bytes] = []
        while at < min(len(data), _READ_BYTES):
            if len(data) - at < _ENTRY.size:
                raise _damaged(place, begin + at)
            magic, name, extra, comment = _ENTRY.unpack_from(data, at)
            length = _ENTRY.size + name + extra + comment
            if magic != _MAGIC or at + length > len(data):
                raise _damaged(place, begin + at)
            seen += 1
            if wanted in b"/" + data[at + _ENTRY.size : at + _ENTRY.size + name].replace(
                b"\\", b"/"
            ):
                kept.append(data[at : at + length])
            at += length
        if seen > count:
            break
        if kept:
            yield from entries_in(place, b"".join(kept), len(kept), begin)
        begin += at
    if seen != count:
        raise place.error(
            f"the directory is damaged ({counted(seen, 'entry', 'entries')} instead of {count:,}), "
            f"{COPY_AGAIN}",
            position,
        )


def _damaged(place: Place, position: int) -> Exception:
    return place.error(f"the directory is damaged here, {COPY_AGAIN}", position)


def is_large(fd: int, archive: str, folder: str) -> bool:
    """Whether an archive has a folder early in its directory, whose size may be any.

    Args:
        fd: Open descriptor of the file.
        archive: Its path, for messages.
        folder: Name of the folder.

    Raises:
        ArchiveError: It is no zip archive, or is cut off.
    """
    place = Place(fd, archive, 0, None, None)
    directory, size, _ = find_directory(place, MAX_MEMBERS, MAX_DIRECTORY_BYTES)
    return f"/{folder}/".encode() in place.read(directory, min(size, _HEAD_BYTES))
