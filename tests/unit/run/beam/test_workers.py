"""What Beam's workers do that others do not: they report a job when it is done."""

from __future__ import annotations

from pathlib import Path

from support import jobs_for_workers as jobs
from support.runners import IN_MEMORY, beam_workers


def test_the_progress_of_a_job_is_reported_once_it_is_done(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with beam_workers(tmp_path / "jobs", IN_MEMORY) as workers:
        list(workers.run(jobs.count, range(9), report=lambda *done: told.append(done)))
    assert sorted(told) == [(number, 100 * number) for number in range(9)]
