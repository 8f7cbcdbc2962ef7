"""Jobs that make tables: run by workers, and joined in the order of the jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from imagenet_builders.run.jobs import Function, Job, Workers
from imagenet_builders.sources.rows import row_schema

if TYPE_CHECKING:
    import pyarrow as pa


def run_for_table(
    workers: Workers,
    function: Function[Job, pa.Table],
    jobs: Iterable[Job],
    *,
    schema: pa.Schema | None = None,
    in_process: bool | None = None,
) -> pa.Table:
    """Runs jobs that make tables, and joins the tables in the order of the jobs.

    Args:
        workers: Who runs them.
        function: Makes a table of a job.
        jobs: The jobs.
        schema: Of the table where there are no jobs; None stands for `row_schema()`.
        in_process: As for `Workers.run`. None makes a list of the jobs, and does a single one in
            this process.

    Returns:
        The table, in one piece, which a plan takes rows from faster than from a thousand.

    Raises:
        WorkerError: A worker died.
        Exception: Whatever the function raised.
    """
    import pyarrow as pa

    if in_process is None:
        jobs = list(jobs)
        in_process = len(jobs) == 1
    parts = dict(workers.run(function, jobs, in_process=in_process))
    if not parts:
        return (schema or row_schema()).empty_table()
    table = pa.concat_tables([parts[number] for number in range(len(parts))]).combine_chunks()
    parts.clear()
    # The pieces of 13 million rows are 0.6 GB, which the plan finds a use for.
    pa.default_memory_pool().release_unused()
    return table
