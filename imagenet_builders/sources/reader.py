"""Reading the bytes of rows, from as many files as there are, with a bounded number of them open.

An index may point into 19,167 files, and each image of a shard into another one. To open a file
again for each image costs little on a local disk and a round trip or two over a network, so as many
stay open as the limit on open files allows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeVar

from imagenet_builders.errors import SourceError
from imagenet_builders.files.own_dir import open_ours
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.sources.in_memory import are_in_memory, some_of
from imagenet_builders.sources.rows import MAX_IMAGE_BYTES, SourceFile, check_image_size

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_MIN_OPEN = 16
# In a process of our own, the limit is raised to this where the system allows it.
_WANTED_LIMIT = 65_536


class ImageRow(NamedTuple):
    """An image as it was read.

    Attributes:
        key: The row's key.
        label: The row's label.
        path: The file that it is, or is in, for messages.
        offset: Its first byte there.
        data: Its bytes.
        problem: Why they are not the image that was stored, or None. The policy for bad images
            decides what becomes of it.
    """

    key: str
    label: int
    path: str
    offset: int
    data: bytes
    problem: str | None = None


Fill = Callable[[memoryview], bool]
"""Reads the image of the next row into a buffer of the size that the row says.

It returns whether what is there now is the image, and not one of another size, or a problem, about
which `Access.read` knows more. It raises what that raises.
"""


@dataclasses.dataclass(frozen=True)
class Access:
    """How the rows of an index are read: functions of a module, so that a job takes them along.

    Attributes:
        read: Reads the images of rows, in their order, given a `Reader` of their files.
        ranges: What storage is to be asked for before rows are read, given the same: position of
            the file, offset and bytes, in any order; as tuples, or an integer array of shape
            (ranges, 3). Nothing for files of their own: to open each is most of the wait.
        fill: Reads the images of rows into the buffers of whoever asks, given the same; None has
            them copied from what `read` yields.
    """

    read: Callable[[Reader, pa.Table], Iterator[ImageRow]]
    ranges: Callable[[Reader, pa.Table], Iterable[tuple[int, int, int]] | np.ndarray]
    fill: Callable[[Reader, pa.Table], Fill] | None = None


def columns(rows: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, row by row; None where there is no such column."""
    missing = [None] * rows.num_rows
    there = rows.column_names
    return zip(
        *(rows[name].to_pylist() if name in there else missing for name in names), strict=True
    )


def read_ranges(reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    """Reads images that lie in files as they are; see `Access.read`."""
    for key, label, file, offset, size in columns(rows, "key", "label", "file", "offset", "size"):
        yield ImageRow(key, label, reader.files[file].path, offset, reader.read(file, offset, size))


def ranges_of(reader: Reader, rows: pa.Table) -> np.ndarray:
    """Where images that lie in files as they are lie; see `Access.ranges`."""
    import numpy as np

    return np.stack([numbers_in(rows[name]) for name in ("file", "offset", "size")], axis=1)


def fill_ranges(reader: Reader, rows: pa.Table) -> Fill:
    """Reads images that lie in files as they are into buffers; see `Access.fill`."""
    names = ("file", "offset")
    places = zip(*(numbers_in(rows[name]).tolist() for name in names), strict=True)

    def fill(buffer: memoryview) -> bool:
        file, offset = next(places)
        reader.read_into(file, offset, buffer)
        return True

    return fill


def fill_by_copying(images: Iterator[ImageRow]) -> Fill:
    """Copies images that are read in some other way; see `Access.fill`."""

    def fill(buffer: memoryview) -> bool:
        image = next(images)
        if image.problem is not None or len(image.data) != len(buffer):
            return False
        buffer[:] = image.data
        return True

    return fill


RANGES = Access(read_ranges, ranges_of, fill_ranges)
"""How rows are read that point to the very bytes of an image."""


class _Closable(Protocol):
    def fileno(self) -> int: ...
    def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closable)


class _Descriptors:
    """Open files by path; at the limit, the one used least recently is closed."""

    def __init__(self, limit: int):
        self._limit = limit
        self._open: OrderedDict[str, int] = OrderedDict()
        # What a kind of source opens itself, of which a split has one or few: each keeps a
        # descriptor of its own, and what it has unpacked.
        self.opened: dict[str, Any] = {}

    def get(self, file: SourceFile) -> tuple[int, bool]:
        """The descriptor of a file, and whether it was opened just now."""
        place = file.place
        fd = self._open.get(place)
        if fd is not None:
            self._open.move_to_end(place)
            return fd, False
        while len(self._open) >= self._limit:
            os.close(self._open.popitem(last=False)[1])
        if file.copy:
            fd = open_ours(place)
        else:
            # What it is, whoever asked compares with what was indexed: `check_unchanged`.
            fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._open[place] = fd
        return fd, True

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
        for opened in self.opened.values():
            opened.close()
        self.opened.clear()


class _Kept(threading.local):
    """What the readers of a thread have open, once files are kept open.

    One for each thread: a descriptor must not be closed while another thread reads from it.
    """

    def __init__(self) -> None:
        self.descriptors = _Descriptors(_share_of_limit())


_kept: _Kept | None = None


