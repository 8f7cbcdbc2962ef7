"""Local workers: how jobs are spread, how a death is reported, and that none outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import jobs_for_workers as jobs

from imagenet_builders.errors import WorkerError
from imagenet_builders.run.local import LocalWorkers

either = pytest.mark.parametrize("count", [1, 2])


# Other tests of this process may have children that live on, such as a server of builds.
others: list[psutil.Process] = []


@pytest.fixture(autouse=True)
def _others() -> None:
    others[:] = psutil.Process().children()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child not in others]


def wait_for_the_end_of(process: psutil.Process) -> None:
    deadline = time.monotonic() + 30
    while process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_jobs_are_spread_over_processes_that_are_reused() -> None:
    with LocalWorkers(3) as workers:
        first = {pid for _, pid in workers.run(jobs.slow_process_id, [0.1] * 12)}
        second = {pid for _, pid in workers.run(jobs.slow_process_id, [0.1] * 12)}
    assert len(first) == 3
    assert first == second
    assert os.getpid() not in first


@pytest.mark.parametrize(("count", "in_process"), [(1, False), (3, True)])
def test_small_work_is_done_in_this_process(count: int, in_process: bool) -> None:
    with LocalWorkers(count) as workers:
        results = dict(workers.run(jobs.process_id, [0, 1], in_process=in_process))
        assert children() == []
    assert results == {0: os.getpid(), 1: os.getpid()}


def test_processes_can_be_started_before_there_is_a_job_and_again_after_the_end() -> None:
    with LocalWorkers(2) as workers:
        workers.start()
        started = {child.pid for child in children()}
        assert len(started) == 2
        assert {pid for _, pid in workers.run(jobs.slow_process_id, [0.1] * 4)} <= started
        workers.close()
        assert children() == []
        assert dict(workers.run(jobs.square, [2, 3])) == {0: 4, 1: 9}
    assert children() == []


def test_a_single_worker_has_no_process_to_start() -> None:
    with LocalWorkers(1) as workers:
        workers.start()
        assert children() == []


def test_more_processes_can_start_later() -> None:
    with LocalWorkers(3) as workers:
        assert not workers.are_started
        for count in (1, 2, 1, None, 5):
            workers.start(count)
            assert workers.are_started
        assert len(children()) == 3


def test_a_job_can_begin_before_its_result_is_wanted() -> None:
    with LocalWorkers(2) as workers:
        workers.start(1)
        result = workers.begin(jobs.count, 3)
        assert result() == 3
        assert result() is None
        assert dict(workers.run(jobs.square, range(9))) == {n: n * n for n in range(9)}
        assert workers.begin(jobs.process_id, 0)() in {child.pid for child in children()}


@pytest.mark.parametrize("failing", [jobs.fail, jobs.return_the_unpicklable])
def test_a_job_that_fails_has_no_result(failing: Any) -> None:
    with LocalWorkers(2) as workers:
        workers.start(1)
        [process] = children()
        assert workers.begin(failing, "/shard")() is None
        assert process in children()
        assert dict(workers.run(jobs.square, [3])) == {0: 9}


def test_nor_has_one_whose_worker_dies() -> None:
    with LocalWorkers(2) as workers:
        workers.start()
        assert workers.begin(jobs.kill_itself, signal.SIGKILL)() is None
        assert dict(workers.run(jobs.square, [3, 4])) == {0: 9, 1: 16}


def test_nor_has_one_whose_worker_dies_while_it_sends_the_result() -> None:
    with LocalWorkers(2) as workers:
        workers.start(1)
        [process] = children()
        result = workers.begin(jobs.be_killed_while_it_sends, 50 << 20)
        wait_for_the_end_of(process)
        assert result() is None
        assert dict(workers.run(jobs.square, [3, 4])) == {0: 9, 1: 16}


def test_work_does_not_wait_for_a_job_whose_result_nobody_wants(tmp_path: Path) -> None:
    started = time.monotonic()
    with LocalWorkers(2) as workers:
        workers.start(1)
        result = workers.begin(jobs.wait_for_ever, str(tmp_path))
        assert dict(workers.run(jobs.square, [3, 4])) == {0: 9, 1: 16}
        assert result() is None
        workers.begin(jobs.wait_for_ever, str(tmp_path))
    assert time.monotonic() - started < 30
    assert children() == []


def test_jobs_are_made_as_they_are_handed_out() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        while len(made) < 100:
            made.append(len(made))
            yield made[-1]

    with LocalWorkers(2) as workers:
        results = workers.run(jobs.square, make())
        next(results)
        assert len(made) <= 6
        assert len(list(results)) == 99


@pytest.mark.parametrize("asked", [None, "3"])
def test_workers_start_no_threads_for_nothing_and_collect_garbage(
    asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", asked)
    with LocalWorkers(2) as workers:
        results = dict(workers.run(jobs.state_of_process, range(4)))
    assert set(results.values()) == {(True, asked or "1")}


@either
def test_progress_is_reported_while_a_job_runs(count: int) -> None:
    reports: list[tuple[int, int]] = []
    with LocalWorkers(count) as workers:
        list(
            workers.run(
                jobs.count,
                range(20),
                report=lambda *done: reports.append(done),
            )
        )
    assert reports == [(1, 100)] * sum(range(20))


# --- errors ----------------------------------------------------------------------------------


def test_an_error_that_cannot_be_unpickled_becomes_a_worker_error() -> None:
    with LocalWorkers(2) as workers, pytest.raises(WorkerError) as told:
        list(workers.run(jobs.fail_with_two_arguments, [0]))
    assert str(told.value) == "TwoArgumentsError: one and two"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_worker_that_is_killed_is_an_error_that_names_the_signal(number: signal.Signals) -> None:
    with LocalWorkers(2) as workers, pytest.raises(WorkerError) as caught:
        list(workers.run(jobs.kill_itself, [number] * 4))
    assert f"a worker process was killed by {number.name}" in str(caught.value)
    assert ("out of memory?" in str(caught.value)) == (number is signal.SIGKILL)


def test_a_worker_that_is_killed_while_it_sends_is_an_error_too() -> None:
    def given() -> Iterator[int]:
        yield 50 << 20
        wait_for_the_end_of(children()[0])
        yield 1

    with LocalWorkers(2) as workers, pytest.raises(WorkerError, match="killed by SIGKILL"):
        list(workers.run(jobs.be_killed_while_it_sends, given()))


def test_a_worker_that_exits_is_an_error_with_its_status() -> None:
    with LocalWorkers(2) as workers, pytest.raises(WorkerError, match="ended with status 7"):
        list(workers.run(jobs.leave, [7]))


def test_workers_that_fail_together_print_nothing() -> None:
    """As when the disk is full: the first error ends all, and the others have nobody to tell."""
    code = textwrap.dedent(f"""\
        import contextlib, sys
        sys.path.insert(0, {str(Path(jobs.__file__).parents[1])!r})
        from imagenet_builders.run.local import LocalWorkers
        from support import jobs_for_workers as jobs
        for _ in range(6):
            with LocalWorkers(3) as workers, contextlib.suppress(OSError):
                list(workers.run(jobs.fail, ["/shard"] * 9))
        """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_an_interrupt_does_not_reach_workers() -> None:
    with LocalWorkers(2) as workers:
        assert len(list(workers.run(jobs.process_id, range(2)))) == 2
        for process in children():
            process.send_signal(signal.SIGINT)
        assert len(list(workers.run(jobs.process_id, range(9)))) == 9


# --- the end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_no_process_and_no_open_file_is_left(count: int) -> None:
    before = open_files()
    for _ in range(3):
        with LocalWorkers(count) as workers:
            list(workers.run(jobs.square, range(10)))
        with LocalWorkers(count) as workers, pytest.raises(OSError, match="No space"):
            list(workers.run(jobs.fail, ["/shard"] * 10))
    assert children() == []
    assert open_files() == before


def test_busy_workers_end_with_the_block(tmp_path: Path) -> None:
    """An error of this process must not wait for what its workers are doing."""
    started = time.monotonic()
    with LocalWorkers(2) as workers, pytest.raises(ZeroDivisionError):
        list(workers.run(jobs.wait_for_ever, give_then_fail(tmp_path)))
    assert time.monotonic() - started < 30
    assert children() == []


def give_then_fail(directory: Path) -> Iterator[str]:
    yield from [str(directory)] * 2
    started = time.monotonic()
    while len(list(directory.iterdir())) < 2:
        assert time.monotonic() - started < 30
        time.sleep(0.01)
    raise ZeroDivisionError


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""\
        import sys
        sys.path.insert(0, {str(Path(jobs.__file__).parents[1])!r})
        from imagenet_builders.run.local import LocalWorkers
        from support import jobs_for_workers as jobs
        with LocalWorkers(3) as workers:
            list(workers.run(jobs.wait_for_ever, [{str(tmp_path)!r}] * 9))
        """)
    parent = subprocess.Popen([sys.executable, "-c", code])
    started = time.monotonic()
    while len(list(tmp_path.iterdir())) < 3:
        assert parent.poll() is None
        assert time.monotonic() - started < 30
        time.sleep(0.01)
    workers = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    parent.kill()
    parent.wait()
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_script_without_a_main_guard_can_start_workers(tmp_path: Path) -> None:
    """As `tfds.load` in a script: a worker must not run the script again."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""\
        import jobs_beside_script
        import operator
        from imagenet_builders.run.local import LocalWorkers
        print("script runs")
        with LocalWorkers(2) as workers:
            print(sorted(workers.run(operator.concat, [])), len(list(
                workers.run(jobs_beside_script.double, range(5)))))
        """)
    )
    (tmp_path / "jobs_beside_script.py").write_text("def double(job, report): return 2 * job\n")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "script runs\n[] 5\n"
    assert done.stderr == ""
