"""An output of somebody else: one module, which one call of `outputs.register` makes known.

A record is its length, the CRC-32 of both, and its bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from imagenet_builders.formats.tfrecord.example import FlatExample, serialize
from imagenet_builders.write.new_file import NewFile
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import (
    Checksum,
    Output,
    Record,
    RecordFileError,
    Written,
)

_HEAD = struct.Struct(">II")


def write(path: Path, examples: Iterable[FlatExample]) -> Written:
    sizes: list[int] = []
    with NewFile(path) as file:
        for example in examples:
            record = b"".join(serialize(example))
            crc = zlib.crc32(record, len(record))
            file.write([_HEAD.pack(len(record), crc), record], _HEAD.size + len(record))
            sizes.append(len(record))
    ends = np.cumsum(np.array(sizes, np.int64) + _HEAD.size)
    offsets = RecordOffsets.of(ends - sizes, np.array(sizes, np.int64))
    return Written(
        examples=len(sizes),
        record_bytes=sum(sizes),
        file_bytes=file.size,
        crc32c=file.crc32c,
        offsets=offsets,
    )


def read(path: str, checksum: Checksum | None) -> Iterator[Record]:
    content = Path(path).read_bytes()
    if checksum is not None:
        checksum.update(content)
    at = 0
    while at < len(content):
        if len(content) - at < _HEAD.size:
            raise RecordFileError("the file is cut off", at)
        size, crc = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        record = content[at : at + size]
        if len(record) != size or zlib.crc32(record, size) != crc:
            raise RecordFileError("the record is damaged", at)
        yield Record(record, at)
        at += size


OUTPUT = Output("toy", "toy", write, read)
