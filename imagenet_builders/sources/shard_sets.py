"""Sets of numbered files that hold the images of a split together, such as shards of WebDataset.

A set is of use only when it is complete, so gaps are found from the names alone. What the kinds of
such sources have in common besides: an image's name says its class, and shards are indexed in
batches by the workers.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate import exported
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.search import PROVENANCE, Match, Place
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.indexing import (
    BATCH_BYTES,
    Prepared,
    Runner,
    in_batches,
    run_for_table,
)
from imagenet_builders.sources.inspection import ERROR, WARNING, Counted, Inspection, Problem
from imagenet_builders.sources.kind import Expected
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

_R = TypeVar("_R")

# What is read lies far apart, and cold storage answers several at a time as fast as one.
_THREADS = 4

# So many missing files are named; who lacks more knows what happened.
_NAMED = 5
_FEWER = "a subset, a copy that was not finished, or shards made anew in another number"


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """The shards of a split in a directory.

    Attributes:
        names: File names, in the order of their numbers.
        problem: Why they are of no use (some are missing, or there are two of one number), or None.
    """

    names: tuple[str, ...]
    problem: str | None


SetsOf = Callable[[Iterable[str]], dict[str, ShardSet]]
"""From the names in a directory to the sets of shards among them, by split."""


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
            problem = (
                f"{name} and {next_name} are both shard {number}; see which is right, and give a "
                "directory without the other"
            )
            return ShardSet(names, problem)
    there = {number for number, _ in ordered}
    last = ordered[-1][0]
    if count is not None and last >= count:
        problem = f"{names[-1]} is not among {counted(count, 'shard')}, counted from 0"
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


def counted_sets(pattern: re.Pattern[str], names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards among names that say how many there are.

    Args:
        pattern: The name of a shard, which ends in `-NUMBER-of-COUNT`; its groups are the split,
            the number and the count.
        names: File names; those that are not of shards are passed over.

    Returns:
        Split to its shards.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    counts: dict[str, set[str]] = {}
    for name in names:
        match = pattern.fullmatch(name)
        if match is not None:
            found.setdefault(match[1], []).append((int(match[2]), name))
            counts.setdefault(match[1], set()).add(match[3])
    result = {}
    for split, numbers in found.items():
        first, *others = sorted(counts[split])
        if others:
            ordered = tuple(name for _, name in sorted(numbers))
            problem = (
                f"some are of {int(first):,} and others of {int(others[0]):,}; give a directory "
                "with one set"
            )
            result[split] = ShardSet(ordered, problem)
            continue
        before = numbers[0][1].rsplit("-", 3)[0]
        result[split] = numbered_set(numbers, _name_of(before, first), int(first))
    return result


def _name_of(before: str, count: str) -> Callable[[int], str]:
    return lambda number: f"{before}-{number:05}-of-{count}"


def recognise_sets(sets_of: SetsOf, place: Place) -> Iterator[Match]:
    """Recognises the set of shards of a part that is in a directory; see `search.Recognise`.

    Args:
        sets_of: Gives the sets of shards among names, by split.
        place: Where to look.
    """
    shards = sets_of(entry.name for entry in place.tree.entries(place.directory)).get(place.part)
    if shards is not None:
        yield match_of(place, shards)


def match_of(place: Place, shards: ShardSet) -> Match:
    """A set of files in a directory, as one source."""
    count = len(shards.names)
    return Match(
        tuple(place.directory / name for name in shards.names),
        problem=f"{place.directory}: {shards.problem}" if shards.problem else "",
        where=f"{place.directory} ({count:,} files)" if count > 1 else "",
    )


@dataclasses.dataclass(frozen=True)
class ShardsJob:
    """Some shards to be indexed.

    Attributes:
        split: `train` or `validation`.
        shards: The shards, each with its position among the files of the index.
    """

    split: str
    shards: tuple[tuple[int, SourceFile], ...]


def index(
    function: Callable[[ShardsJob, Callable[[int, int], None]], pa.Table],
    split: str,
    files: Sequence[SourceFile],
    workers: Runner,
) -> pa.Table:
    """Indexes shards in batches.

    Args:
        function: Makes the rows of a job.
        split: `train` or `validation`.
        files: The shards, in order; their positions are those of the index.
        workers: Who does it.

    Returns:
        The tables joined, in the order of the files.
    """
    batches = in_batches(enumerate(files), BATCH_BYTES, lambda shard: shard[1].size)
    return run_for_table(workers, function, (ShardsJob(split, batch) for batch in batches))


def each_shard(job: ShardsJob, rows_of: Callable[[int, SourceFile], _R]) -> Iterator[_R]:
    """Reads the shards of a job, several at a time.

    Args:
        job: Which.
        rows_of: Reads one, given its position in the index and its file.

    Yields:
        What `rows_of` gives, in the order of the job.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from threads.map(lambda shard: rows_of(*shard), job.shards)


def check_complete(split: str, files: Sequence[SourceFile], sets_of: SetsOf) -> None:
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
            f"numbers, found {counted(len(names), 'file')}, {len(found.names):,} of them shards of "
            "it"
        )


def prepare_images(
    index_shards: Callable[[str, Sequence[SourceFile], Runner], pa.Table],
    found: Found,
    naming: Naming,
    workers: Runner,
    *,
    strict: bool,
) -> Prepared:
    """Prepares a set of shards to be indexed; see `PrepareImages`.

    Args:
        index_shards: Makes the rows of a split from its shards.
        found: As there, like what follows.
        naming: What the names of the images say.
        workers: Who indexes.
        strict: Not used: nothing is passed over.
    """
    files = tuple(source_files(found.paths, found.copies))
    return Prepared(files, lambda: index_shards(naming.part, files, workers))


def count(
    official: Mapping[str, int],
    found: Found,
    inspected: Mapping[Path, Inspection],
    expected: Expected,
) -> tuple[Counted, list[Problem]]:
    """Says where shards lack at the end, which names that do not count them leave open.

    Of an export of this package, `provenance.json` beside them tells how many there are.

    Args:
        official: Split to the number of shards as they were published.
        found: As in `Kind.count`, like what follows.
        inspected: Not used.
        expected: Not used.
    """
    first = found.paths[0]
    export = exported.around(first)
    shards = official[found.split]
    whole, cause = f"{shards:,} shards, as published", _FEWER
    if export is not None and (beside := export.number_beside(first.name)):
        shards, cause = beside, "a copy that was not finished"
        whole = f"{shards:,} shards, as {PROVENANCE} beside them says"
    counted = Counted(unread=f"the names in {found.where or found.paths[0]}")
    if len(found.paths) >= shards:
        return counted, []
    return counted, [
        Problem(
            WARNING,
            str(found.paths[-1]),
            whole,
            f"{len(found.paths):,}, of which this is the last",
            cause,
            "copy the others too, if there are any, or build without",
        )
    ]


def not_whole(found: Found) -> Problem:
    """The problem of a set of files that is not whole; see `Kind.not_whole`."""
    what, _, action = found.problem.rpartition("; ")
    if not what:
        what, action = found.problem, "copy what is missing"
    return Problem(
        ERROR, str(found.paths[0].parent), f"all of it ({found.layout})", what, "", action
    )
