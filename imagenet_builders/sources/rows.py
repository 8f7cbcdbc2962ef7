"""Rows: one an example, saying where its bytes are at rest and what it is called.

They are an Arrow table, so that millions of them stay small, are cut and sorted without a Python
object each, and travel to other processes as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from imagenet_builders.errors import SourceError
from imagenet_builders.files.own_dir import open_ours
from imagenet_builders.files.regular import open_regular
from imagenet_builders.locate.links import Links, added
from imagenet_builders.sources.columns import number_array, text_array
from imagenet_builders.sources.noted import with_links, with_note

if TYPE_CHECKING:
    import pyarrow as pa


NO_COPIES: Mapping[str, str] = MappingProxyType({})
"""No file is read through a copy."""

WHOLE_FILE = -1
"""The `offset` of a row that is a file of its own, in a directory or a SquashFS image."""

MAX_IMAGE_BYTES = 1 << 27
"""Bound on one image: what a header claims is not taken from memory beyond it."""
MAX_IMAGES = 1 << 21
"""Bound on the images of an archive whose rows are collected one by one, at some 350 bytes a row:
more than the 1,281,167 of ImageNet's train split. ImageNet-21k is collected in parts."""
MAX_CLASS_IMAGES = 1 << 16
"""Bound on the images of one class tar; the largest of ImageNet-21k has some 3,000."""


# So many files that are passed over are named.
_NAMED = 5
_PASSED_OVER = b"passed_over"


def check_not_too_many(path: str, count: int) -> None:
    """Refuses an archive of far more images than there are, before its index takes all memory.

    Args:
        path: The archive.
        count: The images found so far.

    Raises:
        SourceError: There are more than `MAX_IMAGES`.
    """
    if count > MAX_IMAGES:
        raise SourceError(
            f"{path}: expected at most {MAX_IMAGES:,} images, found more, which no archive of "
            "ImageNet has; check that this is the official archive, unaltered"
        )


