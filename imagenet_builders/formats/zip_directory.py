"""Reads the directory at the end of a zip archive: what the archive says of its members.

The record at the very end must be there and must agree with everything before it; that is how a zip
archive that was cut off, or had something added, is found out. `zipfile` overlooks that, so the end
is read here; the entries are read by `zipfile`, from a number of bytes that is bounded.
`zip_members` goes on from here.

Source: PKWARE's APPNOTE.TXT 6.3.10, whose sections are named below.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import zipfile
from collections.abc import Iterator

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import member_names, signatures
from imagenet_builders.words import counted

MAX_MEMBERS = 1 << 18
MAX_DIRECTORY_BYTES = 64 << 20
"""Bounds on the directory, which is held in memory; that of 120,000 small images has 12 MB."""

METHODS = {0: "stored", 8: "deflated"}
"""The compression methods that can be read, by number (4.4.5)."""
ENCRYPTED, SIZES_FOLLOW, UTF8 = 1 << 0, 1 << 3, 1 << 11
"""Flags of a member (4.4.4)."""
FULL32 = 0xFFFFFFFF
"""The value of a 32-bit field whose number stands elsewhere, in 64 bits."""
COPY_AGAIN = "copy the archive again"
_JOIN = "join the parts first: zip -s 0 LAST_PART.zip --out WHOLE.zip"
_IN_PARTS = f"this is one part of a zip archive in several; {_JOIN}"

_HIDDEN_NAMES = 1 << 13
_METHOD_NAMES = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz", 99: "AES"}
ENTRY = b"PK\1\2"
"""What an entry begins with (4.3.12)."""
_ENTRY_BYTES = 46  # Without its name and what follows.
_FULL16 = 0xFFFF
_WINDOW = 256 << 10

_END = struct.Struct("<4s4H2LH")  # 4.3.16
_END64_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14


class NotReadError(ArchiveError):
    """An archive may be sound, but it is of a kind, or has a member, that is not read.

    The problem says what it is, and behind a semicolon what to do.
    """


class Place:
    """The place of a zip archive: a file, or a part of one.

    Args:
        fd: Open descriptor of the file on disk.
        archive: Path of that file, for messages.
        start: Where the archive begins in the file.
        end: Where it ends; the end of the file if None.
        inner: Name of the archive if it is inside another, for messages.
        window: How many bytes `read_near` reads at a time, at least.
    """

    def __init__(
        self,
        fd: int,
        archive: str,
        start: int,
        end: int | None,
        inner: str | None,
        window: int = _WINDOW,
    ):
        self._window_bytes = window
        self.start = start
        size = os.fstat(fd).st_size
        self.end = size if end is None else min(end, size)
        self._fd = fd
        self._archive = archive
        self._inner = inner
        self._window = (start, b"")

    def read(self, position: int, size: int) -> bytes:
        """Bytes of the archive; fewer where it ends before."""
        if position < self.start:
            return b""
        data = b""
        size = min(size, self.end - position)
        while len(data) < size:
            more = os.pread(self._fd, size - len(data), position + len(data))
            if not more:
                break
            data += more
        return data

    def read_near(self, position: int, size: int) -> bytes:
        """Like `read`, for small pieces in rising order: one read of the file serves many."""
        begin, data = self._window
        if not begin <= position <= position + size <= begin + len(data):
            begin, data = position, self.read(position, max(size, self._window_bytes))
            self._window = (begin, data)
        return data[position - begin : position - begin + size]

    def error(self, problem: str, offset: int, name: str | None = None) -> ArchiveError:
        """An error that names the problem and its place in the file."""
        return archive_error(self._archive, problem, self._inner, name, offset)

    def not_read(self, problem: str, offset: int, name: str | None = None) -> NotReadError:
        """The same, of what may be sound."""
        error = self.error(problem, offset, name)
        return NotReadError(error.archive, error.problem, member=error.member, offset=offset)


def find_directory(
    place: Place, most_members: int = MAX_MEMBERS, most_bytes: int = MAX_DIRECTORY_BYTES
) -> tuple[int, int, int]:
    """Finds the directory of an archive, by the record at its end.

    Args:
        place: The archive.
        most_members: Bound on its entries.
        most_bytes: Bound on its bytes.

    Returns:
        The directory's offset in the file, its bytes, and its number of entries.

    Raises:
        ArchiveError: There is no such record, it is damaged, or it is one of several parts.
        OSError: The file cannot be read.
    """
    at, fields = _find_end(place)
    disk, first_disk, here, count, size, offset = fields
    stop = at
    locator = place.read(at - _END64_LOCATOR.size, _END64_LOCATOR.size)
    if locator[:4] == b"PK\x06\x07":
        _, number, relative, disks = _END64_LOCATOR.unpack(locator)
        stop = place.start + relative
        end64 = place.read(stop, _END64.size)
        if number or disks > 1:
            raise place.not_read(_IN_PARTS, at)
        if end64[:4] != b"PK\x06\x06" or len(end64) < _END64.size:
            raise place.error(f"the end of the archive is damaged, {COPY_AGAIN}", at)
        _, length, _, _, disk, first_disk, here64, count64, size64, offset64 = _END64.unpack(end64)
        full = (_FULL16, _FULL16, FULL32, FULL32)
        narrow, wide = (here, count, size, offset), (here64, count64, size64, offset64)
        agree = all(n in (f, w) for n, w, f in zip(narrow, wide, full, strict=True))
        if stop + 12 + length != at - _END64_LOCATOR.size or not agree:
            raise place.error(f"the end of the archive contradicts itself, {COPY_AGAIN}", at)
        here, count, size, offset = wide
    if disk or first_disk or here != count:
        raise place.not_read(_IN_PARTS, at)
    if place.start + offset + size != stop:
        raise place.error(
            f"expected a directory of {size:,} bytes at byte {offset:,} of the archive, right "
            f"before its end; it was cut, damaged or joined to something else; compare it with the "
            "original",
            at,
        )
    if size > most_bytes or count > most_members or count * _ENTRY_BYTES > size:
        raise _too_large(place, stop - size, size, count, most_members)
    return stop - size, size, count


def read_directory(place: Place, position: int, size: int, count: int) -> list[zipfile.ZipInfo]:
    """Reads the directory of an archive.

    Args:
        place: The archive.
        position: The directory's offset in the file.
        size: Its bytes, at most `MAX_DIRECTORY_BYTES`.
        count: Its number of entries, at most `MAX_MEMBERS`.

    Returns:
        The entries, in its order.

    Raises:
        ArchiveError: It is damaged, or has a member that is encrypted, a link, compressed in a way
            that is not read, or has a name that leads out of the archive.
        OSError: The file cannot be read.
    """
    data = place.read(position, size)
    found = data.count(ENTRY)
    if found > MAX_MEMBERS:  # `zipfile` does not count.
        raise _too_large(place, position, size, found, MAX_MEMBERS)
    if len(data) != size:
        raise place.error(f"the directory is cut off, {COPY_AGAIN}", position)
    return entries_in(place, data, count, position)


def entries_in(place: Place, data: bytes, count: int, position: int) -> list[zipfile.ZipInfo]:
    """The entries in a directory, or in a part of one.

    Args:
        place: The archive.
        data: The directory, or some entries of it.
        count: How many entries that is.
        position: Where it begins in the file, for messages.

    Returns:
        The entries, in its order.

    Raises:
        ArchiveError: As `read_directory`.
    """
    # The end that we put behind it claims no bytes before it, so the stored offsets are kept.
    end = _END.pack(b"PK\5\6", 0, 0, 0, 0, len(data), 0, 0)
    try:
        entries = zipfile.ZipFile(io.BytesIO(data + end)).infolist()
        if len(entries) != count:
            raise zipfile.BadZipFile(
                f"{counted(len(entries), 'entry', 'entries')} instead of {count:,}"
            )
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise place.error(f"the directory is damaged ({error}), {COPY_AGAIN}", position) from None
    for entry in entries:
        problem = _problem(entry)
        if problem is not None:
            at = place.start + entry.header_offset
            raise place.not_read(problem, at, entry.orig_filename)
        entry.filename = member_names.portable(entry.filename)
    return entries


def _find_end(place: Place) -> tuple[int, tuple[int, ...]]:
    """The offset of the end-of-archive record, and its numbers."""
    length = min(place.end - place.start, _END.size + _FULL16)
    tail = place.read(place.end - length, length)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            _, *fields, comment = _END.unpack_from(tail, at)
            if at + _END.size + comment == len(tail):
                return place.end - length + at, tuple(fields)
        at = tail.rfind(b"PK\x05\x06", 0, at + 3)
    head = place.read(place.start, 4)
    if not head:
        problem = "expected a zip archive, found no bytes at all"
    elif head[:2] == b"PK":
        problem = "the archive has no end: it is cut off, or something was added to it"
    else:
        other = signatures.recognise(place.read(place.start, signatures.BYTES))
        if other is not None:
            problem = f"expected a zip archive, found {other.name}; {other.action}"
            raise place.not_read(problem, place.start)
        what = signatures.described(place.read(place.start, signatures.BYTES))
        problem = f"expected a zip archive, found {what}"
    raise place.error(f"{problem}; {COPY_AGAIN}", place.start)


def _too_large(place: Place, position: int, size: int, count: int, most: int) -> ArchiveError:
    return place.not_read(
        f"expected a directory of at most {most:,} members, found one that says it has "
        f"{count:,} in {size:,} bytes; this is not an archive of this dataset",
        position,
    )


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Why a member is not read, by what the directory says of it; None if it may be."""
    name = entry.orig_filename
    if entry.flag_bits & (ENCRYPTED | _HIDDEN_NAMES):
        return "it is encrypted; decrypt the archive first, this package has no password"
    if entry.compress_type not in METHODS:
        kind = _METHOD_NAMES.get(entry.compress_type, "unknown")
        return (
            f"it is compressed in a way that is not read here ({kind}, method "
            f"{entry.compress_type}); zip it again with deflate or without compression"
        )
    if entry.volume not in (0, _FULL16):
        return f"it is in another part of the archive; {_JOIN}"
    if FULL32 in (entry.file_size, entry.compress_size, entry.header_offset):
        return f"expected a ZIP64 size of it; {COPY_AGAIN}"
    if entry.external_attr >> 16 & 0o170000 == 0o120000:
        return "a symlink where only plain files belong; zip the files themselves"
    try:
        member_names.parts(name)
    except ValueError as error:
        return str(error)
    return None


@contextlib.contextmanager
def reading(
    archive: str, inner: str | None, name: str | None = None, offset: int | None = None
) -> Iterator[None]:
    """Turns a failed read into an error that names the file."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        problem = f"the archive could not be read ({reason}); check the storage and try again"
        raise archive_error(archive, problem, inner, name, offset) from error


def archive_error(
    archive: str, problem: str, inner: str | None, name: str | None, offset: int | None
) -> ArchiveError:
    """The error for a member of an archive, or of an archive inside another."""
    member = "/".join(part for part in (inner, name) if part is not None) or None
    return ArchiveError(archive, problem, member=member, offset=offset)
