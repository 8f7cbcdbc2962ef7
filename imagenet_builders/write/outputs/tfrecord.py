"""TFRecord: records in frames with checksums, which TensorFlow and most other readers read."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c

from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs import dali_index
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
    import numpy as np

    from imagenet_builders.formats.tfrecord.example import FlatExample
    from imagenet_builders.write.image_rows import ImageRows

_READ_BYTES = 4 << 20

# Bytes of records that are put together before they are written: little enough to stay in the
# processor's cache. A record that is larger has a buffer to itself.
_BUFFER_BYTES = 1 << 20


def _write(path: Path, examples: Iterable[FlatExample]) -> Written:
    from imagenet_builders.formats.tfrecord.example import serialize

    sizes = array("I")
    with NewFile(path) as file:
        for example in examples:
            sizes.append(_write_one(file, serialize(example)))
    return _written(sizes, file.size, file.crc32c)


def _write_images(path: Path, images: ImageRows, also: Sequence[RecordWriter]) -> Written:
    """Writes records that are put together in one buffer, where the images are read to."""
    import numpy as np

    from imagenet_builders.formats.tfrecord import checksums
    from imagenet_builders.formats.tfrecord.example import serialize

    sizes, crcs = array("I"), array("I")
    buffer = np.empty(_BUFFER_BYTES, np.uint8)
    view = buffer.data
    filled = 0
    # Named once, as each image has but a few µs.
    read, put_tail, extend = images.read, frame.put_tail, google_crc32c.extend
    head_bytes, tail_bytes = frame.HEAD_BYTES, frame.TAIL_BYTES
    with NewFile(path) as file:
        for row, (size, before, after) in enumerate(images.surroundings()):
            begin = filled + len(before)
            end = begin + size
            tail = end + len(after)
            if tail + tail_bytes > _BUFFER_BYTES:
                file.write_through(buffer[:filled])
                begin, end, tail = begin - filled, end - filled, tail - filled
                filled = 0
                needed = max(_BUFFER_BYTES, tail + frame.TAIL_BYTES)
                if needed != len(buffer):
                    buffer = np.empty(needed, np.uint8)
                    view = buffer.data
            if read(view[begin:end]):
                view[filled:begin] = before
                view[end:tail] = after
                start = filled + head_bytes
                crc = extend(0, buffer[start:tail])
                put_tail(view, tail, crc)
                filled = tail + tail_bytes
                sizes.append(tail - start)
                crcs.append(crc)
                if also:
                    _write_to_all(also, bytes(view[start:tail]))
                continue
            example = images.example(row)
            if example is not None:
                file.write_through(buffer[:filled])
                filled = 0
                buffers = serialize(example)
                sizes.append(_write_one(file, buffers))
                record = b"".join(buffers)
                crcs.append(google_crc32c.value(record))
                _write_to_all(also, record)
        file.write_through(buffer[:filled])
    crc = checksums.of_file(np.frombuffer(sizes, np.uintc), np.frombuffer(crcs, np.uintc))
    return _written(sizes, file.size, f"{crc:08x}")


def _write_one(file: NewFile, record: list[bytes]) -> int:
    before, after, length = frame.frame(record)
    file.write([before, *record, after], length + frame.FRAME_BYTES)
    return length


def _write_to_all(writers: Sequence[RecordWriter], record: bytes) -> None:
    for writer in writers:
        writer.write(record)


def _written(sizes: array[int], file_bytes: int, crc32c: str) -> Written:
    return Written(
        examples=len(sizes),
        record_bytes=sum(sizes),
        file_bytes=file_bytes,
        crc32c=crc32c,
        offsets=offsets_of(sizes),
    )


def offsets_of(sizes: array[int]) -> RecordOffsets:
    """Where the records of a file lie.

    Args:
        sizes: Bytes of each, in order, as unsigned 32-bit numbers.
    """
    import numpy as np

    return _one_after_another(np.frombuffer(sizes, dtype=np.uintc))


def _one_after_another(sizes: np.ndarray) -> RecordOffsets:
    import numpy as np

    lengths = sizes.astype(np.int64)
    ends = np.cumsum(lengths + frame.FRAME_BYTES)
    return RecordOffsets.of(ends - frame.TAIL_BYTES - lengths, lengths)


def _fit(offsets: RecordOffsets, file_bytes: int) -> bool:
    """Whether offsets can be those of a file: nothing lies between its records, nor after them."""
    if offsets != _one_after_another(offsets.sizes):
        return False
    if not len(offsets):
        return file_bytes == 0
    end = int(offsets.offsets[-1]) + int(offsets.sizes[-1]) + frame.TAIL_BYTES
    return end == file_bytes


def _read(path: str, checksum: Checksum | None) -> Iterator[Record]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield from _framed(fd, size, checksum)
    finally:
        os.close(fd)


def _framed(fd: int, size: int, checksum: Checksum | None) -> Iterator[Record]:
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
                raise RecordFileError("the file became shorter while it was read", at)
            if checksum is not None:
                checksum.update(buffer)
            parts.append(buffer[:missing])
            position = missing
            missing -= len(buffer)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    while at < size:
        head = take(min(frame.HEAD_BYTES, size - at))
        try:
            length = frame.data_length(head, size - at)
        except DamageError as error:
            raise RecordFileError(error.what, at, error.expected, error.found) from None
        data = take(length)
        damage = frame.data_damage(data, take(frame.TAIL_BYTES))
        yield Record(data, at + frame.HEAD_BYTES, damage)
        at += frame.FRAME_BYTES + length


class _RecordFile:
    """A file of which each record is one read; see `RecordFile`."""

    def __init__(self, path: str, known: RecordOffsets | None):
        self._fd = -1
        self._fd = open_regular(path, follow=True)
        size = os.fstat(self._fd).st_size
        # Cold storage would read far beyond the few bytes between two images.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_RANDOM)
        self._size = size
        self.has_looked = known is None or not _fit(known, size)
        self._use(self._found() if known is None or self.has_looked else known)

    def _use(self, offsets: RecordOffsets) -> None:
        self.offsets: RecordOffsets | None = offsets
        self._places = offsets.offsets, offsets.sizes

    def __len__(self) -> int:
        return len(self._places[0])

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # When Python ends, the names of this module may be gone before its last object.
        if self._fd >= 0:
            close(self._fd)

    def read(self, numbers: Sequence[int]) -> Iterator[bytes]:
        # One after another, for its caller to let go of each: a batch of images is megabytes, which
        # cost more to be given by the system and taken back than to be read.
        return map(self._record, numbers)

    def _record(self, number: int) -> bytes:
        places = self._places
        try:
            return self._record_at(places, number)
        except RecordFileError:
            # What was known of the file may be what is wrong.
            if not self.has_looked:
                offsets = self._found()
                if len(offsets) != len(self):
                    raise
                self._use(offsets)
                self.has_looked = True
            elif self._places is places:  # Else another thread has looked.
                raise
        return self._record_at(self._places, number)

    def _record_at(self, places: tuple[np.ndarray, np.ndarray], number: int) -> bytes:
        offset, size = (int(each[number]) for each in places)
        # The checksum by itself, for the record not to be copied out of both.
        record = os.pread(self._fd, size, offset)
        tail = os.pread(self._fd, frame.TAIL_BYTES, offset + size)
        if len(record) != size or len(tail) != frame.TAIL_BYTES:
            raise RecordFileError("the file is shorter than it was", offset)
        damage = frame.data_damage(record, tail)
        if damage is not None:
            raise RecordFileError(damage.what, offset, damage.expected, damage.found)
        return record

    def _found(self) -> RecordOffsets:
        """The offsets of all records, from their heads: twelve bytes of each are read."""
        sizes, at, size = array("I"), 0, self._size
        while at < size:
            head = os.pread(self._fd, frame.HEAD_BYTES, at)
            try:
                length = frame.data_length(head, size - at)
            except DamageError as error:
                raise RecordFileError(error.what, at, error.expected, error.found) from None
            sizes.append(length)
            at += frame.FRAME_BYTES + length
        return offsets_of(sizes)


def _open(path: str, known: RecordOffsets | None) -> RecordFile:
    return _RecordFile(path, known)


OUTPUT = Output(
    "tfrecord",
    "tfrecord",
    _write,
    _read,
    open=_open,
    write_images=_write_images,
    tfds_call="load",
    index=dali_index.INDEX,
)
"""TFRecord, written and read without TensorFlow."""
