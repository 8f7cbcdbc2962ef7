"""The kind of source `pile`: all that the package knows of it.

A pile begins with a mark, the number of its images and its bytes; then comes, for each image, the
length of its name and of its bytes, the name, the bytes, and their CRC-32.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.search import Layout
from imagenet_builders.sources.indexing import Prepared, Runner, run_for_table
from imagenet_builders.sources.inspection import Counted, Inspection, Problem, Wrong
from imagenet_builders.sources.kind import Expected, Kind
from imagenet_builders.sources.reader import Access, ImageRow, Reader, columns
from imagenet_builders.sources.rows import Rows, SourceFile, check_image_size, opened

if TYPE_CHECKING:
    import pyarrow as pa

MARK = b"PILE"
HEAD = struct.Struct("<4sIQ")
ENTRY = struct.Struct("<HI")
CRC = struct.Struct("<I")


@dataclasses.dataclass(frozen=True)
class Job:
    """A pile to be indexed."""

    file: SourceFile
    part: str


def prepare_images(found: Found, naming: Naming, workers: Runner, *, strict: bool) -> Prepared:
    file = SourceFile.of(found.paths[0], found.copies)
    jobs = [Job(file, naming.part)]
    return Prepared((file,), lambda: run_for_table(workers, rows_of, jobs, in_process=False))


def rows_of(job: Job, report: Callable[[int, int], None]) -> pa.Table:
    rows, naming, path = Rows(), Naming(job.part), job.file.path
    with opened(job.file) as fd:
        _, count, size = head_of(path, os.pread(fd, HEAD.size, 0), job.file.size)
        at = HEAD.size
        for _ in range(count):
            head = os.pread(fd, ENTRY.size, at)
            if len(head) < ENTRY.size:
                raise ArchiveError(path, "the pile ends too early; copy it again", offset=at)
            name_size, image_size = ENTRY.unpack(head)
            name = os.pread(fd, name_size, at + ENTRY.size).decode("latin-1")
            check_image_size(path, name, image_size)
            try:
                key, label = naming.row_of(name)
            except ValueError as error:
                raise ArchiveError(path, str(error), member=name, offset=at) from None
            begin = at + ENTRY.size + name_size
            rows.add(key, label, 0, begin, image_size)
            at = begin + image_size + CRC.size
    if at != size:
        raise ArchiveError(path, f"expected {size:,} bytes of images, found {at:,}", offset=at)
    return rows.table()


def head_of(path: str, head: bytes, size: int) -> tuple[bytes, int, int]:
    problem = wrong_with(head, size)
    if problem is not None:
        raise ArchiveError(path, f"expected {problem.expected}, found {problem.found}", offset=0)
    return HEAD.unpack(head)


def wrong_with(head: bytes, size: int) -> Wrong | None:
    if len(head) < HEAD.size or not head.startswith(MARK):
        return Wrong("a pile", f"data that begin with {head[:4]!r}")
    _, _, expected = HEAD.unpack(head)
    if expected != size:
        return Wrong(f"a pile of {expected:,} bytes, as it says itself", f"{size:,} bytes")
    return None


def read(reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    for key, label, file, offset, size in columns(rows, "key", "label", "file", "offset", "size"):
        data = reader.read(file, offset, size + CRC.size)
        (crc,) = CRC.unpack_from(data, size)
        problem = None if zlib.crc32(data[:size]) == crc else "damaged: another CRC-32"
        yield ImageRow(key, label, reader.files[file].path, offset, data[:size], problem)


def ranges(reader: Reader, rows: pa.Table) -> Iterator[tuple[int, int, int]]:
    for file, offset, size in columns(rows, "file", "offset", "size"):
        yield file, offset, size + CRC.size


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    return wrong_with(os.pread(fd, HEAD.size, 0), size), None


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    with open(found.paths[0], "rb") as file:
        return Counted(HEAD.unpack(file.read(HEAD.size))[1]), []


KIND = Kind(
    name="pile",
    layouts=(
        Layout(
            "piles of images",
            "pile",
            (".", "piles"),
            {
                "train": (r"train\.pile",),
                "validation": (r"val\.pile",),
                "test": (r"test\.pile",),
            },
        ),
    ),
    access=Access(read, ranges),
    images=prepare_images,
    inspect=inspect,
    count=count,
)