def keep_files_open() -> None:
    """Lets files stay open from one reader to the next, as long as the process lives.

    For worker processes, which do nothing but read and write shards. It also raises the process's
    limit on open files as far as is allowed.
    """
    global _kept
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_LIMIT if hard == resource.RLIM_INFINITY else min(_WANTED_LIMIT, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if _kept is None:
        _kept = _Kept()


def _share_of_limit() -> int:
    """A third of the limit on open files: two threads read, and the rest of the process needs some.

    With the least limit met in practice, 256, it is 85.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > _WANTED_LIMIT:
        soft = _WANTED_LIMIT
    return max(_MIN_OPEN, soft // 3)


class Reader:
    """Reads byte ranges of source files that must be what they were when they were indexed.

    Args:
        files: The files that rows point into.
        access: How rows are read.

    Attributes:
        files: The files.
        bytes_read: Bytes read so far.
    """

    def __init__(self, files: Sequence[SourceFile], access: Access = RANGES):
        self.files = files
        self._access = access
        self.bytes_read = 0
        self._descriptors = _kept.descriptors if _kept else _Descriptors(_share_of_limit())
        self._checked = bytearray(len(files))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if _kept is None or self._descriptors is not _kept.descriptors:
            self._descriptors.close()

    def images(self, rows: pa.Table) -> Iterator[ImageRow]:
        """Reads the images of rows.

        Args:
            rows: A part of an index.

        Yields:
            The images, in the order of the rows.

        Raises:
            SourceError: A file is not what it was when it was indexed, is damaged, or cannot be
                read.
        """
        self._check_sizes(rows)
        yield from self._access.read(self, rows)

    def filling(self, rows: pa.Table) -> Fill:
        """As `images`, into buffers."""
        self._check_sizes(rows)
        if self._access.fill is not None:
            return self._access.fill(self, rows)
        return fill_by_copying(self._access.read(self, rows))

    def _check_sizes(self, rows: pa.Table) -> None:
        if int(numbers_in(rows["size"]).max(initial=0)) <= MAX_IMAGE_BYTES:
            return
        for key, file, size in columns(rows, "key", "file", "size"):
            check_image_size(self.files[file].path, key, size)

    def ranges(self, rows: pa.Table) -> np.ndarray:
        """What storage is to be asked for before rows are read.

        Args:
            rows: A part of an index.

        Returns:
            Position of the file, offset and bytes of each range, int64 of shape (ranges, 3), sorted
            by file and offset. None where all are in memory, as some of them tell: to ask for them
            takes as long as a tenth of the work on them.
        """
        import numpy as np

        found = self._access.ranges(self, rows)
        if not isinstance(found, np.ndarray):
            found = np.array(list(found), np.int64).reshape(-1, 3)
        if self._are_in_memory(some_of(found)):
            return found[:0]
        return found[np.lexsort((found[:, 1], found[:, 0]))]

    def _are_in_memory(self, ranges: np.ndarray) -> bool:
        """Whether the last byte of each range is."""
        return are_in_memory(
            (self.open(file), offset + max(0, size - 1)) for file, offset, size in ranges.tolist()
        )

    def opened(self, file: int, open_it: Callable[[SourceFile], _C]) -> _C:
        """What a kind of source makes of a file that it opens itself, valid until the next call.

        Args:
            file: Position in `files`.
            open_it: Opens it, unless it is open already.

        Raises:
            SourceError: The file changed after it was indexed, or is not of that kind.
        """
        source = self.files[file]
        opened: _C | None = self._descriptors.opened.get(source.place)
        if opened is None:
            opened = self._descriptors.opened[source.place] = open_it(source)
        if not self._checked[file]:
            source.check_unchanged(opened.fileno())
            self._checked[file] = 1
        return opened

    def open(self, file: int) -> int:
        """The descriptor of a file, valid until the next call.

        Args:
            file: Position in `files`.

        Returns:
            An open descriptor.

        Raises:
            SourceError: The file changed after it was indexed.
            OSError: It cannot be opened.
        """
        fd, is_new = self._descriptors.get(self.files[file])
        if is_new or not self._checked[file]:
            self.files[file].check_unchanged(fd)
            self._checked[file] = 1
        return fd

    def read(self, file: int, offset: int, size: int) -> bytes:
        """Exactly `size` bytes of a file from `offset` on.

        Raises:
            SourceError: The file ends before, or changed after it was indexed.
            OSError: It cannot be read.
        """
        data = os.pread(self.open(file), size, offset)
        while len(data) < size:
            more = os.pread(self.open(file), size - len(data), offset + len(data))
            if not more:
                raise self._shorter(file, offset, size, len(data))
            data += more
        self.bytes_read += size
        return data

    def read_into(self, file: int, offset: int, buffer: memoryview) -> None:
        """Fills a buffer with the bytes of a file from `offset` on; raises as `read`."""
        size = len(buffer)
        fd = self.open(file)
        done = os.preadv(fd, (buffer,), offset)
        while done < size:
            more = os.preadv(fd, (buffer[done:],), offset + done)
            if not more:
                raise self._shorter(file, offset, size, done)
            done += more
        self.bytes_read += size

    def read_at_once(
        self, file: int, offset: int, buffers: Sequence[memoryview], size: int
    ) -> bool:
        """Fills buffers with the bytes of a file from `offset` on, as far as one call does.

        Args:
            file: Position in `files`.
            offset: The first byte.
            buffers: Where to.
            size: Their bytes in all.

        Returns:
            Whether it has filled them; if not, `read` reads all, or tells why it cannot.

        Raises:
            SourceError: The file changed after it was indexed.
            OSError: It cannot be read.
        """
        if os.preadv(self.open(file), buffers, offset) < size:
            return False
        self.bytes_read += size
        return True

    def _shorter(self, file: int, offset: int, size: int, found: int) -> SourceError:
        return SourceError(
            f"{self.files[file].path}: {size:,} bytes were indexed at byte {offset:,}, but "
            f"only {found:,} are there; the file changed during the build"
        )
