r"""Walks the headers of a tar archive, and refuses an archive that is not whole.

`tarfile` stops quietly at the first header that it cannot read, so a damaged archive of a million
images looks like a sound archive of half a million. `walk` reads every dialect that `tarfile` reads
(v7, ustar, old and new GNU, pax) and reaches the end of the archive or raises.

Only headers are read, each by one `pread` of 512 bytes, because the bodies may be 1.3 TB on cold
storage. A range of a file can be walked, so a tar inside a tar is read in place:

>>> import io, tarfile, tempfile
>>> def tar_of(name, body):
...     with io.BytesIO() as stream:
...         with tarfile.open(fileobj=stream, mode="w") as archive:
...             member = tarfile.TarInfo(name)
...             member.size = len(body)
...             archive.addfile(member, io.BytesIO(body))
...         return stream.getvalue()
>>> with tempfile.TemporaryFile() as file:
...     _ = file.write(tar_of("class.tar", tar_of("image.JPEG", b"\xff\xd8")))
...     file.flush()
...     [outer] = walk(file.fileno(), "train.tar")
...     end = outer.offset + outer.size
...     [inner] = walk(file.fileno(), "train.tar", start=outer.offset, end=end, inner=outer.name)
>>> inner
Member(name='image.JPEG', kind='file', offset=1024, size=2, header_offset=512)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats.tar_header import (
    BLOCK,
    GNU_MAGIC,
    IF_TOO_MANY_ZEROS,
    NO_END,
    TOO_MANY_ZEROS,
    Extension,
    describe_foreign,
    global_path,
    has_right_checksum,
    is_padding,
    number,
    padded,
    plain_file_size,
    text,
)

MAX_EXTENDED_BYTES = 1 << 20
"""Bound on one long name, pax header or sparse map; a header's claim is not believed beyond it."""
MAX_EXTENDED_HEADERS = 16
"""Bound on the long-name and pax headers in front of one member; writers use at most three."""

_ZERO_BLOCK = bytes(BLOCK)
_ZEROS = bytes(1 << 20)

_LONG_NAME = b"L"
_PAX_GLOBAL = b"g"
_LONG = {_LONG_NAME, b"K"}
_EXTENDED = {*_LONG, _PAX_GLOBAL, b"x", b"X"}
_SPARSE = b"S"
_KINDS_WITHOUT_BODY = {
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "other",
    b"4": "other",
    b"5": "directory",
    b"6": "other",
}
# GNU tar's listing of a directory, part of a file begun on another volume, old long names, volume
# label. They carry bytes, but not those of a file. Any other flag means a file, by POSIX's rule.
_GNU_NOT_FILES = {b"D", b"M", b"N", b"V"}


class Member(NamedTuple):
    """A member of a tar archive, and the place of its bytes.

    A named tuple, because there may be 13 million and a frozen dataclass costs three times as much.

    Attributes:
        name: As `tarfile` gives it: UTF-8 with surrogate escapes, directories without their slash.
        kind: `file`, `directory`, `symlink`, `hardlink`, `sparse`, or `other` (a FIFO, device, GNU
            volume label, ...). `offset` and `size` of a sparse member are those of what is stored,
            which is not the file's content.
        offset: Of the body, in bytes from the beginning of the file on disk.
        size: Bytes of the body; 0 where the kind has none, whatever the header says.
        header_offset: Of the first header of the member, its long-name or pax header if it has one.
    """

    name: str
    kind: str
    offset: int
    size: int
    header_offset: int


def walk(
    fd: int,
    archive: str,
    *,
    start: int = 0,
    end: int | None = None,
    inner: str | None = None,
    go_on: int | None = None,
) -> Iterator[Member]:
    """Yields the members of a tar archive in their order, reading nothing but headers.

    All reads are `pread`s, so several threads may walk parts of one file by one descriptor. The
    descriptor's own position is not used, but may change.

    Args:
        fd: Open descriptor of the file on disk.
        archive: Path of that file, for messages.
        start: Where the archive begins in the file; other than 0 for a tar inside a tar.
        end: Where the archive ends in the file; the end of the file if None.
        inner: Name of the inner archive, for messages, when a tar inside a tar is walked.
        go_on: Offset of a header to go on with, if all before are sound and have one header each.

    Yields:
        Each member, once its header has been found sound and its body is known to be there.

    Raises:
        ArchiveError: The range is not one whole tar archive: it is empty, of another format,
            cut off, damaged in a header, not ended by two blocks of zeros, or followed by other
            data.
    """
    position = start if go_on is None else go_on
    name: str | None = None
    try:
        file_size = os.fstat(fd).st_size
        end = file_size if end is None else min(end, file_size)
        reader = _Reader(fd, archive, inner, start, end)
        pread, new = os.pread, tuple.__new__  # Half the time of `Member`, for millions of them.
        while True:
            # The plain regular file, which is nearly every member. The careful reader looks again
            # at a header that is unusual in any way, or wrong.
            block = pread(fd, BLOCK, position)
            size = plain_file_size(block)
            if size is not None and reader.global_path is None:
                header_offset = position
                body = position + BLOCK
                position = body + (size + 511 & -512)
                if position <= end:
                    name = block[: block.index(0)].decode()
                    yield new(Member, (name, "file", body, size, header_offset))
                    continue
                position = header_offset
            found = reader.read_member(position, name)
            if found is None:
                return
            member, position = found
            name = member.name
            yield member
    except OSError as error:
        raise ArchiveError(
            archive,
            f"the archive could not be read ({os.strerror(error.errno or errno.EIO)}); "
            "check the storage and try again",
            member=inner,
            offset=position,
        ) from error