def check_image_size(path: str, name: str, size: int) -> None:
    """Refuses what is far larger than any image, before memory is taken for it.

    Args:
        path: The file that it is in, or the directory.
        name: Its name.
        size: Its bytes.

    Raises:
        SourceError: It is larger than `MAX_IMAGE_BYTES`.
    """
    if size > MAX_IMAGE_BYTES:
        raise SourceError(
            f"{path}, member {name!r}: expected an image of at most {MAX_IMAGE_BYTES:,} bytes, "
            f"found one of {size:,}; it is damaged or no image, check that this is the official "
            "archive"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that rows point into, as it was when it was indexed.

    Attributes:
        path: Absolute path, which is also its name in messages and in `provenance.json`. It may be
            a directory, for rows that are files in it: such a row's
            `offset` is `WHOLE_FILE`, and the file has the name of the row's key unless the index
            has a column `name`. So it is with a SquashFS image, whose rows have a `reference`.
        size: Bytes.
        mtime_ns: Time of last modification, in nanoseconds.
        copy: Path of the file in scratch space that is read in its place; empty where it is read
            itself. Of no account when files are compared.
    """

    path: str
    size: int
    mtime_ns: int
    copy: str = dataclasses.field(default="", compare=False)

    @classmethod
    def of(cls, path: str | os.PathLike[str], copies: Mapping[str, str] = NO_COPIES) -> SourceFile:
        """The file at `path` as it is now.

        Args:
            path: Its path.
            copies: Absolute paths of files to those of the copies that are read in their place.

        Raises:
            SourceError: It is a FIFO, a device or a socket, on which a reader could wait.
            NotOursError: Its copy is not this user's alone, or not there.
            OSError: It is not there.
        """
        path = os.path.abspath(path)
        copy = copies.get(path, "")
        status = _status_of(path, copy)
        if not _can_be_read(status):
            raise SourceError(
                f"{path} is neither file nor directory, where a file belongs; move it elsewhere, "
                "or stage the original"
            )
        return cls(path, status.st_size, status.st_mtime_ns, copy)

    @property
    def place(self) -> str:
        """Path of the file that is opened: the copy, if there is one."""
        return self.copy or self.path

    @property
    def is_unpacked(self) -> bool:
        """Whether it was unpacked to scratch space; a mere copy has the name of the original."""
        return bool(self.copy) and os.path.basename(self.copy) != os.path.basename(self.path)

    @property
    def identity(self) -> tuple[str, int, int]:
        """Path, size and time: what tells it from other files, and from its other states."""
        return self.path, self.size, self.mtime_ns

    def check_unchanged(self, fd: int) -> None:
        """Raises SourceError where the open file is not what was indexed."""
        self._compare(os.fstat(fd))

    def check_still_there(self) -> None:
        """Raises SourceError where the file at this path is not what was indexed any more."""
        self._compare(_status_of(self.path, self.copy))

    def _compare(self, status: os.stat_result) -> None:
        now = (status.st_size, status.st_mtime_ns)
        if now != (self.size, self.mtime_ns) or not _can_be_read(status):
            raise SourceError(
                f"{self.path}: the file changed after it was indexed ({self.size:,} bytes then, "
                f"{status.st_size:,} now); wait until its copy is complete and build again"
            )


def _can_be_read(status: os.stat_result) -> bool:
    """Whether it is no FIFO, device or socket, on which a reader could wait."""
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


@contextlib.contextmanager
def opened(file: SourceFile) -> Iterator[int]:
    """Opens a source file, unchanged since it was looked at, for reading here and there.

    Raises:
        SourceError: It changed.
        OSError: It cannot be opened.
    """
    fd = open_file(file)
    try:
        file.check_unchanged(fd)
        yield fd
    finally:
        os.close(fd)


def _status_of(path: str, copy: str) -> os.stat_result:
    if not copy:
        return os.stat(path)
    fd = open_ours(copy)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def open_file(file: SourceFile) -> int:
    """Opens a source file for reading, in the place where it is read.

    In scratch space, it must be this user's alone: others may have exchanged the directory.

    Raises:
        NotOursError: What is in scratch space is not this user's alone.
        OSError: It cannot be opened.
    """
    if file.copy:
        return open_ours(file.copy)
    return open_regular(file.path, follow=True)


@contextlib.contextmanager
def place_to_open(file: SourceFile) -> Iterator[str]:
    """A path by which a source file is opened, for what takes nothing but paths; see `open_file`.

    It is good during the block, in this process.
    """
    if not file.copy:
        yield file.path
        return
    fd = open_ours(file.copy)
    try:
        place = f"/proc/self/fd/{fd}"
        yield place if os.path.exists(place) else file.copy
    finally:
        os.close(fd)


class SourceFiles(tuple[SourceFile, ...]):
    """Source files that are small when pickled, at some 25 bytes a file.

    A shard of ImageNet-21k points into thousands of class tars. Pickled one by one, with the same
    long directory each, they are more than the shard's rows.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """How it is pickled: all paths as one text, deflated."""
        paths = "\0".join(path for file in self for path in (file.path, file.copy))
        sizes = [file.size for file in self]
        mtimes = [file.mtime_ns for file in self]
        deflated = zlib.compress(paths.encode(errors="surrogateescape"), 1)
        return _source_files, (deflated, sizes, mtimes)


def _source_files(paths: bytes, sizes: list[int], mtimes: list[int]) -> SourceFiles:
    """What `SourceFiles` becomes once it is unpickled."""
    # Of no files there is no path, where splitting finds an empty one.
    names = zlib.decompress(paths).decode(errors="surrogateescape").split("\0") if sizes else []
    return SourceFiles(map(SourceFile, names[::2], sizes, mtimes, names[1::2]))


def row_schema(*extra: tuple[str, Any]) -> pa.Schema:
    """The columns of every index, then those that a dataset adds.

    `key` (string) is the example's key, `label` (int32) its class or -1, `file` (int32) the
    position in `Index.files`, `offset` and `size` (int64) the bytes in that file.

    What a row needs besides, in columns that only some indexes have: `name` (string), the name of
    the image where it is spelled in another way than the key, else null (of a row that is a file of
    its own, the path below `file`); `reference`
    (int64), where that file is in a SquashFS image; `record_offset` and `record_size` (int64), the
    TFRecord around the bytes, whose checksum is to be looked at.
    """
    import pyarrow as pa

    columns = [
        ("key", pa.string()),
        ("label", pa.int32()),
        ("file", pa.int32()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
    return pa.schema(columns + list(extra))


@dataclasses.dataclass(frozen=True)
class PassedOver:
    """Files that are passed over where images are looked for.

    Attributes:
        count: How many.
        names: Names of the first of them.
    """

    count: int = 0
    names: tuple[str, ...] = ()

    def __add__(self, other: PassedOver) -> PassedOver:
        """Both, with the names of the first."""
        return PassedOver(self.count + other.count, (self.names + other.names)[:_NAMED])

    def noted_in(self, table: pa.Table) -> pa.Table:
        """A table of rows that also says what was passed over; `of` reads it."""
        if not self.count:
            return table
        noted = json.dumps([self.count, self.names])
        return with_note(table, _PASSED_OVER, noted)

    @classmethod
    def of(cls, table: pa.Table) -> PassedOver:
        """What was passed over when a table of rows was made."""
        noted = (table.schema.metadata or {}).get(_PASSED_OVER)
        if noted is None:
            return cls()
        count, names = json.loads(noted)
        return cls(count, tuple(names))

    def __str__(self) -> str:
        """The names, for messages."""
        more = ", ..." if self.count > len(self.names) else ""
        return f"{', '.join(map(repr, self.names))}{more}"


class Rows:
    """Collects rows column by column; the cheap way to make an index in Python."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.labels: list[int] = []
        self.files: list[int] = []
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        # The names of images that are not spelled as their keys, by row.
        self.names: dict[int, str] = {}
        self.passed_over = PassedOver()
        self.links: Links = {}

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.keys)

    def pass_over(self, name: str) -> None:
        """Notes a file that is no image and is passed over."""
        self.passed_over += PassedOver(1, (name,))

    def extend(self, other: Rows) -> None:
        """Adds the examples of another."""
        self.names.update((len(self) + row, name) for row, name in other.names.items())
        self.passed_over += other.passed_over
        self.links = added(self.links, other.links)
        self.keys += other.keys
        self.labels += other.labels
        self.files += other.files
        self.offsets += other.offsets
        self.sizes += other.sizes

    def add(
        self, key: str, label: int, file: int, offset: int, size: int, name: str | None = None
    ) -> None:
        """Adds one example, of an image whose name may be spelled in another way than its key."""
        if name is not None and name != key:
            self.names[len(self)] = name
        self.keys.append(key)
        self.labels.append(label)
        self.files.append(file)
        self.offsets.append(offset)
        self.sizes.append(size)

    def add_all(
        self,
        keys: list[str],
        label: int,
        file: int,
        offsets: list[int],
        sizes: list[int],
        names: list[str],
    ) -> None:
        """Adds examples of the same label in the same file, each as `add` does."""
        if names != keys:
            self.names.update(
                (len(self) + row, name)
                for row, (key, name) in enumerate(zip(keys, names, strict=True))
                if name != key
            )
        self.keys += keys
        self.labels += [label] * len(keys)
        self.files += [file] * len(keys)
        self.offsets += offsets
        self.sizes += sizes

    def table(self) -> pa.Table:
        """The rows as a table of `row_schema()`, with a column `name` where a name is no key."""
        import numpy as np
        import pyarrow as pa

        schema = row_schema()
        columns = (self.labels, self.files, self.offsets, self.sizes)
        arrays = [text_array(self.keys)]
        # Not by `pa.array`, which imports pandas to see whether that is what it was given.
        for column, field in zip(columns, list(schema)[1:], strict=True):
            numbers = np.array(column, dtype=f"i{field.type.bit_width // 8}")
            arrays.append(number_array(numbers, field.type))
        table = pa.Table.from_arrays(arrays, schema=schema)
        if self.names:
            names = map(self.names.get, range(len(self)))
            table = table.append_column("name", pa.array(names, pa.string(), size=len(self)))
        return with_links(self.passed_over.noted_in(table), self.links)
