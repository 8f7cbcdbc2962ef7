"""Writes one shard: the unit of work of a build, wherever it runs.

A `ShardJob` holds everything that its shard needs besides the sources themselves, so any number of
processes can write shards in any order. `write_shard` gives the same bytes everywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.errors import TargetError
from imagenet_builders.files.at_once import at_once
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.plan import index as index_lib
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples, Note
from imagenet_builders.run.jobs import Report
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.sources.reader import RANGES, Access, Reader
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.write import build_dir, durable
from imagenet_builders.write.image_rows import RowExamples
from imagenet_builders.write.marks import mark_content
from imagenet_builders.write.outputs.output import Output, Written
from imagenet_builders.write.results import ShardResult
from imagenet_builders.write.source_errors import reading_errors, source_error
from imagenet_builders.write.together import write_together

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# Bytes of images between two reports of progress.
_REPORT_EVERY = 8 << 20

# Ranges closer to each other than this are asked for as one.
_ADVICE_GAP = 64 << 10

# Number of shards that are flushed at the same time.
_FINISHED_AT_ONCE = 2

# Files of a shard that is several, from this number on.
_MANY_FILES, _FLUSHED_AT_ONCE = 8, 16


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """One shard to write.

    Attributes:
        split: Name of the split.
        number: The shard, counted from 0.
        path: The file that the finished shard will be, in a directory as `build_dir` has it.
        output: How the shard becomes a file.
        examples: Makes examples of rows.
        rows: The rows, as an Arrow stream.
        files: The files that the rows point into.
        policy: How to look at images, and what to do with bad ones.
        mark: The file beside it that will say that the shard is finished, and what is in it.
        access: How the rows are read.
    """

    split: str
    number: int
    path: str
    output: Output
    examples: MakeExamples
    rows: bytes
    files: tuple[SourceFile, ...]
    policy: ImagePolicy
    mark: str
    access: Access = RANGES


@dataclasses.dataclass(frozen=True)
class AlsoWritten:
    """What a shard is written as, too.

    Attributes:
        path: The file that it will be, in a directory as `build_dir` has it.
        output: How the shard becomes a file.
    """

    path: str
    output: Output


@dataclasses.dataclass(frozen=True)
class ShardsJob:
    """One shard to write into several files, of which each has an output of its own.

    Attributes:
        shard: The shard, and the first of its files.
        also: The others.
    """

    shard: ShardJob
    also: tuple[AlsoWritten, ...]


def write_shard(job: ShardJob, report: Report) -> Future[ShardResult]:
    """Writes one shard under a temporary name.

    Then another thread flushes it to the storage, writes its mark and renames it, so that the next
    shard can be written meanwhile.

    Args:
        job: What to write.
        report: Told of progress.

    Returns:
        What was written, once it is finished.

    Raises:
        SourceError: A source is damaged or has changed.
        TargetError: The shard cannot be written; the future may hold one too.
    """
    finish = _written(job, (), report)
    return _finishers().submit(lambda: finish()[0])


def write_shards(job: ShardsJob, report: Report) -> Future[tuple[ShardResult, ...]]:
    """Writes one shard into several files, for which its images are read once; see `write_shard`.

    Args:
        job: What to write.
        report: Told of progress.

    Returns:
        What was written, file by file, once all are finished.

    Raises:
        SourceError: A source is damaged or has changed.
        TargetError: A file cannot be written; the future may hold one too.
    """
    return _finishers().submit(_written(job.shard, job.also, report))


def _written(
    job: ShardJob, also: tuple[AlsoWritten, ...], report: Report
) -> Callable[[], tuple[ShardResult, ...]]:
    """Writes a shard under temporary names; returns what finishes it."""
    rows = index_lib.from_bytes(job.rows)
    notes: list[Note] = []
    outputs = [job.output, *(each.output for each in also)]
    paths = [Path(job.path), *(Path(each.path) for each in also)]
    files: list[tuple[PrivateDir, str]] = []
    with contextlib.ExitStack() as stack:
        for path, output in zip(paths, outputs, strict=True):
            directory = stack.enter_context(build_dir.entered(path))
            new = build_dir.new_tree if output.is_tree else build_dir.new_file
            partial = new(directory, path.name)
            stack.push(functools.partial(_remove_partial, directory, partial))
            files.append((directory, partial))
        with Reader(job.files, job.access) as reader:
            places = [directory.place_of(partial) for directory, partial in files]
            progress = _Progress(reader, report, int(numbers_in(rows["size"]).sum()))
            write_images = _fast_way(job, outputs)
            if write_images is not None:
                written = write_images(places, rows, reader, notes, progress.tell)
            else:
                examples = job.examples(rows, reader, job.policy, notes)
                counted = _reporting(examples, reader, progress)
                written = write_together(list(zip(outputs, places, strict=True)), counted)
            progress.end()
        results = [
            ShardResult(
                **vars(each),
                split=job.split,
                number=job.number,
                decoded=job.policy.decode,
                notes=tuple(notes),
            )
            for each in written
        ]
        at_end = stack.pop_all()
    finishing = [
        functools.partial(_finish, *each)
        for each in zip(paths, outputs, *zip(*files, strict=True), results, strict=True)
    ]
    return functools.partial(_finish_all, finishing, at_end)


def _remove_partial(directory: PrivateDir, partial: str, kind: object, *_: object) -> None:
    """Removes a shard whose writing ended with an error."""
    if kind is not None:
        with contextlib.suppress(OSError):
            directory.discard(partial)


def _finish_all(
    finishing: Sequence[Callable[[], ShardResult]], at_end: contextlib.ExitStack
) -> tuple[ShardResult, ...]:
    with at_end:
        return tuple(finish() for finish in finishing)


def _finish(
    path: Path, output: Output, directory: PrivateDir, partial: str, result: ShardResult
) -> ShardResult:
    """Flushes a shard that was written, marks it as finished, and renames it."""
    names = [partial]
    if output.is_tree:
        names = [f"{partial}/{file.place}" for file in result.files]
    size = _flushed(directory, names)
    if size != result.file_bytes:
        raise TargetError(
            f"{path}: {result.file_bytes:,} bytes were written but the file has {size:,}; "
            "the target's file system lost some, look at its quota and its log"
        )
    with durable.writing(path):
        directory.write(build_dir.mark_name(path.name), mark_content(result), flush=True)
        if output.is_tree and directory.has(build_dir.shard_name(path.name)):
            directory.discard(build_dir.shard_name(path.name))
        directory.replace(partial, build_dir.shard_name(path.name))
    return result


def _flushed(directory: PrivateDir, names: Sequence[str]) -> int:
    """Flushes files to the storage, and returns their bytes.

    Thousands of small ones wait for it together, and not one after another.
    """
    threads = _FLUSHED_AT_ONCE if len(names) >= _MANY_FILES else 1
    flush = functools.partial(build_dir.flush, directory)
    return sum(at_once(flush, names, threads=threads, waits=True))


@functools.cache
def _finishers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_FINISHED_AT_ONCE, thread_name_prefix="finish-shards")


def prefetch_shards(job: ShardsJob) -> None:
    """As `prefetch`, for a shard that is written into several files."""
    prefetch(job.shard)


def prefetch(job: ShardJob) -> None:
    """Asks the kernel for the bytes of a shard, in the order in which they lie in the files.

    The rows of a shard are scattered over the source. Cold storage serves them one by one if they
    are asked for one by one, in the shard's order; asked for in the files' order, it streams.
    """
    ask_for(index_lib.from_bytes(job.rows), job.files, job.access)


def ask_for(rows: pa.Table, files: Sequence[SourceFile], access: Access) -> None:
    """Does it for some rows, the files that they point into, and how they are read."""
    if not hasattr(os, "posix_fadvise"):
        return
    with Reader(files, access) as reader:
        for file, start, end in _merged(reader.ranges(rows)):
            os.posix_fadvise(reader.open(file), start, end - start, os.POSIX_FADV_WILLNEED)


def _merged(ranges: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Joins sorted rows of file, offset and size to (file, start, end), over small gaps."""
    import numpy as np

    if not len(ranges):
        return iter(())
    files, starts, ends = ranges[:, 0], ranges[:, 1], ranges[:, 1] + ranges[:, 2]
    is_apart = (files[1:] != files[:-1]) | (starts[1:] - ends[:-1] > _ADVICE_GAP)
    first = np.concatenate([[0], 1 + np.flatnonzero(is_apart)])
    columns = files[first], starts[first], np.maximum.reduceat(ends, first)
    return zip(*(column.tolist() for column in columns), strict=True)


