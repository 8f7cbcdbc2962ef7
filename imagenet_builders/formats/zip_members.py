r"""Lists the members of a zip archive, and reads them in place; refuses one that is not whole.

`zipfile` believes what an archive says of itself: sizes, names, a start in the middle of the file.
Here the directory and the header in front of each member must agree, members must lie one after
another inside the file, and nothing is read, inflated or allocated on the archive's word alone.
A range of a file can be listed, so a zip that is stored uncompressed inside a zip (an npz, say) is
read in place.

Source: PKWARE's APPNOTE.TXT 6.3.10.

>>> import tempfile, zipfile
>>> with tempfile.TemporaryFile() as file:
...     with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
...         made.writestr("a/hello.txt", "hello " * 100)
...     file.flush()
...     [member] = list_members(file.fileno(), "greetings.zip")
...     member.name, member.method, member.size
...     read(file.fileno(), "greetings.zip", member, limit=1000)[:6]
('a/hello.txt', 'deflated', 600)
b'hello '
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Generator, Iterator
from typing import NamedTuple

from isal import igzip_lib, isal_zlib

from imagenet_builders.formats.zip_directory import (
    COPY_AGAIN,
    ENCRYPTED,
    FULL32,
    METHODS,
    SIZES_FOLLOW,
    UTF8,
    Place,
    archive_error,
    find_directory,
    read_directory,
    reading,
)

_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7

# Deflate cannot do better than 258 bytes for two bits. Source: RFC 1951, 3.2.5.
_MOST_DEFLATED = 1032
SUSPICIOUS_RATIO = 100
"""A large member that shrank more than this is a bomb: pictures do not."""
_SUSPICIOUS_BYTES = 64 << 20

_CHUNK = 1 << 20


class ZipMember(NamedTuple):
    """A member of a zip archive, and the place of its bytes.

    Attributes:
        name: With `/` between directories; a directory's ends in `/`.
        method: `stored` or `deflated`.
        offset: Of the first byte of its data, from the beginning of the file on disk.
        compressed_size: Bytes of its data there.
        size: Bytes of the member itself.
        crc: CRC-32 of the member itself.
        header_offset: Of the header in front of its data.
    """

    name: str
    method: str
    offset: int
    compressed_size: int
    size: int
    crc: int
    header_offset: int

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, which has no bytes."""
        return self.name.endswith("/")

    @property
    def file_name(self) -> str:
        """The name without its directories; empty for a directory."""
        return self.name.rpartition("/")[2]


def list_members(
    fd: int, archive: str, *, start: int = 0, end: int | None = None, inner: str | None = None
) -> list[ZipMember]:
    """Lists the members of a zip archive in the order of their data.

    All reads are `pread`s.

    Args:
        fd: Open descriptor of the file on disk.
        archive: Path of that file, for messages.
        start: Where the archive begins in the file; other than 0 for a zip inside a zip.
        end: Where it ends in the file; the end of the file if None.
        inner: Name of the inner archive, for messages.

    Returns:
        The members, directories among them.

    Raises:
        ArchiveError: What is there is not one whole zip archive, or one that does not belong here:
            cut off, damaged, encrypted, in several parts, with a name twice or one that leads out
            of it, a link, an unknown compression, overlapping members, a bomb.
    """
    with reading(archive, inner):
        place = Place(fd, archive, start, end, inner)
        directory, size, count = find_directory(place)
        entries = read_directory(place, directory, size, count)
        entries.sort(key=lambda entry: entry.header_offset)
        return _in_order(place, entries, directory)


def chunks(
    fd: int, archive: str, member: ZipMember, *, inner: str | None = None
) -> Generator[bytes]:
    """Yields the bytes of a member, inflated where need be, and checks them.

    Args:
        fd: Open descriptor of the file on disk.
        archive: Path of that file, for messages.
        member: One of its members.
        inner: Name of the inner archive that it is a member of, for messages.

    Yields:
        Some bytes, about a megabyte at a time; never more in all than `member.size`.

    Raises:
        ArchiveError: They cannot be inflated, or are not as many, or do not have the CRC-32, that
            the archive says. Only a caller that reads to the end knows that the bytes are right.
    """
    crc = 0
    left = member.size
    source = _raw if member.method == "stored" else _inflated
    for data in source(fd, archive, member, inner):
        left -= len(data)
        if left < 0:
            break
        crc = isal_zlib.crc32(data, crc)
        yield data
    if left or crc != member.crc:
        found = "other bytes" if not left else "more" if left < 0 else f"{left:,} bytes less"
        raise archive_error(
            archive,
            f"expected {member.size:,} bytes with the CRC-32 {member.crc:08x}, found {found}; the "
            f"archive is damaged, {COPY_AGAIN}",
            inner,
            member.name,
            member.offset,
        )


def read(
    fd: int, archive: str, member: ZipMember, *, limit: int, inner: str | None = None
) -> bytes:
    """All bytes of a small member.

    Args:
        fd: Open descriptor of the file on disk.
        archive: Path of that file, for messages.
        member: One of its members.
        limit: The most bytes that it may have.
        inner: Name of the inner archive that it is a member of, for messages.

    Returns:
        Its bytes.

    Raises:
        ArchiveError: It is larger, or damaged.
    """
    if member.size > limit:
        raise archive_error(
            archive,
            f"expected at most {limit:,} bytes, found {member.size:,}; this is not the archive "
            "that its name says",
            inner,
            member.name,
            member.header_offset,
        )
    return b"".join(chunks(fd, archive, member, inner=inner))


