"""Sets of numbered files that hold the images of a split together, such as shards of WebDataset.

A set is of use only when it is complete, so gaps are found from the names alone. What the shards of
all kinds have in common besides: an image's name says its class, and shards are indexed in batches
by the workers.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imagenet_builders import labels
from imagenet_builders.errors import SourceError
from imagenet_builders.sources.rows import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa

_R = TypeVar("_R")

_TRAIN = re.compile(r"(n[0-9]{8})_[0-9]+")
_VALIDATION = re.compile(r"ILSVRC2012_val_([0-9]{8})")

# Enough work for a process to be worth starting, little enough for all to be busy to the end.
_BATCH_BYTES = 1 << 30

# What is read lies far apart, and cold storage answers several at a time as fast as one.
_THREADS = 4

# So many missing files are named; who lacks more knows what happened.
_NAMED = 5


class Runner(Protocol):
    """What runs jobs: `assembly.workers.Workers`, which sources know nothing of."""

    def run(
        self, function: str, jobs: Iterable[Any], *, here: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Yields position of a job and its result, in the order in which they are finished."""
        ...


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """The shards of a split in a directory.

    Attributes:
        names: File names, in the order of their numbers.
        problem: Why they are of no use (some are missing, or there are two of one number), or None.
    """

    names: tuple[str, ...]
    problem: str | None


@dataclasses.dataclass(frozen=True)
class ShardsJob:
    """Some shards to be indexed.

    Attributes:
        split: `train` or `validation`.
        shards: The shards, each with its position among the files of the index.
    """

    split: str
    shards: tuple[tuple[int, SourceFile], ...]


def numbered_set(
    numbers: Sequence[tuple[int, str]], name_of: Callable[[int], str], count: int | None = None
) -> ShardSet:
    """Puts the shards of a split in order and finds what is missing.

    Args:
        numbers: Number and name of each shard that is there; at least one.
        name_of: Gives the name of the shard of a number.
        count: How many shards there should be, where that is known; else the greatest number
            among them is taken for the last.

    Returns:
        The set.
    """
    ordered = sorted(numbers)
    names = tuple(name for _, name in ordered)
    for (number, name), (next_number, next_name) in itertools.pairwise(ordered):
        if number == next_number:
            return ShardSet(names, f"{name} and {next_name} are both shard {number}; keep one")
    there = {number for number, _ in ordered}
    last = ordered[-1][0]
    if count is not None and last >= count:
        problem = f"{names[-1]} is not one of {count:,} shards that are counted from 0"
        return ShardSet(names, f"{problem}; check where it comes from")
    expected = last + 1 if count is None else count
    lacking = expected - len(there)
    if not lacking:
        return ShardSet(names, None)
    # What a name claims may be huge, so that numbers are not gathered but looked through.
    absent = itertools.islice((n for n in range(expected) if n not in there), _NAMED)
    listed = ", ".join(map(name_of, absent))
    more = f" and {lacking - _NAMED:,} more" if lacking > _NAMED else ""
    verb = "is" if lacking == 1 else "are"
    return ShardSet(
        names,
        f"expected {expected:,} shards, found {len(there):,}: {listed}{more} {verb} missing; "
        "copy the missing files",
    )


def run(function: str, split: str, files: Sequence[SourceFile], workers: Runner) -> pa.Table:
    """Indexes shards in batches.

    Args:
        function: `module:function`, called with a `ShardsJob` and a report; gives a table.
        split: `train` or `validation`.
        files: The shards, in order; their positions are those of the index.
        workers: Who does it.

    Returns:
        The tables joined, in the order of the files.
    """
    import pyarrow as pa

    jobs = list(_in_batches(split, files))
    parts = dict(workers.run(function, jobs, here=len(jobs) == 1))
    return pa.concat_tables([parts[number] for number in range(len(jobs))])


def each_shard(
    job: ShardsJob, rows_of: Callable[[int, SourceFile, Callable[[str], int]], _R]
) -> Iterator[_R]:
    """Reads the shards of a job, several at a time.

    Args:
        job: Which.
        rows_of: Reads one, given its position in the index, its file, and `labels_by_name`.

    Yields:
        What `rows_of` gives, in the order of the job.
    """
    label_of = labels_by_name(job.split)
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from threads.map(lambda shard: rows_of(shard[0], shard[1], label_of), job.shards)


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


def official_images(split: str) -> int:
    """How many images there are in a split (`train` or `validation`) of ILSVRC2012."""
    if split == "train":
        return sum(labels.train_counts().values())
    return len(labels.validation_labels())


def labels_by_name(split: str) -> Callable[[str], int]:
    """What says the label of an image from its name without extension.

    Args:
        split: `train` (`n01440764_10026`) or `validation` (`ILSVRC2012_val_00000293`).

    Returns:
        A function of the name; it raises ValueError with the reason for a name that is not that of
        an image of the split.

    >>> labels_by_name("validation")("ILSVRC2012_val_00000001")
    65
    """
    return _train_labels() if split == "train" else _validation_labels()


def _train_labels() -> Callable[[str], int]:
    ids = {wnid: label for label, wnid in enumerate(labels.wnids("imagenet2012"))}

    def label_of(stem: str) -> int:
        match = _TRAIN.fullmatch(stem)
        if match is None:
            raise ValueError("only images such as n01440764_10026 belong to the split train")
        label = ids.get(match[1])
        if label is None:
            raise ValueError(f"{match[1]} is not one of the {len(ids):,} classes of imagenet2012")
        return label

    return label_of


def _validation_labels() -> Callable[[str], int]:
    by_number = labels.validation_labels().tolist()

    def label_of(stem: str) -> int:
        match = _VALIDATION.fullmatch(stem)
        if match is None:
            raise ValueError(
                "only images such as ILSVRC2012_val_00000293 belong to the split validation"
            )
        number = int(match[1])
        if not 1 <= number <= len(by_number):
            raise ValueError(f"the images are numbered from 1 to {len(by_number):,}")
        label: int = by_number[number - 1]
        return label

    return label_of


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
