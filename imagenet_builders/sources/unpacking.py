"""What sources cannot be read from in place, and must be unpacked to scratch space first."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from imagenet_builders.errors import ArchiveError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats import compressed_stream
from imagenet_builders.formats.gzip_stream import StreamError
from imagenet_builders.locate.access import unreadable
from imagenet_builders.sources.indexing import Runner
from imagenet_builders.sources.rows import SourceFile, opened

# Images are compressed already, so a tar of them is 1 to 5 % larger than its compressed file.
_GROWTH = 1.1

_HEAD_BYTES = 8
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zstd")
_SHORT = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar"}


@dataclasses.dataclass(frozen=True)
class Packed:
    """A file, or a part of one, that is unpacked to a file of its own.

    Attributes:
        file: The staged file.
        name: Name of what it unpacks to, other than that of all else that a source unpacks.
        content: Gives what it unpacks to, piece by piece, from this, an open descriptor of the file
            and a function that is told of bytes that were read. It is a function of a module, so
            that jobs take it along, and raises `StreamError` where the data are damaged.
        start: The first byte of the part.
        end: Where it ends; None for the end of the file.
        inner: Name of the part in the file, for messages.
    """

    file: SourceFile
    name: str
    content: Callable[[Packed, int, Callable[[int], None]], Iterator[bytes]]
    start: int = 0
    end: int | None = None
    inner: str | None = None

    @property
    def size(self) -> int:
        """Its bytes."""
        return (self.file.size if self.end is None else self.end) - self.start

    def error(self, error: StreamError, more: str = "") -> ArchiveError:
        """The error of damaged data, with the name of the file."""
        return ArchiveError(
            self.file.path, error.problem + more, member=self.inner, offset=error.offset
        )


class Means(Runner, Protocol):
    """What runs jobs, and also unpacks to scratch space."""

    def unpack(self, parts: Sequence[Packed]) -> list[SourceFile]:
        """Unpacks files that were not unpacked before; they stay until the dataset is built.

        Args:
            parts: What to unpack; together all that a source needs.

        Returns:
            The unpacked files, in the order of the parts.

        Raises:
            ArchiveError: One is damaged, or unpacks to far more than images would.
            OptionError: There is too little space.
            OSError: A file cannot be read or written.
        """
        ...


def unpacked_bytes(size: int) -> int:
    """Bytes that unpacking needs at most, from the bytes of a compressed file of images.

    An estimate: a gzip file says what it unpacks to only modulo 4 GiB.
    """
    return int(size * _GROWTH)


def packed_tar(file: SourceFile, *, name: str | None = None) -> Packed:
    """A compressed tar that is to be unpacked.

    Args:
        file: The file.
        name: As in `Packed`; None for that of the file without the ending of a compressed one.
    """
    if name is not None:
        return Packed(file, name, decompressed)
    name = os.path.basename(file.path)
    stem, ending = os.path.splitext(name)
    if ending.lower() in _SHORT:
        name = stem + _SHORT[ending.lower()]
    elif ending.lower() in _COMPRESSED:
        name = stem
    return Packed(file, name, decompressed)


def is_compressed(fd: int, start: int = 0) -> bool:
    """Whether the data in a file that begin at `start` are compressed."""
    return compressed_stream.format_of(os.pread(fd, _HEAD_BYTES, start)) is not None


def plain_tars(archives: Sequence[SourceFile], workers: Means) -> tuple[SourceFile, ...]:
    """The tars that archives are once those that are compressed are unpacked."""
    packed = [archive for archive in archives if _is_compressed(archive)]
    plain = dict(zip(packed, workers.unpack(list(map(packed_tar, packed))), strict=True))
    return tuple(plain.get(archive, archive) for archive in archives)


def _is_compressed(archive: SourceFile) -> bool:
    try:
        with opened(archive) as fd:
            return is_compressed(fd)
    except OSError as error:
        raise unreadable(archive.path, error) from error


def is_compressed_file(path: Path) -> bool:
    """Whether a file is compressed; it is opened once, however often this is asked.

    Raises:
        OSError: It cannot be read.
    """
    status = path.stat()
    return _is_compressed_now(path, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _is_compressed_now(path: Path, *identity: int) -> bool:
    del identity  # As long as it is the same, so is the answer.
    fd = open_regular(path, follow=True)
    try:
        return is_compressed(fd)
    finally:
        os.close(fd)


def decompressed(packed: Packed, fd: int, report: Callable[[int], None]) -> Iterator[bytes]:
    """The content of a compressed file, or part of one; see `Packed.content`."""
    position = packed.start
    end = packed.start + packed.size

    def read(size: int) -> bytes:
        nonlocal position
        data = os.pread(fd, min(size, end - position), position)
        position += len(data)
        report(len(data))
        return data

    # What is in no other format is said to be no gzip file.
    form = compressed_stream.format_of(os.pread(fd, _HEAD_BYTES, packed.start)) or "gzip"
    try:
        yield from compressed_stream.pieces(read, form)
    except StreamError as error:
        raise StreamError(error.problem, packed.start + error.offset) from error.__cause__