class _Reader:
    """Reads any member of one archive, and names whatever is wrong with it."""

    def __init__(self, fd: int, archive: str, inner: str | None, start: int, end: int):
        self.end = end
        self.global_path: str | None = None
        self._fd = fd
        self._archive = archive
        self._inner = inner
        self._start = start

    def read_member(self, position: int, previous: str | None) -> tuple[Member, int] | None:
        """The member whose first header is at `position`, and the offset of the next one.

        Args:
            position: Absolute offset of a header or of the end-of-archive blocks.
            previous: Name of the member before, for messages.

        Returns:
            None if the archive ends here as it should.
        """
        extension = Extension()
        for _ in range(MAX_EXTENDED_HEADERS + 1):
            block = self._read_header(position, previous, extension)
            if block == _ZERO_BLOCK:
                self._check_end(position)
                return None
            name = text(block[:100])
            size = number(block[124:136])
            if size is None or size < 0:
                raise self._error(
                    f"expected the size of the member, found {block[124:136]!r}; the "
                    "archive was damaged or badly written, copy it again",
                    position,
                    extension.name or name,
                )
            flag = block[156:157]
            if flag not in _EXTENDED:
                return self._finish(block, name, size, position, extension)
            if flag != _PAX_GLOBAL and extension.header_offset is None:
                extension.header_offset = position
            data = self._read_extended(position + BLOCK, size, position, extension.name or name)
            try:
                if flag in _LONG:
                    extension.add_long(data, is_name=flag == _LONG_NAME)
                elif flag == _PAX_GLOBAL:
                    self.global_path = global_path(data, self.global_path)
                else:
                    extension.add_pax(data)
            except ValueError as error:
                raise self._error(
                    f"{error}; the archive was damaged or badly written, copy it again",
                    position,
                    extension.name or name,
                ) from None
            position += BLOCK + padded(size)
        raise self._error(
            f"expected a member, found more than {MAX_EXTENDED_HEADERS} long-name or pax headers "
            "in a row; no tar program writes such an archive",
            position,
            extension.name,
        )

    def _finish(
        self, block: bytes, name: str, size: int, position: int, extension: Extension
    ) -> tuple[Member, int]:
        """Puts the member together from its own header and those in front of it."""
        flag = block[156:157]
        # GNU tar keeps times and sparse maps where ustar has the prefix.
        if block[257:265] != GNU_MAGIC and flag != _SPARSE and block[345]:
            name = f"{text(block[345:500])}/{name}"
        ends_in_slash = name.endswith("/")
        if extension.name is not None:
            name, ends_in_slash = extension.name, extension.ends_in_slash
        elif self.global_path is not None:
            name = self.global_path

        kind = _KINDS_WITHOUT_BODY.get(flag, "file")
        if flag == b"\0" and ends_in_slash:  # How v7 writes a directory.
            kind = "directory"
        elif flag == _SPARSE or (extension.sparse and kind == "file"):
            kind = "sparse"
        elif flag in _GNU_NOT_FILES:
            kind = "other"
        if kind == "directory":
            # As `tarfile`: one slash of a long name, all slashes of others.
            name = name.rstrip("/") if extension.name is None else name.removesuffix("/")

        body = position + BLOCK
        if flag == _SPARSE and block[482]:
            body = self._skip_sparse_map(body, name)
        if kind == "directory" or flag in _KINDS_WITHOUT_BODY:
            size = 0
        elif extension.size is not None:
            size = extension.size
        self._check_room(body, size, name)
        first = position if extension.header_offset is None else extension.header_offset
        return Member(name, kind, body, size, first), body + padded(size)

    def _read_header(self, position: int, previous: str | None, extension: Extension) -> bytes:
        """The 512 bytes at `position`, which are zeros or a header with the right checksum."""
        block = self._read(position, BLOCK)
        if block in (b"", _ZERO_BLOCK) and extension.header_offset is not None:
            problem = (
                "expected a member behind its long-name or pax header, found the end of the "
                "archive; it is cut off or damaged, copy it again"
            )
            raise self._error(problem, position, extension.name)
        if block == _ZERO_BLOCK or (len(block) == BLOCK and has_right_checksum(block)):
            return block
        after = "" if previous is None else f" after member {previous!r}"
        if position == self._start and block[257:262] != b"ustar":
            raise self._error(describe_foreign(block), position)
        if not block:
            problem = (
                f"the archive is cut off{after}, or its writer left out its end: it ends at a "
                f"member's end, without the two blocks of zeros that end an archive; {NO_END}"
            )
        elif len(block) < BLOCK:
            problem = (
                f"the archive is cut off{after}: a header needs {BLOCK} bytes but only "
                f"{len(block)} remain; copy the archive again"
            )
        else:
            problem = (
                f"expected a header{after}, found {BLOCK} bytes whose checksum is wrong; the "
                "archive was damaged, copy it again"
            )
        raise self._error(problem, position, extension.name)

    def _read_extended(self, body: int, size: int, position: int, name: str) -> bytes:
        """The body of a long-name or pax header: the one kind of body that is read."""
        if size > MAX_EXTENDED_BYTES:
            raise self._error(
                f"expected a long-name or pax header of at most {MAX_EXTENDED_BYTES:,} bytes, "
                f"found one that claims {size:,}; the archive was damaged, copy it again",
                position,
                name,
            )
        self._check_room(body, size, name)
        return self._read(body, size)

    def _skip_sparse_map(self, position: int, name: str) -> int:
        """Where the body is, after the map blocks that continue an old GNU sparse header."""
        for body in range(position + BLOCK, position + MAX_EXTENDED_BYTES, BLOCK):
            self._check_room(body - BLOCK, BLOCK, name)
            block = self._read(body - BLOCK, BLOCK)
            if not block[504]:
                return body
        raise self._error(
            f"expected a sparse map of less than {MAX_EXTENDED_BYTES:,} bytes, found a longer one; "
            "the archive was damaged, copy it again",
            position,
            name,
        )

    def _check_room(self, body: int, size: int, name: str) -> None:
        """Checks that `size` bytes and their padding lie in the archive."""
        remaining = max(self.end - body, 0)
        if padded(size) <= remaining:
            return
        what = "member" if size > remaining else "member's padding"
        needed = size if size > remaining else padded(size)
        raise self._error(
            f"the archive is cut off: this {what} needs {needed:,} bytes but only {remaining:,} "
            "remain; copy the archive again",
            body,
            name,
        )

    def _check_end(self, position: int) -> None:
        """Checks that two blocks of zeros are here, and nothing but zeros from here on."""
        if self.end - position < 2 * BLOCK:
            raise self._error(
                "the archive is cut off, or its writer left out its end: it must end in two blocks "
                f"of zeros, {2 * BLOCK} bytes, but only {self.end - position} bytes remain; "
                f"{NO_END}",
                position,
            )
        found = self._find_data(position + BLOCK)
        if found is None:
            zeros = self.end - position
            if not is_padding(self.end - self._start, zeros):
                raise self._error(
                    f"expected zeros at the end that fill one record, found {zeros:,} bytes of "
                    f"them; {TOO_MANY_ZEROS}; {IF_TOO_MANY_ZEROS}",
                    position,
                )
            return
        what = "one block" if found < position + 2 * BLOCK else "the two blocks"
        raise self._error(
            f"expected nothing but zeros behind the end of the archive at byte {position:,}, found "
            f"{what} of zeros and then other data; a header was overwritten, or something such as "
            "another archive was appended: compare it with the original",
            found,
        )

    def _find_data(self, position: int) -> int | None:
        """Offset of the first byte from `position` on that is not zero; None if all are."""
        while position < self.end:
            if self.end - position > len(_ZEROS):
                position = _skip_hole(self._fd, position, self.end)
            chunk = self._read(position, len(_ZEROS))
            if chunk != _ZEROS[: len(chunk)]:
                return position + len(chunk) - len(chunk.lstrip(b"\0"))
            position += len(chunk)
        return None

    def _read(self, position: int, size: int) -> bytes:
        """`size` bytes, or as many as there are up to the end of the archive."""
        size = max(0, min(size, self.end - position))
        data = os.pread(self._fd, size, position)
        if len(data) < size:
            raise self._error(
                f"expected {size:,} bytes, found only {len(data):,}; the file became shorter while "
                "it was read, see that nothing writes to it and try again",
                position,
            )
        return data

    def _error(self, problem: str, offset: int, name: str | None = None) -> ArchiveError:
        names = [part for part in (self._inner, name) if part is not None]
        member = "/".join(names) if names else None
        return ArchiveError(self._archive, problem, member=member, offset=offset)


def _skip_hole(fd: int, position: int, end: int) -> int:
    """Where the next data of a sparse file begin; `position` itself where that is not known."""
    try:
        return os.lseek(fd, position, os.SEEK_DATA)
    except OSError as error:
        # ENXIO: nothing but a hole up to the end. Else the file system cannot tell.
        return end if error.errno == errno.ENXIO else position
