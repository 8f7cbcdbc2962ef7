"""Verifies the index files beside shards: which there should be, and what is in them."""

from __future__ import annotations

import dataclasses
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from imagenet_builders.files.regular import NotAFileError, read_regular
from imagenet_builders.verify.metadata import Description, SplitInfo
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.verify.provenance import Recorded
from imagenet_builders.write.offsets import RecordOffsets
from imagenet_builders.write.outputs.output import Record, RecordIndex

# Bytes for each record, and of an index of none; a longer file is not read.
_BYTES_A_RECORD, _MORE_BYTES = 64, 1 << 16

_MOVE = "move it elsewhere"
_ANEW = (
    "the shards are read without it; for readers that need it, `imagenet-builders export` makes "
    "all indexes from the shards"
)


@dataclasses.dataclass(frozen=True)
class IndexFile:
    """The index of a shard.

    Attributes:
        path: The file.
        index: What it should be.
        crc: CRC-32C that it should have; None if that is not recorded.
    """

    path: str
    index: RecordIndex
    crc: int | None


class Places:
    """Where the records of a shard were found."""

    def __init__(self) -> None:
        self._offsets, self._sizes = array("q"), array("q")

    def add(self, record: Record) -> None:
        """Notes a record that was read."""
        if record.offset is not None:
            self._offsets.append(record.offset)
            self._sizes.append(len(record.data))

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def offsets(self) -> RecordOffsets:
        """The offsets of all that were noted."""
        import numpy as np

        return RecordOffsets.of(*(np.frombuffer(n, np.int64) for n in (self._offsets, self._sizes)))


def index_of(
    directory: Path, description: Description, recorded: Recorded, split: SplitInfo, number: int
) -> IndexFile | None:
    """The index of a shard, if it is there; see `check_index_listing` for those that are not.

    Args:
        directory: The directory of the dataset.
        description: Its metadata.
        recorded: What its provenance records.
        split: The split.
        number: The shard, counted from 0.
    """
    index = description.output.index
    if index is None:
        return None
    path = directory / index.name_of(split.shards[number])
    if not os.path.lexists(path):
        return None
    crcs = recorded.index_crcs.get(split.name)
    return IndexFile(str(path), index, None if crcs is None else crcs[number])


def check_index_listing(
    directory: Path, description: Description, recorded: Recorded, problems: Problems
) -> None:
    """Compares the index files that are there with those that were built.

    Of a dataset that was built before there were any, none is missed.

    Args:
        directory: The directory of the dataset.
        description: Its metadata.
        recorded: What its provenance records.
        problems: Receives what is wrong.
    """
    index = description.output.index
    if index is None:
        return
    folder = directory / index.folder
    built = [
        index.name_of(shard)
        for split in description.splits
        if split.name in recorded.index_crcs
        for shard in split.shards
    ]
    if not os.path.lexists(folder):
        if built:
            what = "the directory with the index of each shard is missing"
            problems.add(Problem(str(folder), what, advice=_ANEW))
        return
    if not folder.is_dir():
        what = "this is no directory, and has the name of the one with the index of each shard"
        problems.add(Problem(str(folder), what, advice=_MOVE))
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        what = f"this directory cannot be listed ({error.strerror})"
        problems.add(Problem(str(folder), what))
        return
    there = {f"{index.folder}/{name}" for name in names}
    for name in built:
        if name not in there:
            problems.add(Problem(str(directory / name), "this index is missing", advice=_ANEW))
    belong = {index.name_of(shard) for split in description.splits for shard in split.shards}
    for name in sorted(there - belong):
        what = "this file is the index of no shard"
        problems.add(Problem(str(directory / name), what, advice=_MOVE))


def check_index(job: IndexFile, examples: int, places: Places | None) -> Iterator[Problem]:
    """Compares an index with its checksum, and with the records that it is of.

    Args:
        job: The index.
        examples: How many records its shard should have.
        places: Where all of them were found; None if something is wrong with the shard, of which
            the index may be right.

    Yields:
        What is wrong.
    """
    try:
        limit = _BYTES_A_RECORD * examples + _MORE_BYTES
        content = read_regular(Path(job.path), limit, follow=True)
    except NotAFileError as error:
        yield Problem(job.path, f"this index is not a file of one: {error.strerror}", advice=_ANEW)
        return
    except OSError as error:
        what = f"this index cannot be read: {error.strerror or error}"
        yield Problem(job.path, what, advice=_ANEW)
        return
    expected = content if places is None else job.index.make(places.offsets)
    crc = google_crc32c.value(content)
    if content != expected:
        found, right = content.splitlines(), expected.splitlines()
        pairs = enumerate(zip(right, found, strict=False))
        at = next((number for number, (a, b) in pairs if a != b), min(len(found), len(right)))
        yield Problem(
            job.path,
            f"the index is not that of its shard, from its line {at + 1:,} on",
            expected=_line(right, at),
            found=_line(found, at),
            advice=_ANEW,
        )
    elif job.crc is not None and crc != job.crc:
        yield Problem(
            job.path,
            "the index is not the one that was built: it has another CRC-32C than provenance.json "
            "says",
            expected=f"{job.crc:08x}",
            found=f"{crc:08x}",
            advice=_ANEW,
        )


def _line(lines: list[bytes], number: int) -> str:
    if number >= len(lines):
        return "no such line"
    return ascii(lines[number][:60].decode("latin-1"))
