"""ArrayRecord: files that its library reads in any order, as JAX and Grain do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from imagenet_builders.errors import TargetError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.write import durable
from imagenet_builders.write.outputs.output import (
    Checksum,
    Output,
    Record,
    RecordFile,
    RecordFileError,
    RecordWriter,
    Written,
)

if TYPE_CHECKING:
    from imagenet_builders.formats.tfrecord.example import FlatExample
    from imagenet_builders.write.image_rows import ImageRows
    from imagenet_builders.write.offsets import RecordOffsets

# The options of TensorFlow Datasets: one record a group, so that any one can be read alone.
_OPTIONS = "group_size:1"
_READ_BYTES = 1 << 20
_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)

# The process that first used the library here. A fork of it has the library's state and none of its
# threads: whatever it reads or writes then crashes, or waits without end.
_user: int | None = None


def _library() -> Any:
    """The library, which this process uses from now on."""
    global _user
    library = OUTPUT.import_library()
    if _user is None:
        _user = os.getpid()
    return library


def _unusable() -> str | None:
    if _user in (None, os.getpid()):
        return None
    return (
        f"{OUTPUT.package} cannot read in a process that was forked from one that has used it; "
        "start workers by `spawn` or `forkserver` (in PyTorch: multiprocessing_context), or read "
        "TFRecord files"
    )


class _Writer:
    """A file that takes records as they come; see `RecordWriter`."""

    def __init__(self, path: Path):
        self._path = path
        self._count = self._bytes = 0

    def __enter__(self) -> Self:
        library = _library()
        with _writing(self._path):
            self._writer = library.ArrayRecordWriter(os.fspath(self._path), _OPTIONS)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            with _writing(self._path):
                self._writer.close()
        except TargetError:
            if kind is None:  # Else the first error says why.
                raise

    def write(self, record: bytes) -> None:
        with _writing(self._path):
            self._writer.write(record)
        self._count += 1
        self._bytes += len(record)

    def written(self) -> Written:
        import google_crc32c

        checksum = google_crc32c.Checksum()
        with durable.writing(self._path):
            size = _read_all(self._path, checksum)
        return Written(
            examples=self._count,
            record_bytes=self._bytes,
            file_bytes=size,
            crc32c=checksum.hexdigest().decode(),
            offsets=None,
        )


def _open_writer(path: Path) -> RecordWriter:
    return _Writer(path)


def _write(path: Path, examples: Iterable[FlatExample]) -> Written:
    from imagenet_builders.formats.tfrecord.example import serialize

    return _write_records(path, (b"".join(serialize(example)) for example in examples))


def _write_images(path: Path, images: ImageRows, also: Sequence[RecordWriter]) -> Written:
    assert not also
    return _write_records(path, images.records())


def _write_records(path: Path, records: Iterable[bytes]) -> Written:
    with _Writer(path) as writer:
        for record in records:
            writer.write(record)
    return writer.written()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """The library raises RuntimeError with the system's words in it, whatever went wrong."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        for number in _ERRORS:
            if os.strerror(number) in str(error):
                error = OSError(number, os.strerror(number))
        if not isinstance(error, OSError):
            error = OSError(None, str(error))
        raise durable.target_error(path, error) from error


def _read(path: str, checksum: Checksum | None) -> Iterator[Record]:
    library = _library()
    if checksum is not None:
        _read_all(path, checksum)
    try:
        reader = library.ArrayRecordReader(path)
    except (RuntimeError, ValueError) as error:
        raise RecordFileError(f"not an ArrayRecord file: {_words(error)}") from None
    try:
        for _ in range(reader.num_records()):
            yield Record(reader.read(), None)
    except (RuntimeError, ValueError, IndexError) as error:
        raise RecordFileError(f"the rest of the file cannot be read: {_words(error)}") from None
    finally:
        # Closing it raises once more what was wrong with the file.
        with contextlib.suppress(RuntimeError):
            reader.close()


class _RecordFile:
    """A file that its library reads in any order; see `RecordFile`."""

    offsets: RecordOffsets | None = None
    has_looked = False

    def __init__(self, path: str, known: RecordOffsets | None):
        library = _library()
        os.close(open_regular(path, follow=True))
        try:
            self._reader = library.ArrayRecordReader(path)
        except (RuntimeError, ValueError) as error:
            raise RecordFileError(f"not an ArrayRecord file: {_words(error)}") from None

    def __len__(self) -> int:
        return int(self._reader.num_records())

    def read(self, numbers: Sequence[int]) -> list[bytes]:
        try:
            return list(self._reader.read(list(numbers)))
        except (RuntimeError, ValueError, IndexError) as error:
            raise RecordFileError(f"a record cannot be read: {_words(error)}") from None


def _read_all(path: str | Path, checksum: Checksum) -> int:
    """Gives all bytes of a file to a checksum; returns their number."""
    size = 0
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_READ_BYTES):
            checksum.update(data)
            size += len(data)
    return size


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _open(path: str, known: RecordOffsets | None) -> RecordFile:
    return _RecordFile(path, known)


OUTPUT = Output(
    "array_record",
    "array_record",
    _write,
    _read,
    open=_open,
    writer=_open_writer,
    write_images=_write_images,
    tfds_call="data_source",
    keeps_open=True,
    unusable=_unusable,
    library="array_record.python.array_record_module",
    package="array-record",
)
"""ArrayRecord. Its records are compressed, so they have no offsets of their own in the file."""