_WriteImages = Callable[
    [Sequence[Path], "pa.Table", Reader, list[Note], Callable[[], None]], list[Written]
]


def _fast_way(job: ShardJob, outputs: Sequence[Output]) -> _WriteImages | None:
    """Writes a shard whose images are put to where they lie in it; None where it cannot be so.

    Of several outputs, one has the images put to their places, and the others take its records.
    The result is that of the careful way, which makes examples and hands them over to outputs.
    """
    examples = RowExamples.of(job.examples)
    # One that takes records from another lets that lead.
    lead = min(range(len(outputs)), key=lambda number: outputs[number].writer is not None)
    write = outputs[lead].write_images
    others = [number for number in range(len(outputs)) if number != lead]
    writers = [outputs[number].writer for number in others]
    if write is None or examples is None or None in writers:
        return None
    if not examples.has_fast_way(job.policy):
        return None

    def write_rows(
        places: Sequence[Path],
        rows: pa.Table,
        reader: Reader,
        notes: list[Note],
        tell: Callable[[], None],
    ) -> list[Written]:
        with contextlib.ExitStack() as stack:
            also = [
                stack.enter_context(open_writer(places[number]))
                for number, open_writer in zip(others, writers, strict=True)
                if open_writer is not None
            ]
            images = examples.image_rows(rows, reader, job.policy, notes, tell)
            try:
                leading = write(places[lead], images, also)
            except OSError as error:
                # What cannot be written is a `TargetError` by now.
                raise source_error(error, reader) from error
        found = {lead: leading}
        found.update(zip(others, (writer.written() for writer in also), strict=True))
        return [found[number] for number in range(len(outputs))]

    return write_rows


class _Progress:
    """Reports every few megabytes what was read of a shard.

    Args:
        reader: What it is read with.
        report: Told of images and bytes.
        size: Bytes of the shard's images.
    """

    def __init__(self, reader: Reader, report: Report, size: int):
        self._reader, self._report, self._size = reader, report, size
        self._images = self._told = 0

    def tell(self) -> None:
        """Counts an image."""
        self._images += 1
        if self._reader.bytes_read - self._told >= _REPORT_EVERY:
            # What is read of a member that is compressed is less than its image.
            done = min(self._reader.bytes_read, self._size)
            if done > self._told:
                self._report(self._images, done - self._told)
                self._images, self._told = 0, done

    def end(self) -> None:
        """Reports the rest."""
        self._report(self._images, self._size - self._told)


def _reporting(examples: Iterator[Any], reader: Reader, progress: _Progress) -> Iterator[Any]:
    """Passes examples on and reports progress."""
    for _, example in reading_errors(examples, reader):
        yield example
        progress.tell()
