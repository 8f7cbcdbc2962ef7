"""The kind of source `tfrecord`: TFRecords of TensorFlow's slim, such as `train-00000-of-01024`.

What is in the records, `slim_tfrecords` knows. A row points to the image where it lies within its
record, and to the record, whose checksum is looked at when the image is read.

    sets = shard_sets(os.listdir(directory))        # {"train": ShardSet, "validation": ShardSet}
    files = source_files(directory / name for name in sets["train"].names)
    table = index_shards("train", files, workers)   # columns of slim_schema()
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import signatures
from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources import slim_tfrecords
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.sources.indexing import Runner
from imagenet_builders.sources.inspection import (
    WARNING,
    Counted,
    Inspection,
    Problem,
    Wrong,
    refused,
)
from imagenet_builders.sources.kind import Expected, Kind
from imagenet_builders.sources.reader import Access, Fill, ImageRow, Reader, columns
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.shard_sets import ShardSet
from imagenet_builders.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

# A record of slim has half a kilobyte besides its image, or some more with boxes.
_AROUND_BYTES = 1 << 16

SHARD = re.compile(r"(train|validation)-([0-9]{5,})-of-([0-9]{5,})")
"""The name of a shard; its groups are the split, the number, and how many there are."""


def shard_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards among the names in a directory.

    Args:
        names: File names; those that are not of shards are passed over.

    Returns:
        Split (`train`, `validation`) to its shards.

    >>> shard_sets(["train-00001-of-00002", "idx_dir"])["train"].problem
    'expected 2 shards, found 1: train-00000-of-00002 is missing; copy the missing files'
    """
    return sets.counted_sets(SHARD, names)


def index_shards(split: str, files: Sequence[SourceFile], workers: Runner) -> pa.Table:
    """The rows of a split.

    Args:
        split: `train` or `validation`.
        files: All its shards, in the order of `ShardSet.names`; the files of the index.
        workers: Who reads them.

    Returns:
        A table of `slim_schema()`, in the order of the shards and of each shard.

    Raises:
        SourceError: A shard is missing, changed, or cannot be opened.
        ArchiveError: A shard is damaged or empty, a record is not one of slim, or its label is not
            that of the image's name.
    """
    import numpy as np

    sets.check_complete(split, files, shard_sets)
    table = sets.index(slim_tfrecords.shards_table, split, files, workers)
    _check_even(split, files, np.bincount(numbers_in(table["file"]), minlength=len(files)).tolist())
    return table


def _check_even(split: str, files: Sequence[SourceFile], counts: Sequence[int]) -> None:
    """Refuses a shard that ends at a record's end, but earlier than it should.

    Nothing within it tells. But all shards of slim have the same number of images, give or take
    one; and where all images of the split are there, nothing is missing however they are shared.
    """
    official = Naming(split).official_images
    most = max(counts)
    if sum(counts) == official or most - min(counts) <= 1:
        return
    short = [position for position, count in enumerate(counts) if count < most - 1]
    file, more = files[short[0]], len(short) - 1
    raise ArchiveError(
        file.path,
        f"expected {most:,} records as in other shards of the split, found {counts[short[0]]:,}"
        + (f" (and {counted(more, 'more shard is', 'more shards are')} as short)" if more else "")
        + f", and in all {sum(counts):,} images where ImageNet has {official:,}; the file was cut "
        "off at a record's end, or the records of a part were shared out unevenly: compare it with "
        "the original",
        offset=file.size,
    )


def read(reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    """Reads images from records whose checksums are right; see `Access.read`.

    Raises:
        ArchiveError: A checksum is wrong.
        SourceError: A file ends before a record, or changed.
    """
    names = ("key", "label", "file", "offset", "size", "record_offset", "record_size")
    for key, label, file, offset, size, begin, length in columns(rows, *names):
        image = _read_image(reader, key, file, offset, size, begin, length)
        yield ImageRow(key, label, reader.files[file].path, offset, bytes(image))


def fill(reader: Reader, rows: pa.Table) -> Fill:
    """Reads images as `read` does into buffers; see `Access.fill`."""
    import numpy as np

    names = ("key", "file", "offset", "size", "record_offset", "record_size")
    places = columns(rows, *names)
    head, tail = frame.HEAD_BYTES, frame.TAIL_BYTES
    around = np.empty(_AROUND_BYTES, np.uint8)
    view = around.data

    def fill_next(buffer: memoryview) -> bool:
        _, file, offset, size, begin, length = place = next(places)
        before, end = offset - begin, length - size  # Of what is around the image.
        if size == len(buffer) and head <= before <= end - tail and end <= len(around):
            # Each part is read to its place, so nothing is copied.
            parts = view[:before], buffer, view[before:end]
            if reader.read_at_once(file, begin, parts, length):
                image = np.frombuffer(buffer, np.uint8)
                record = around[head:before], image, around[before : end - tail]
                if frame.has_checksum(record, view[end - tail : end]):
                    return True
        found = _read_image(reader, *place)  # Which says what is wrong.
        if len(found) != len(buffer):
            return False
        buffer[:] = found
        return True

    return fill_next


def _read_image(
    reader: Reader, key: str, file: int, offset: int, size: int, begin: int, length: int
) -> memoryview:
    """An image in its record, whose checksum is right."""
    import numpy as np

    record = memoryview(reader.read(file, begin, length))
    head, tail = frame.HEAD_BYTES, frame.TAIL_BYTES
    # The checksum takes no memoryview, and to copy the record for it takes as long as the checksum.
    damage = frame.data_damage(np.frombuffer(record[head:-tail], np.uint8), record[-tail:])
    if damage is not None:
        path = reader.files[file].path
        raise ArchiveError(path, f"{damage}; {slim_tfrecords.AGAIN}", member=key, offset=begin)
    start = offset - begin
    return record[start : start + size]


def ranges(reader: Reader, rows: pa.Table) -> Iterator[tuple[int, int, int]]:
    """Where the records of images lie; see `Access.ranges`."""
    return columns(rows, "file", "record_offset", "record_size")


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    """What is wrong with the length of the first record; see `Kind.inspect`."""
    block = os.pread(fd, signatures.BYTES, 0)
    length = block[:12]
    if len(length) == 12 and int.from_bytes(length[:8], "little") + 16 <= size:
        return None, None
    other = slim_tfrecords.foreign(block)
    if other is not None:
        return Wrong("records of images", other.name, "", other.action), None
    return Wrong(
        "records, each with its length in front",
        signatures.described(block, size),
        "the copy was cut off, or this is no TFRecord file",
    ), None


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Reads the first record by the rules of a build; see `Kind.count`."""
    if expected.naming is None:
        return Counted(), []
    path = found.paths[0]
    counted = Counted(unread=f"the records of {found.where or path} but the first")
    try:
        base = slim_tfrecords.first_record(SourceFile.of(path), expected.naming)
    except SourceError as error:
        return counted, [refused(error, path)]
    if base == 1:
        return counted, []
    return counted, [
        Problem(
            WARNING,
            str(path),
            "classes from 1 to 1,000, as slim counts them",
            "its classes count from 0",
            "another converter made these records",
            "nothing: the names of the images say the same classes",
        )
    ]


KIND = Kind(
    name="tfrecord",
    recognise=functools.partial(sets.recognise_sets, shard_sets),
    access=Access(read, ranges, fill),
    images=functools.partial(sets.prepare_images, index_shards),
    boxes_of_images=slim_tfrecords.box_table,
    inspect=inspect,
    count=count,
    not_whole=sets.not_whole,
)
