"""Sets of numbered files that hold the images of a split together, such as shards of WebDataset.

A set is of use only when it is complete, so gaps are found from the names alone. What the shards of
all kinds have in common besides: an image's name says its class, and shards are indexed in batches
by the workers.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.shard_names import ShardSet
from imagenet_builders.sources.rows import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa

_R = TypeVar("_R")


# Enough work for a process to be worth starting, little enough for all to be busy to the end.
_BATCH_BYTES = 1 << 30

# What is read lies far apart, and cold storage answers several at a time as fast as one.
_THREADS = 4


class Runner(Protocol):
    """What runs jobs: `Workers`, which sources know nothing of."""

    def run(
        self,
        function: Callable[[ShardsJob, Any], Any],
        jobs: Iterable[ShardsJob],
        *,
        in_process: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """Yields position of a job and its result, in the order in which they are finished."""
        ...


@dataclasses.dataclass(frozen=True)
class ShardsJob:
    """Some shards to be indexed.

    Attributes:
        split: `train` or `validation`.
        shards: The shards, each with its position among the files of the index.
    """

    split: str
    shards: tuple[tuple[int, SourceFile], ...]


def run(
    function: Callable[[ShardsJob, Callable[[int, int], None]], pa.Table],
    split: str,
    files: Sequence[SourceFile],
    workers: Runner,
) -> pa.Table:
    """Indexes shards in batches.

    Args:
        function: Called with a `ShardsJob` and a report; gives a table.
        split: `train` or `validation`.
        files: The shards, in order; their positions are those of the index.
        workers: Who does it.

    Returns:
        The tables joined, in the order of the files.
    """
    import pyarrow as pa

    jobs = list(_in_batches(split, files))
    parts = dict(workers.run(function, jobs, in_process=len(jobs) == 1))
    return pa.concat_tables([parts[number] for number in range(len(jobs))])


def each_shard(job: ShardsJob, rows_of: Callable[[int, SourceFile, Naming], _R]) -> Iterator[_R]:
    """Reads the shards of a job, several at a time.

    Args:
        job: Which.
        rows_of: Reads one, given its position in the index, its file, and what names say.

    Yields:
        What `rows_of` gives, in the order of the job.
    """
    naming = Naming(job.split)
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from threads.map(lambda shard: rows_of(shard[0], shard[1], naming), job.shards)


def check_complete(
    split: str, files: Sequence[SourceFile], sets_of: Callable[[Iterable[str]], dict[str, ShardSet]]
) -> None:
    """Checks that files are the complete set of a split's shards, in their order.

    Args:
        split: `train` or `validation`.
        files: The shards.
        sets_of: Gives the sets of shards among names, by split.

    Raises:
        SourceError: They are not.
    """
    names = tuple(os.path.basename(file.path) for file in files)
    directory = os.path.dirname(files[0].path) if files else "."
    found = sets_of(names).get(split)
    if found is None:
        raise SourceError(f"{directory}: expected shards of split {split!r}, found none")
    if found.problem is not None:
        raise SourceError(f"{directory}: of the shards of split {split!r}, {found.problem}")
    if found.names != names:
        raise SourceError(
            f"{directory}: expected only the shards of split {split!r}, in the order of their "
            f"numbers, found {len(names):,} files of which {len(found.names):,} are shards of it"
        )


def _in_batches(split: str, files: Sequence[SourceFile]) -> Iterator[ShardsJob]:
    """Cuts shards into jobs of about a gigabyte each."""
    batch: list[tuple[int, SourceFile]] = []
    size = 0
    for position, file in enumerate(files):
        batch.append((position, file))
        size += file.size
        if size >= _BATCH_BYTES:
            yield ShardsJob(split, tuple(batch))
            batch, size = [], 0
    if batch:
        yield ShardsJob(split, tuple(batch))
