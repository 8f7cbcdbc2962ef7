"""A work item: done once, whoever does it and how often; what passes is tried again."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import jobs_for_workers as jobs

from imagenet_builders.errors import WorkerError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam import items
from imagenet_builders.run.beam.items import Item, get_outcome, put_job, run_item
from imagenet_builders.run.beam.seal import new_key, sealed

KEY = new_key()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[PrivateDir]:
    with PrivateDir.make(tmp_path / "jobs") as made:
        yield made


def test_an_item_run_again_is_not_done_again(tmp_path: Path, directory: PrivateDir) -> None:
    item = put_job(directory, 7, KEY, jobs.count_runs, None, str(tmp_path / "runs"))
    assert [run_item(item) for _ in range(3)] == [7, 7, 7]
    outcome = get_outcome(directory, item, jobs.count_runs)
    assert (outcome.result, outcome.error) == (1, None)
    assert (outcome.host, outcome.pid) == (socket.gethostname(), os.getpid())


def test_an_item_may_run_twice_at_once(tmp_path: Path, directory: PrivateDir) -> None:
    item = put_job(directory, 0, KEY, jobs.wait_for_another, None, str(tmp_path / "runs"))
    both = [threading.Thread(target=run_item, args=[item]) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert get_outcome(directory, item, jobs.wait_for_another).result == 5
    assert sorted(directory.names()) == ["0.job", "0.outcome"]


def test_passing_errors_are_retried_and_others_reported_at_once(
    tmp_path: Path, directory: PrivateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_PAUSES", (0.0, 0.0))
    given = []
    for number, code in enumerate((errno.ESTALE, errno.ENOSPC)):
        job = (str(tmp_path / str(number)), code)
        given.append(put_job(directory, number, KEY, jobs.fail_twice, None, job))
        run_item(given[-1])
    stale, full = (get_outcome(directory, item, jobs.fail_twice) for item in given)
    assert (stale.result, stale.error, stale.images) == (3, None, 1)
    assert isinstance(full.error, OSError)
    assert full.error.errno == errno.ENOSPC
    assert (tmp_path / "1").read_text() == "."


def test_a_machine_without_the_job_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="must be on a file system that all workers mount"):
        run_item((str(tmp_path / "elsewhere"), 0, KEY, ()))


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
def test_a_job_that_somebody_else_made_is_not_read(
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
def test_an_outcome_that_somebody_else_made_is_not_read(
    forge: Callable[[str, bytes], bytes], tmp_path: Path, directory: PrivateDir
) -> None:
    item = put_job(directory, 0, KEY, jobs.square, None, 3)
    run_item(item)
    planted = pickle.dumps(Planted(tmp_path / "ran"))
    (directory.path / "0.outcome").write_bytes(forge("0.outcome", planted))
    with pytest.raises(WorkerError, match=r"0\.outcome was not made by this build"):
        get_outcome(directory, item, jobs.square)
    assert not (tmp_path / "ran").exists()


def test_nothing_is_unpickled_even_under_the_right_seal(
    tmp_path: Path, directory: PrivateDir
) -> None:
    item = put_job(directory, 0, KEY, jobs.square, None, 3)
    planted = pickle.dumps(Planted(tmp_path / "ran"))
    directory.write("0.job", sealed(KEY, "0.job", planted))
    run_item(item)
    with pytest.raises(WorkerError, match=r"a job cannot be read on .*other versions of"):
        raise raised_by(directory, item)
    directory.write("0.outcome", sealed(KEY, "0.outcome", planted))
    with pytest.raises(WorkerError, match="what square returned cannot be read on"):
        get_outcome(directory, item, jobs.square)
    assert not (tmp_path / "ran").exists()


def raised_by(directory: PrivateDir, item: Item) -> Exception:
    error = get_outcome(directory, item, jobs.square).error
    assert error is not None
    return error


def test_an_outcome_is_none_of_another_job(directory: PrivateDir) -> None:
    given = [put_job(directory, number, KEY, jobs.square, None, number) for number in (3, 4)]
    for item in given:
        run_item(item)
    os.replace(directory.path / "3.outcome", directory.path / "4.outcome")
    with pytest.raises(WorkerError, match=r"4\.outcome was not made by this build"):
        get_outcome(directory, given[1], jobs.square)


@dataclasses.dataclass(frozen=True)
class Odd:
    """A job that is no data."""

    lock: Any


def do_odd(job: Odd, report: jobs.Report) -> None: ...


def test_a_job_that_is_no_data_is_said_where_it_is_made(directory: PrivateDir) -> None:
    with pytest.raises(WorkerError) as told:
        put_job(directory, 0, KEY, jobs.echo, None, [1, {"a": threading.Lock()}])
    assert str(told.value).startswith(
        "a job of echo cannot go to the workers of Beam: it is of type _thread.lock, not a number"
    )
    with pytest.raises(WorkerError, match=r"Odd\.lock is of type _thread\.lock"):
        put_job(directory, 0, KEY, do_odd, None, Odd(threading.Lock()))
    with pytest.raises(WorkerError, match=r"it is of type builtins\.str, not int"):
        put_job(directory, 0, KEY, jobs.square, None, "3")  # type: ignore[arg-type]
    assert directory.names() == []


def test_an_item_of_another_job_does_not_read_this_one(directory: PrivateDir) -> None:
    """What a job may name comes with the item, which nobody else can write."""
    path, number, key, packages = put_job(directory, 0, KEY, jobs.square, None, 3)
    assert packages == ("support",)
    run_item((path, number, key, ()))
    error = raised_by(directory, (path, number, key, ()))
    assert "which is of a package that the job is not of" in str(error)
