"""Reading the bytes of rows, from as many files as there are, with a bounded number of them open.

An index may point into 19,167 files, and each image of a shard into another one. To open a file
again for each image costs little on a local disk and a round trip or two over a network, so as many
stay open as the limit on open files allows.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from imagenet_builders.errors import SourceError
from imagenet_builders.sources import whole_files
from imagenet_builders.sources.rows import WHOLE_FILE, SourceFile, check_image_size

if TYPE_CHECKING:
    import pyarrow as pa

    from imagenet_builders.formats.squashfs.image import SquashFSImage

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
    """

    key: str
    label: int
    path: str
    offset: int
    data: bytes


class _Descriptors:
    """Open files by path; at the limit, the one used least recently is closed."""

    def __init__(self, limit: int):
        self._limit = limit
        self._open: OrderedDict[str, int] = OrderedDict()
        # A split has one; it keeps a descriptor of its own, and what it has unpacked.
        self.squashed: dict[str, SquashFSImage] = {}

    def get(self, path: str) -> tuple[int, bool]:
        """The descriptor of a file, and whether it was opened just now."""
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd, False
        while len(self._open) >= self._limit:
            os.close(self._open.popitem(last=False)[1])
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._open[path] = fd
        return fd, True

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
        for image in self.squashed.values():
            image.close()
        self.squashed.clear()


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

    Attributes:
        bytes_read: Bytes read so far.
    """

    def __init__(self, files: Sequence[SourceFile]):
        self.files = files
        self.bytes_read = 0
        self._descriptors = _kept.descriptors if _kept else _Descriptors(_share_of_limit())
        self._checked = bytearray(len(files))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if _kept is None or self._descriptors is not _kept.descriptors:
            self._descriptors.close()

    def images(self, rows: pa.Table) -> Iterator[ImageRow]:
        """Reads the images of rows, whatever their files are.

        Args:
            rows: A part of an index; `row_schema` says which columns matter.

        Yields:
            The images, in the order of the rows.

        Raises:
            SourceError: A file is not what it was when it was indexed, is damaged, or cannot be
                read.
        """

        def column(name: str) -> list[Any]:
            there = name in rows.column_names
            values: list[Any] = rows[name].to_pylist() if there else [None] * rows.num_rows
            return values

        if "record_offset" in rows.column_names:
            from imagenet_builders.sources import slim_tfrecords
        columns = ("key", "label", "file", "offset", "size", "name")
        extra = ("reference", "record_offset", "record_size")
        each = list(zip(*map(column, columns + extra), strict=True))
        for key, _, file, _, size, *_ in each:
            check_image_size(self.files[file].path, key, size)
        whole = whole_files.read_ahead(
            (os.path.join(self.files[file].path, name or key), size)
            for key, _, file, offset, size, name, reference, _, _ in each
            if offset == WHOLE_FILE and reference is None
        )
        with contextlib.closing(whole):
            for key, label, file, offset, size, name, reference, start, length in each:
                path = self.files[file].path
                name = name or key
                if offset == WHOLE_FILE:
                    path, offset = os.path.join(path, name), 0
                    if reference is None:
                        data = next(whole)
                        self.bytes_read += size
                    else:
                        data = self._read_squashed(file, reference, size, name)
                elif start is None:
                    data = self.read(file, offset, size)
                else:
                    data = slim_tfrecords.read_image(
                        functools.partial(self.read, file),
                        path,
                        key=key,
                        record_offset=start,
                        record_size=length,
                        offset=offset,
                        size=size,
                    )
                yield ImageRow(key, label, path, offset, data)

    def _read_squashed(self, file: int, reference: int, size: int, name: str) -> bytes:
        """All of a file in a SquashFS image."""
        data = self.squashed(file).read(reference, size, name)
        self.bytes_read += size
        return data

    def squashed(self, file: int) -> SquashFSImage:
        """The open SquashFS image that a file is, valid until the next call.

        Args:
            file: Position in `files`.

        Returns:
            The image.

        Raises:
            SourceError: The file changed after it was indexed, or is none.
        """
        source = self.files[file]
        image = self._descriptors.squashed.get(source.path)
        if image is None:
            from imagenet_builders.formats.squashfs.image import SquashFSImage

            image = self._descriptors.squashed[source.path] = SquashFSImage(source.path)
        if not self._checked[file]:
            source.check_unchanged(image.fileno())
            self._checked[file] = 1
        return image

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
        fd, is_new = self._descriptors.get(self.files[file].path)
        if is_new or not self._checked[file]:
            self.files[file].check_unchanged(fd)
            self._checked[file] = 1
        return fd

    def read_named(self, directory: int, name: str, size: int) -> bytes:
        """All of a file in a directory that is one of `files`.

        Args:
            directory: Position of the directory in `files`.
            name: The file's name there.
            size: Its bytes when it was indexed.

        Returns:
            Its bytes.

        Raises:
            SourceError: It cannot be read, or has another size.
        """
        data = whole_files.read_whole(os.path.join(self.files[directory].path, name), size)
        self.bytes_read += size
        return data

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
                raise SourceError(
                    f"{self.files[file].path}: {size:,} bytes were indexed at byte {offset:,}, but "
                    f"only {len(data):,} are there; the file changed during the build"
                )
            data += more
        self.bytes_read += size
        return data
