"""Record files: our own frame for TFRecord, the format's own library for the others."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c

from imagenet_builders.formats.tfrecord.example import FlatExample, serialize
from imagenet_builders.formats.tfrecord.frame import FRAME_BYTES, frame
from imagenet_builders.write import durable

FILE_FORMATS = ("tfrecord", "array_record")
"""The file formats that can be written; the values of TensorFlow Datasets' `--file_format`."""

# A vectored write takes at most so many buffers (IOV_MAX is 1024 on Linux), and waits for so many
# bytes: enough that system calls do not matter, little enough to stay in the processor's cache.
_MAX_BUFFERS = 512
_MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Written:
    """What went into a record file.

    Attributes:
        examples: Number of records.
        record_bytes: Bytes of the records themselves, which is what TensorFlow Datasets calls the
            size of a split.
        file_bytes: Bytes that the file must have.
        crc32c: CRC-32C that the file must have, 8 hexadecimal digits.
    """

    examples: int
    record_bytes: int
    file_bytes: int
    crc32c: str


def write_records(path: Path, file_format: str, examples: Iterable[FlatExample]) -> Written:
    """Writes examples into a new record file.

    Args:
        path: The file; one that is there already is replaced.
        file_format: One of `FILE_FORMATS`.
        examples: The examples, in order.

    Returns:
        What was written.

    Raises:
        TargetError: The file cannot be written.
    """
    if file_format == "tfrecord":
        return _write_tfrecord(path, examples)
    assert file_format == "array_record", file_format
    return _write_array_record(path, examples)


def _write_tfrecord(path: Path, examples: Iterable[FlatExample]) -> Written:
    count = record_bytes = 0
    buffers: list[bytes] = []
    waiting = 0
    with _Writer(path) as writer:
        for example in examples:
            record = serialize(example)
            before, after, length = frame(record)
            buffers += (before, *record, after)
            count += 1
            record_bytes += length
            waiting += length
            if waiting >= _MAX_BYTES or len(buffers) >= _MAX_BUFFERS:
                writer.write(buffers)
                buffers, waiting = [], 0
        writer.write(buffers)
    size = record_bytes + count * FRAME_BYTES
    return Written(count, record_bytes, size, f"{writer.crc:08x}")


class _Writer:
    """A new file; whatever goes wrong with it is a `TargetError`.

    Attributes:
        crc: CRC-32C of all that was written.
    """

    def __init__(self, path: Path):
        self._path = path
        self.crc = 0

    def __enter__(self) -> Self:
        with durable.writing(self._path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o666)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Over a network, a quota that is used up may be told of only here.
        with durable.writing(self._path):
            os.close(self._fd)

    def write(self, buffers: list[bytes]) -> None:
        """Writes all buffers, however little the kernel takes at a time."""
        for buffer in buffers:
            self.crc = google_crc32c.extend(self.crc, buffer)
        with durable.writing(self._path):
            for start in range(0, len(buffers), _MAX_BUFFERS):
                _write_all(self._fd, buffers[start : start + _MAX_BUFFERS])


def _write_all(fd: int, buffers: list[bytes]) -> None:
    left: list[bytes | memoryview] = list(buffers)
    while left:
        written = os.writev(fd, left)
        done = 0
        while done < len(left) and written >= len(left[done]):
            written -= len(left[done])
            done += 1
        left = left[done:]
        if left and written:
            left[0] = memoryview(left[0])[written:]


def _write_array_record(path: Path, examples: Iterable[FlatExample]) -> Written:
    from array_record.python import array_record_module

    count = record_bytes = 0
    # The options of TensorFlow Datasets: one record a group, so that any one can be read alone.
    with _array_record_errors(path):
        writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
    try:
        for record in _joined(examples):
            with _array_record_errors(path):
                writer.write(record)
            count += 1
            record_bytes += len(record)
    finally:
        with _array_record_errors(path):
            writer.close()
    return Written(count, record_bytes, *_read_back(path))


@contextlib.contextmanager
def _array_record_errors(path: Path) -> Iterator[None]:
    """The library raises RuntimeError with the system's words in it, whatever went wrong."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            if os.strerror(number) in str(error):
                error = OSError(number, os.strerror(number))
        if not isinstance(error, OSError):
            error = OSError(None, str(error))
        raise durable.target_error(path, error) from error


def _read_back(path: Path) -> tuple[int, str]:
    """Size and CRC-32C of a file that a library wrote."""
    size = crc = 0
    with durable.writing(path), open(path, "rb", buffering=0) as file:
        while data := file.read(_MAX_BYTES):
            crc = google_crc32c.extend(crc, data)
            size += len(data)
    return size, f"{crc:08x}"


def _joined(examples: Iterable[FlatExample]) -> Iterator[bytes]:
    for example in examples:
        yield b"".join(serialize(example))
