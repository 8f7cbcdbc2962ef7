"""Record files read strictly: every checksum is compared, and no length is believed unchecked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c

from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.verify.problems import FileError

_READ_BYTES = 4 << 20


class Record(NamedTuple):
    """A record.

    Attributes:
        data: Its bytes.
        offset: Where its bytes begin in the file; None where only the format's library knows.
        damage: What is wrong with them by their checksum, or None.
    """

    data: bytes
    offset: int | None
    damage: DamageError | None = None


class RecordFile:
    """A record file, read once from its start to its end.

    Args:
        path: The file.
        file_format: `tfrecord` or `array_record`.
        whole_crc: Compute the CRC-32C of the whole file.
    """

    def __init__(self, path: str, file_format: str, *, whole_crc: bool = False):
        self._path, self._format, self._whole = path, file_format, whole_crc
        self.crc = 0
        """CRC-32C of what was read so far; of the file when all of it was."""

    def __iter__(self) -> Iterator[Record]:
        """Yields the records; raises FileError where the rest cannot be read."""
        if self._format == "tfrecord":
            yield from self._tfrecord()
        else:
            yield from self._array_record()

    def _tfrecord(self) -> Iterator[Record]:
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            yield from self._framed(fd, size)
        finally:
            os.close(fd)

    def _framed(self, fd: int, size: int) -> Iterator[Record]:
        at = 0  # Where the record's frame begins.
        buffer, position = b"", 0

        def take(count: int) -> bytes:
            nonlocal buffer, position
            parts = [buffer[position : position + count]]
            missing = count - len(parts[0])
            position += count
            while missing > 0:
                buffer = os.read(fd, max(missing, _READ_BYTES))
                if not buffer:
                    raise FileError("the file became shorter while it was read", at)
                if self._whole:
                    self.crc = google_crc32c.extend(self.crc, buffer)
                parts.append(buffer[:missing])
                position = missing
                missing -= len(buffer)
            return parts[0] if len(parts) == 1 else b"".join(parts)

        while at < size:
            head = take(min(frame.HEAD_BYTES, size - at))
            try:
                length = frame.data_length(head, size - at)
            except DamageError as error:
                raise FileError(error.what, at, error.expected, error.found) from None
            data = take(length)
            damage = frame.data_damage(data, take(frame.TAIL_BYTES))
            yield Record(data, at + frame.HEAD_BYTES, damage)
            at += frame.FRAME_BYTES + length

    def _array_record(self) -> Iterator[Record]:
        from array_record.python import array_record_module

        if self._whole:
            self.crc = crc_of_file(self._path)
        try:
            reader = array_record_module.ArrayRecordReader(self._path)
        except (RuntimeError, ValueError) as error:
            raise FileError(f"not an ArrayRecord file: {_words(error)}") from None
        try:
            for _ in range(reader.num_records()):
                yield Record(reader.read(), None)
        except (RuntimeError, ValueError, IndexError) as error:
            raise FileError(f"the rest of the file cannot be read: {_words(error)}") from None
        finally:
            # It says once more what was wrong with the file.
            with contextlib.suppress(RuntimeError):
                reader.close()


def crc_of_file(path: str) -> int:
    """CRC-32C of a whole file."""
    crc = 0
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_READ_BYTES):
            crc = google_crc32c.extend(crc, data)
    return crc


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
