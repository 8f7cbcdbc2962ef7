"""Record files read strictly: every checksum is compared, and no length is believed unchecked."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c

from imagenet_builders.formats.tfrecord.frame import masked
from imagenet_builders.verify.problems import FileError

MAX_RECORD_BYTES = 1 << 28
"""No record is longer: the largest image of ImageNet has some 15 MB."""

_READ_BYTES = 4 << 20


class Record(NamedTuple):
    """A record.

    Attributes:
        data: Its bytes.
        offset: Where its bytes begin in the file; None where only the format's library knows.
        expected_crc: CRC-32C that the file says, where it is not that of the bytes; else None.
        crc: CRC-32C of the bytes; only with `expected_crc`.
    """

    data: bytes
    offset: int | None
    expected_crc: int | None = None
    crc: int = 0


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
        buffer, position, offset = b"", 0, 0  # `offset` is that of the buffer in the file.

        def need(count: int) -> None:
            nonlocal buffer, position, offset
            missing = count - (len(buffer) - position)
            if missing <= 0:
                return
            parts = [buffer[position:]]
            offset += position
            position = 0
            wanted = max(missing, _READ_BYTES)
            while missing > 0:
                part = os.read(fd, wanted)
                if not part:
                    break
                if self._whole:
                    self.crc = google_crc32c.extend(self.crc, part)
                parts.append(part)
                missing -= len(part)
                wanted -= len(part)
            buffer = b"".join(parts)

        while (at := offset + position) < size:
            if size - at < 16:
                raise FileError("the file ends within a record", at, "16 bytes", f"{size - at}")
            need(12)
            header = buffer[position : position + 12]
            if len(header) < 12:
                raise FileError("the file became shorter while it was read", at)
            length, stored = struct.unpack("<QI", header)
            crc = masked(google_crc32c.value(header[:8]))
            if crc != stored:
                raise FileError(
                    "the checksum of a record's length is wrong, so the rest of the file cannot "
                    "be read",
                    at,
                    f"{stored:08x}",
                    f"{crc:08x}",
                )
            if length > size - at - 16:
                raise FileError(
                    "a record goes beyond the end of the file, which was cut off",
                    at,
                    f"{length:,} bytes",
                    f"{size - at - 16:,}",
                )
            if length > MAX_RECORD_BYTES:
                raise FileError(
                    "a record is larger than any image",
                    at,
                    f"at most {MAX_RECORD_BYTES:,} bytes",
                    f"{length:,}",
                )
            need(16 + length)
            if len(buffer) - position < 16 + length:
                raise FileError("the file became shorter while it was read", at)
            data = buffer[position + 12 : position + 12 + length]
            (stored,) = struct.unpack_from("<I", buffer, position + 12 + length)
            crc = masked(google_crc32c.value(data))
            position += 16 + length
            if crc == stored:
                yield Record(data, at + 12)
            else:
                yield Record(data, at + 12, stored, crc)

    def _array_record(self) -> Iterator[Record]:
        from array_record.python import array_record_module

        from imagenet_builders.verify import array_record

        if self._whole:
            self.crc = crc_of_file(self._path)
        try:
            reader = array_record_module.ArrayRecordReader(self._path)
        except (RuntimeError, ValueError) as error:
            raise FileError(f"not an ArrayRecord file: {_words(error)}") from None
        try:
            records = reader.num_records()
            array_record.check_structure(self._path, records)
            for _ in range(records):
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
