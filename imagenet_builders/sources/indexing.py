"""What indexing has in common whatever the kind of source: jobs for workers, and what is odd."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imagenet_builders.locate.links import added
from imagenet_builders.sources.noted import links_of, with_links
from imagenet_builders.sources.rows import (
    PassedOver,
    SourceFile,
    row_schema,
)

if TYPE_CHECKING:
    import pyarrow as pa

_J = TypeVar("_J")
_R = TypeVar("_R")

BATCH_BYTES = 1 << 30
"""Enough work for a process to be worth starting, little enough for all to be busy to the end."""

_SHOWN = 5


class Runner(Protocol):
    """What runs jobs: `run.jobs.Workers`, which sources know nothing of."""

    def run(
        self,
        function: Callable[[_J, Any], _R],
        jobs: Iterable[_J],
        *,
        in_process: bool = False,
    ) -> Iterator[tuple[int, _R]]:
        """Yields position of a job and its result, in the order in which they are finished."""
        ...


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Something staged that is ready to be indexed.

    Attributes:
        files: The files of the index.
        make: Makes its rows.
        also_read: Files that the rows are made from besides.
        odd: What is there that does not belong, but does no harm; a sentence, or None.
    """

    files: tuple[SourceFile, ...]
    make: Callable[[], pa.Table]
    also_read: tuple[SourceFile, ...] = ()
    odd: str | None = None


def run_for_table(
    workers: Runner,
    function: Callable[[_J, Any], pa.Table],
    jobs: Iterable[_J],
    *,
    schema: pa.Schema | None = None,
    in_process: bool | None = None,
    counted: Callable[[int], None] = lambda rows: None,
) -> pa.Table:
    """Runs jobs that make tables, and joins the tables in the order of the jobs.

    Args:
        workers: Who runs them.
        function: Makes a table of a job.
        jobs: The jobs.
        schema: Of the table where there are no jobs; None stands for `row_schema()`.
        in_process: As for `Workers.run`. None makes a list of the jobs, and does a single one in
            this process.
        counted: Told after each job how many rows there are so far; it raises where there are too
            many.

    Returns:
        The table, in one piece, which a plan takes rows from faster than from a thousand.

    Raises:
        WorkerError: A worker died.
        Exception: Whatever the functions raised.
    """
    import pyarrow as pa

    if in_process is None:
        jobs = list(jobs)
        in_process = len(jobs) == 1
    parts: dict[int, pa.Table] = {}
    rows = 0
    for number, part in workers.run(function, jobs, in_process=in_process):
        parts[number] = part
        rows += part.num_rows
        counted(rows)
    if not parts:
        return (schema or row_schema()).empty_table()
    ordered = [parts[number] for number in range(len(parts))]
    # Only some may have a column of names.
    table = pa.concat_tables(ordered, promote_options="default").combine_chunks()
    table = sum(map(PassedOver.of, ordered), PassedOver()).noted_in(table)
    table = with_links(table, added(*map(links_of, ordered)))
    del ordered
    parts.clear()
    # The pieces of 13 million rows are 0.6 GB, which the plan finds a use for.
    pa.default_memory_pool().release_unused()
    return table


def in_batches(
    items: Iterable[_J], size: int, size_of: Callable[[_J], int] = lambda item: 1
) -> Iterator[tuple[_J, ...]]:
    """Cuts items into batches of about the same size.

    Args:
        items: The items, in order.
        size: A batch ends with the item that makes it this large.
        size_of: The size of an item, such as its bytes; by default each counts 1.
    """
    batch: list[_J] = []
    so_far = 0
    for item in items:
        batch.append(item)
        so_far += size_of(item)
        if so_far >= size:
            yield tuple(batch)
            batch, so_far = [], 0
    if batch:
        yield tuple(batch)


def what_is_passed_over(path: Path, names: Sequence[str], kind: str) -> str | None:
    """What to say of things beside class folders or class archives, or None."""
    if not names:
        return None
    more = ", ..." if len(names) > _SHOWN else ""
    listed = ", ".join(map(repr, names[:_SHOWN]))
    return f"{path} holds what is not one of its {kind}: {listed}{more}"
