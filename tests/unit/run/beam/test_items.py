"""A work item: done once, whoever does it and how often; what passes is tried again."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest
from support import jobs_for_workers as jobs

from imagenet_builders.errors import WorkerError
from imagenet_builders.run.beam import items
from imagenet_builders.run.beam.items import get_outcome, put_job, run_item


def test_an_item_run_again_is_not_done_again(tmp_path: Path) -> None:
    item = put_job(tmp_path, 7, jobs.count_runs, None, str(tmp_path / "runs"))
    assert [run_item(item) for _ in range(3)] == [7, 7, 7]
    outcome = get_outcome(tmp_path, 7)
    assert (outcome.result, outcome.error) == (1, None)
    assert (outcome.host, outcome.pid) == (socket.gethostname(), os.getpid())


def test_an_item_may_run_twice_at_once(tmp_path: Path) -> None:
    item = put_job(tmp_path, 0, jobs.wait_for_another, None, str(tmp_path / "runs"))
    both = [threading.Thread(target=run_item, args=[item]) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert get_outcome(tmp_path, 0).result == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.job", "0.outcome", "runs"]


def test_passing_errors_are_retried_and_others_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_PAUSES", (0.0, 0.0))
    for number, code in enumerate((errno.ESTALE, errno.ENOSPC)):
        job = (str(tmp_path / str(number)), code)
        run_item(put_job(tmp_path, number, jobs.fail_twice, None, job))
    stale, full = get_outcome(tmp_path, 0), get_outcome(tmp_path, 1)
    assert (stale.result, stale.error, stale.images) == (3, None, 1)
    assert isinstance(full.error, OSError)
    assert full.error.errno == errno.ENOSPC
    assert (tmp_path / "1").read_text() == "."


def test_a_machine_without_the_job_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="must be on a file system that all workers mount"):
        run_item((str(tmp_path / "elsewhere"), 0))
