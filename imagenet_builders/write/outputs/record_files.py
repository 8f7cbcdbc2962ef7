"""Records of many files in any order, with few files open.

Where a file's records are, its index tells, which was built with it. Of one that has none, or none
that fits, the offsets are found once, and kept for the user.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from imagenet_builders.errors import SourceError, TargetError
from imagenet_builders.files.regular import read_regular
from imagenet_builders.locate.hash_cache import cache_directory
from imagenet_builders.words import counted
from imagenet_builders.write import durable
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import Output, RecordFile, RecordFileError

T = TypeVar("T")

# So many files stay open at a time, or half of what the process may have.
_OPEN = 512

# A file of offsets of more records is not read.
_MAX_BYTES = 1 << 28


class RecordFiles:
    """Files of one output, of which records are read in any order, by any thread or process.

    Each process opens them for itself, when they are needed, and a bounded number stays open.

    Args:
        output: What wrote them.
    """

    def __init__(self, output: Output):
        assert output.open is not None
        self._output = output
        self._opener = output.open
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._open: OrderedDict[str, RecordFile] = OrderedDict()
        self._offsets: dict[str, RecordOffsets] = {}

    def __getstate__(self) -> Output:
        return self._output

    def __setstate__(self, output: Output) -> None:
        RecordFiles.__init__(self, output)

    def read(self, path: str, numbers: Sequence[int], expected: int) -> list[bytes]:
        """Reads records of a file; see `read_as`."""
        return self.read_as(path, numbers, expected, bytes)

    def read_as(
        self, path: str, numbers: Sequence[int], expected: int, made: Callable[[bytes], T]
    ) -> list[T]:
        """Reads records of a file.

        Args:
            path: The file.
            numbers: Numbers of the records, counted from 0.
            expected: How many records the file must have.
            made: What is made of each record as soon as it is read.

        Raises:
            SourceError: The file is missing, another or damaged.
        """
        try:
            file = self._get(path, expected)
            if len(file) != expected:
                raise RecordFileError(f"it has {counted(len(file), 'record')} and not {expected:,}")
            return [made(record) for record in file.read(numbers)]
        except (OSError, RecordFileError) as error:
            raise SourceError(
                f"{path} cannot be read: {getattr(error, 'strerror', None) or error}; "
                "`imagenet-builders verify` says what else is wrong with its dataset"
            ) from error

    def _get(self, path: str, expected: int) -> RecordFile:
        unusable = self._output.unusable() if self._output.unusable is not None else None
        if unusable is not None:
            # What is open stays so: closing it could wait for threads that are not there.
            raise SourceError(unusable)
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            file = self._open.get(path)
            if file is None:
                file = self._open[path] = self._opened(path, expected)
                while len(self._open) > _bound():
                    self._open.popitem(last=False)  # Whoever reads it now still has it.
            self._open.move_to_end(path)
            return file

    def _opened(self, path: str, expected: int) -> RecordFile:
        known = self._offsets.get(path) or _kept_offsets(path) or self._indexed(path)
        file = self._opener(path, known if known and len(known) == expected else None)
        if file.offsets is not None:
            self._offsets[path] = file.offsets
            if file.has_looked:
                _keep_offsets(path, file.offsets)
        return file

    def _indexed(self, path: str) -> RecordOffsets | None:
        """The offsets of a shard by the index that was built with it."""
        index = self._output.index
        if index is None:
            return None
        directory, name = os.path.split(path)
        try:
            content = read_regular(Path(directory, index.name_of(name)), _MAX_BYTES, follow=True)
        except OSError:
            return None
        return index.parse(content)


def _bound() -> int:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _OPEN if soft == resource.RLIM_INFINITY else max(1, min(_OPEN, soft // 2))


def _offsets_file(path: str) -> Path:
    """Where the offsets of a shard in its present state are kept for the user."""
    status = os.stat(path)
    identity = json.dumps([path, status.st_size, status.st_mtime_ns])
    digest = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32]
    return cache_directory() / "offsets" / digest


def _kept_offsets(path: str) -> RecordOffsets | None:
    try:
        data = read_regular(_offsets_file(path), _MAX_BYTES)
    except OSError:
        return None
    digest, packed = data[:32], data[32:]
    return RecordOffsets(packed) if hashlib.sha256(packed).digest() == digest else None


def _keep_offsets(path: str, offsets: RecordOffsets) -> None:
    """Keeps them; a cache that cannot be written is no reason to fail."""
    try:
        file = _offsets_file(path)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.write_file(file, hashlib.sha256(offsets.packed).digest() + offsets.packed)
    except (OSError, TargetError):
        pass