def _raw(fd: int, archive: str, member: ZipMember, inner: str | None) -> Iterator[bytes]:
    """The stored data of a member; fewer bytes where the file ends before."""
    position, end = member.offset, member.offset + member.compressed_size
    while position < end:
        with reading(archive, inner, member.name, position):
            data = os.pread(fd, min(_CHUNK, end - position), position)
        if not data:
            return
        position += len(data)
        yield data


def _inflated(fd: int, archive: str, member: ZipMember, inner: str | None) -> Iterator[bytes]:
    """The inflated bytes of a member, and at most a chunk more than its size."""
    inflater = isal_zlib.decompressobj(-15)
    given = produced = 0
    for data in _raw(fd, archive, member, inner):
        given += len(data)
        while not inflater.eof:
            try:
                out = inflater.decompress(data, _CHUNK)
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # Its stub is wrong.
                raise archive_error(
                    archive,
                    f"the compressed data are damaged ({error}) after {produced:,} of "
                    f"{member.size:,} bytes, {COPY_AGAIN}",
                    inner,
                    member.name,
                    member.offset + given - len(data),
                ) from None
            stuck = not out and len(inflater.unconsumed_tail) == len(data)
            data = inflater.unconsumed_tail
            produced += len(out)
            if out:
                yield out
            if produced > member.size:
                return
            if stuck or (not data and len(out) < _CHUNK):
                break
        if inflater.eof:
            break
    if not inflater.eof or given - len(inflater.unused_data) != member.compressed_size:
        raise archive_error(
            archive,
            f"the compressed data do not end where the archive says, after "
            f"{member.compressed_size:,} bytes; it is damaged, {COPY_AGAIN}",
            inner,
            member.name,
            member.offset,
        )


def _in_order(place: Place, entries: list[zipfile.ZipInfo], directory: int) -> list[ZipMember]:
    """The members, which must lie one after another in front of the directory."""
    members: list[ZipMember] = []
    names = set()
    limit = place.start
    for entry in entries:
        member = member_of(place, entry)
        if member.header_offset < limit or member.name in names:
            what = "there twice" if member.name in names else "inside the one before it"
            raise place.error(
                f"this member is {what}, so the archive is damaged or made to deceive",
                member.header_offset,
                member.name,
            )
        names.add(member.name)
        limit = member.offset + member.compressed_size
        if limit > directory:
            raise place.error(
                f"expected {member.compressed_size:,} bytes, which would lead into the "
                f"directory at byte {directory:,}; the archive is damaged, {COPY_AGAIN}",
                member.offset,
                member.name,
            )
        members.append(member)
    return members


def member_of(place: Place, entry: zipfile.ZipInfo) -> ZipMember:
    """A member, once the header in front of its data agrees with the directory.

    Raises:
        ArchiveError: It does not, or what both say cannot be.
    """
    at = place.start + entry.header_offset
    name = entry.orig_filename.encode("utf-8" if entry.flag_bits & UTF8 else "cp437")
    header = place.read_near(at, _LOCAL.size + len(name))
    sound = header[:4] == b"PK\x03\x04" and header[_LOCAL.size :] == name
    extra_length = 0
    if sound:
        _, _, flags, method, _, _, *numbers, name_length, extra_length = _LOCAL.unpack_from(header)
        directory = entry.CRC, entry.compress_size, entry.file_size
        sound = (
            name_length == len(name)
            and method == entry.compress_type
            and flags & (ENCRYPTED | SIZES_FOLLOW) == entry.flag_bits & SIZES_FOLLOW
            and (
                bool(flags & SIZES_FOLLOW)
                or tuple(numbers) == directory
                or all(a in (b, FULL32) for a, b in zip(numbers, directory, strict=True))
            )
        )
    if not sound:
        raise place.error(
            "expected the header of this member here, as the directory says it; one of "
            f"them is damaged, {COPY_AGAIN}",
            at,
            entry.filename,
        )
    member = ZipMember(
        entry.filename,
        METHODS[entry.compress_type],
        at + len(header) + extra_length,
        entry.compress_size,
        entry.file_size,
        entry.CRC,
        at,
    )
    _check_sizes(place, member)
    return member


def _check_sizes(place: Place, member: ZipMember) -> None:
    size, compressed = member.size, member.compressed_size
    problem = None
    if member.is_directory and size:
        problem = f"a directory that has {size:,} bytes"
    elif member.method == "stored":
        if size != compressed:
            problem = f"expected {size:,} bytes stored as they are, found {compressed:,}"
    elif size > _MOST_DEFLATED * compressed:
        problem = f"{size:,} bytes cannot come out of {compressed:,}"
    elif size > max(_SUSPICIOUS_BYTES, SUSPICIOUS_RATIO * compressed):
        problem = f"{compressed:,} bytes that become {size:,}, as in a zip bomb"
    if problem is not None:
        raise place.error(
            f"{problem}; the archive is damaged or made to deceive", member.offset, member.name
        )
