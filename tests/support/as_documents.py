"""Workers in this process whose jobs and results pass through files, as with Beam."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam.items import get_outcome, put_job, run_item
from imagenet_builders.run.beam.seal import new_key
from imagenet_builders.run.jobs import Function, Job, Prefetch, Report, Result, Workers, ignore


class WorkersAsDocuments(Workers):
    """Does each job as a work item of Beam, without Beam.

    Args:
        path: A directory for the files, which is made.
    """

    def __init__(self, path: Path):
        self._directory = PrivateDir.make(path)
        self._count = 0

    def close(self) -> None:
        self._directory.remove()

    def run(
        self,
        function: Function[Job, Result],
        jobs: Iterable[Job],
        *,
        report: Report = ignore,
        prefetch: Prefetch[Job] | None = None,
        in_process: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        key = new_key()
        for number, job in enumerate(jobs):
            self._count += 1
            item = put_job(self._directory, self._count, key, function, prefetch, job)
            run_item(item)
            outcome = get_outcome(self._directory, item, function)
            if outcome.error is not None:
                raise outcome.error
            report(outcome.images, outcome.size)
            yield number, outcome.result
