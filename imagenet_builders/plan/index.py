"""The index of a split, its rows and the files that they point into, and its cache on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.files.own_dir import enter_own
from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.sources.duplicates import Where
from imagenet_builders.sources.reader import RANGES, Access, Reader
from imagenet_builders.sources.rows import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa
    from _typeshed import ReadableBuffer

# To be raised when the meaning of a row changes, so that no older cached index is used.
INDEX_FORMAT = 4

# An index is written in seconds, so a process that was killed has left what is older than this.
_LEFT_SECONDS = 3600.0
_LEFT = re.compile(r".*\.index\.arrow\..*\.partial")

# Some twenty thousand files with long paths.
_MAX_HEADER_BYTES = 16 << 20

# Hexadecimal digits of the digest that a kept index is checked with.
_DIGITS = 32


@dataclasses.dataclass(frozen=True)
class Index:
    """The rows of one split, in the order of the source, and the files they point into.

    Attributes:
        table: An Arrow table with at least the columns of `row_schema()`.
        files: The files that the column `file` counts.
        access: How the rows are read.
    """

    table: pa.Table
    files: tuple[SourceFile, ...]
    access: Access = RANGES

    def __len__(self) -> int:
        """Number of examples."""
        return int(self.table.num_rows)

    def reader(self) -> Reader:
        """What reads the rows."""
        return Reader(self.files, self.access)

    def where(self, row: int) -> Where:
        """Path and offset of the bytes of a row, and the name of its image, for messages."""
        one = self.table.slice(row, 1).to_pylist()[0]
        name = one.get("name") or one["key"]
        return Where(self.files[one["file"]].path, one["offset"], name)


def to_bytes(table: pa.Table) -> bytes:
    """A table as an Arrow stream, for another process."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    # Compacting drops the rows outside a slice, which Arrow would otherwise send along.
    table = table.combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def from_bytes(stream: bytes) -> pa.Table:
    """The table in an Arrow stream."""
    import pyarrow as pa

    return pa.ipc.open_stream(stream).read_all()


