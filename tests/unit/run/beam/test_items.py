"""A work item: done once, whoever does it and how often; what passes is tried again."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import jobs_for_workers as jobs

from imagenet_builders.errors import WorkerError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam import items
from imagenet_builders.run.beam.items import get_outcome, put_job, run_item
from imagenet_builders.run.beam.seal import new_key, sealed

KEY = new_key()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[PrivateDir]:
    with PrivateDir.make(tmp_path / "jobs") as made:
        yield made


def test_an_item_run_again_is_not_done_again(tmp_path: Path, directory: PrivateDir) -> None:
    item = put_job(directory, 7, KEY, jobs.count_runs, None, str(tmp_path / "runs"))
    assert [run_item(item) for _ in range(3)] == [7, 7, 7]
    outcome = get_outcome(directory, 7, KEY)
    assert (outcome.result, outcome.error) == (1, None)
    assert (outcome.host, outcome.pid) == (socket.gethostname(), os.getpid())


def test_an_item_may_run_twice_at_once(tmp_path: Path, directory: PrivateDir) -> None:
    item = put_job(directory, 0, KEY, jobs.wait_for_another, None, str(tmp_path / "runs"))
    both = [threading.Thread(target=run_item, args=[item]) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert get_outcome(directory, 0, KEY).result == 5
    assert sorted(directory.names()) == ["0.job", "0.outcome"]


def test_passing_errors_are_retried_and_others_reported_at_once(
    tmp_path: Path, directory: PrivateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_PAUSES", (0.0, 0.0))
    for number, code in enumerate((errno.ESTALE, errno.ENOSPC)):
        job = (str(tmp_path / str(number)), code)
        run_item(put_job(directory, number, KEY, jobs.fail_twice, None, job))
    stale, full = get_outcome(directory, 0, KEY), get_outcome(directory, 1, KEY)
    assert (stale.result, stale.error, stale.images) == (3, None, 1)
    assert isinstance(full.error, OSError)
    assert full.error.errno == errno.ENOSPC
    assert (tmp_path / "1").read_text() == "."


def test_a_machine_without_the_job_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="must be on a file system that all workers mount"):
        run_item((str(tmp_path / "elsewhere"), 0, KEY))


class Planted:
    """Runs code as soon as it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def of_another_key(name: str, content: bytes) -> bytes:
    return sealed(new_key(), name, content)


def without_a_seal(name: str, content: bytes) -> bytes:
    return content


def of_another_name(name: str, content: bytes) -> bytes:
    return sealed(KEY, f"1{name}", content)


def of_zeros(name: str, content: bytes) -> bytes:
    return bytes(32) + content


def of_nothing(name: str, content: bytes) -> bytes:
    return b""


FORGERIES = [of_another_key, without_a_seal, of_another_name, of_zeros, of_nothing]


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_job_that_somebody_else_made_is_not_unpickled(
    forge: Callable[[str, bytes], bytes], tmp_path: Path, directory: PrivateDir
) -> None:
    item = put_job(directory, 0, KEY, jobs.square, None, 3)
    planted = pickle.dumps(Planted(tmp_path / "ran"))
    (directory.path / "0.job").write_bytes(forge("0.job", planted))
    with pytest.raises(WorkerError, match=r"0\.job was not made by this build"):
        run_item(item)
    assert not (tmp_path / "ran").exists()
    assert directory.names() == ["0.job"]


@pytest.mark.parametrize("forge", FORGERIES)
def test_an_outcome_that_somebody_else_made_is_not_unpickled(
    forge: Callable[[str, bytes], bytes], tmp_path: Path, directory: PrivateDir
) -> None:
    run_item(put_job(directory, 0, KEY, jobs.square, None, 3))
    planted = pickle.dumps(Planted(tmp_path / "ran"))
    (directory.path / "0.outcome").write_bytes(forge("0.outcome", planted))
    with pytest.raises(WorkerError, match=r"0\.outcome was not made by this build"):
        get_outcome(directory, 0, KEY)
    assert not (tmp_path / "ran").exists()


def test_an_outcome_is_none_of_another_job(directory: PrivateDir) -> None:
    for number in (3, 4):
        run_item(put_job(directory, number, KEY, jobs.square, None, number))
    os.replace(directory.path / "3.outcome", directory.path / "4.outcome")
    with pytest.raises(WorkerError, match=r"4\.outcome was not made by this build"):
        get_outcome(directory, 4, KEY)