class IndexCache:
    """Keeps indexes on disk, under names that say what they were made from.

    Args:
        directory: Where they are kept.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._used: set[Path] = set()

    def forget(self) -> None:
        """Removes the indexes that `get` has given: the files that they point into have changed."""
        with contextlib.suppress(OSError, NotOursError), enter_own(self._directory) as directory:
            for path in self._used:
                directory.unlink(path.name)

    def take_over(self, noted: Mapping[str, Index | None]) -> None:
        """Counts indexes as given by `get`, and keeps the new ones; see `NotedIndexes.noted`."""
        for name, index in noted.items():
            path = self._directory / name
            self._used.add(path)
            if index is not None:
                self.save(path, index)

    def get(
        self,
        what: Sequence[str],
        files: Sequence[SourceFile],
        make: Callable[[], Index],
        access: Access = RANGES,
    ) -> Index:
        """The kept index of `what` made from `files`, or else a new one.

        Args:
            what: Dataset, split, and whatever else decides the rows.
            files: The files that it is made from, as they are now.
            make: Makes it.
            access: How its rows are read, which is not kept.

        Returns:
            The index.
        """
        path = self.path(what, files)
        self._used.add(path)
        index = self.load(path)
        if index is None or not self._points_into(index, files):
            index = make()
            self.save(path, index)
        # The same files may be read through other copies now, or through none.
        now = {file: file for file in files}
        used = tuple(now.get(file, file) for file in index.files)
        return dataclasses.replace(index, files=used, access=access)

    def _points_into(self, index: Index, files: Sequence[SourceFile]) -> bool:
        """Whether rows point into these files, or into files here that were unpacked from them."""
        for file in set(index.files) - set(files):
            try:
                if self._directory.resolve() not in Path(file.copy or "/").resolve().parents:
                    return False
                file.check_still_there()
            except (SourceError, NotOursError, OSError):
                return False
        return True

    def path(self, what: Sequence[str], files: Iterable[SourceFile]) -> Path:
        """The path of the index of `what` made from `files`."""
        identity = [INDEX_FORMAT, list(what), [file.identity for file in files]]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        return self._directory / f"{'-'.join(what)}-{digest}.index.arrow"

    def load(self, path: Path) -> Index | None:
        """The index kept at `path`; None without one, and if it cannot be used.

        What somebody else may have written is not used.
        """
        try:
            with (
                enter_own(path.parent) as directory,
                os.fdopen(directory.open_ours(path.name), "rb") as file,
            ):
                header = json.loads(file.readline(_MAX_HEADER_BYTES))
                stream = file.read()
            files = tuple(SourceFile(*entry) for entry in header["files"])
            digest = _digest_of(files)
            digest.update(stream)
            if header["digest"] != digest.hexdigest()[:_DIGITS]:
                return None
        except (OSError, NotOursError, KeyError, TypeError, ValueError):
            return None
        return Index(from_bytes(stream), files)

    def save(self, path: Path, index: Index) -> bool:
        """Keeps the index at `path`; a cache that cannot be written is no reason to fail.

        Returns:
            Whether it was kept.
        """
        partial = f"{path.name}.{secrets.token_hex(8)}.partial"
        try:
            os.makedirs(path.parent.parent, exist_ok=True)
            with enter_own(path.parent, make=True) as directory:
                _remove_left(directory)
                try:
                    _write(directory.open_new(partial), index)
                    directory.replace(partial, path.name)
                except BaseException:
                    directory.unlink(partial)
                    raise
        except (OSError, NotOursError):
            return False
        return True


class NotedIndexes(IndexCache):
    """Uses the indexes that are kept, and only notes those that are not, for another to keep them.

    Args:
        directory: Where they are kept.
    """

    def __init__(self, directory: Path):
        super().__init__(directory)
        self._new: dict[str, Index] = {}

    def save(self, path: Path, index: Index) -> bool:
        """Notes the index that is to be kept at `path`."""
        self._new[path.name] = index
        return True

    def noted(self) -> dict[str, Index | None]:
        """The names of all that `get` has given, with those indexes that are new."""
        return {path.name: self._new.get(path.name) for path in self._used}


def _write(fd: int, index: Index) -> None:
    import pyarrow as pa

    files = [dataclasses.astuple(file) for file in index.files]
    with os.fdopen(fd, "wb") as file:
        # A header of its final length; the digest is known when all rows are written.
        header = {"files": files, "digest": "0" * _DIGITS}
        file.write(json.dumps(header).encode() + b"\n")
        sink = _Digesting(file, _digest_of(index.files))
        with pa.ipc.new_stream(pa.PythonFile(sink, "w"), index.table.schema) as writer:
            # In one piece, so that loading gives one piece.
            writer.write_table(index.table.combine_chunks())
        header["digest"] = sink.digest.hexdigest()[:_DIGITS]
        file.seek(0)
        file.write(json.dumps(header).encode() + b"\n")


def _remove_left(directory: PrivateDir) -> None:
    """Removes partial files of processes that were killed."""
    for name in directory.names_in("."):
        if _LEFT.fullmatch(name):
            with contextlib.suppress(OSError):
                status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
                if time.time() - status.st_mtime > _LEFT_SECONDS:
                    directory.discard(name)


class _Digesting(io.RawIOBase):
    """Writes data to a file and digests them.

    To write a stream of 13 million rows as a whole would hold them in memory three times.
    """

    def __init__(self, file: IO[bytes], digest: hashlib.blake2b):
        self.digest = digest
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        self.digest.update(data)
        return self._file.write(data)


def _digest_of(files: Sequence[SourceFile]) -> hashlib.blake2b:
    """Begins the digest of all that a kept index holds, which a damaged index does not match."""
    return hashlib.blake2b(json.dumps([dataclasses.astuple(file) for file in files]).encode())
