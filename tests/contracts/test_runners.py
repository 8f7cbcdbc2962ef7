"""What all runners promise: the same jobs give the same results, errors and bytes, and all ends.

A new runner is one more row of the fixture `runner`. What only one of them does is tested beside
it, in `tests/unit/run` and `tests/cluster`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support import jobs_for_workers as jobs
from support import runners
from support.built_datasets import assert_same_files, files_of
from support.processes import run
from support.runners import IN_MEMORY, PROCESSES, Runner

from imagenet_builders.errors import BadImageError, WorkerError
from imagenet_builders.run.jobs import Workers


@pytest.fixture(
    params=[
        "in this process",
        "processes",
        "Beam in memory",
        "Beam's processes",
        pytest.param("Dask", marks=pytest.mark.slow),
        pytest.param("job service", marks=pytest.mark.slow),
    ]
)
def runner(request: pytest.FixtureRequest) -> Runner:
    match request.param:
        case "in this process":
            return runners.in_this_process()
        case "processes":
            return runners.processes()
        case "Beam in memory":
            told = "DirectRunner: write_shard: 24 work items done by 1 process on 1 machine"
            return runners.beam(IN_MEMORY, told, killed="ended with status -9")
        case "Beam's processes":
            told = "DirectRunner: write_shard: 24 work items done by 2 processes on 1 machine"
            died = r"worker process of Beam's DirectRunner died.*137"
            return runners.beam(PROCESSES, told, killed=died)
        case "Dask":
            # `dask_npartitions` is not given: without it, one worker would be given everything.
            options = request.getfixturevalue("dask_cluster").options
            told = "DaskRunner: write_shard: 24 work items done by 2 processes on 1 machine"
            return runners.beam(options, told, is_cluster=True)
        case _:
            options = request.getfixturevalue("job_service")
            told = "PortableRunner: write_shard: 24 work items done by 1 process on 1 machine"
            return runners.beam(options, told, is_cluster=True)


@pytest.fixture
def workers(runner: Runner, tmp_path: Path) -> Iterator[Workers]:
    """The runner's workers; when a test is done with them, no process and no file is left."""
    others = psutil.Process().children()
    with runner.make(tmp_path / "jobs") as workers:
        yield workers
    assert [child for child in psutil.Process().children() if child not in others] == []
    assert not (tmp_path / "jobs").exists()


@pytest.fixture
def _by_others(runner: Runner) -> None:
    if runner.in_this_process:
        pytest.skip("nothing is given to another process")


# --- jobs and results ------------------------------------------------------------------------


def test_each_job_is_done_once_and_its_result_comes_with_its_position(workers: Workers) -> None:
    results = list(workers.run(jobs.square, range(3, 40)))
    assert sorted(results) == [(number, (number + 3) ** 2) for number in range(37)]


def test_there_may_be_fewer_jobs_than_workers(workers: Workers) -> None:
    for number in (0, 1, 2):
        assert len(list(workers.run(jobs.square, range(number)))) == number


def test_large_jobs_and_results_pass_in_both_directions_at_once(workers: Workers) -> None:
    """More than a pipe holds, so each side must read while it writes."""
    content = [os.urandom(3 << 20) for _ in range(8)]
    assert dict(workers.run(jobs.echo, content)) == dict(enumerate(content))


def test_progress_is_reported_and_adds_up(workers: Workers) -> None:
    told: list[tuple[int, int]] = []
    results = dict(workers.run(jobs.count, range(9), report=lambda *done: told.append(done)))
    assert results == {number: number for number in range(9)}
    assert [sum(column) for column in zip(*told, strict=True)] == [36, 3600]


def test_each_job_is_prefetched_and_a_prefetch_may_fail(workers: Workers, tmp_path: Path) -> None:
    files = [str(tmp_path / str(number)) for number in range(5)]
    assert len(list(workers.run(jobs.echo, files, prefetch=jobs.note_and_fail))) == 5
    list(workers.run(jobs.square, range(4)))  # A worker may do a job while it still prefetches it.
    assert [Path(file).read_text() for file in files] == ["asked for\n"] * 5


# --- errors ----------------------------------------------------------------------------------


def test_an_error_travels_with_its_type_and_all_it_says_and_leaves_nothing_over(
    workers: Workers, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="No space left") as full:
        list(workers.run(jobs.fail, ["/shard"] * 5))
    assert (full.value.errno, full.value.filename) == (28, "/shard")
    with pytest.raises(BadImageError) as bad:
        list(workers.run(jobs.find_a_bad_image, ["/train.tar"] * 2))
    assert str(bad.value) == "/train.tar, member 'a.JPEG', at byte 512: empty (0 bytes)"
    assert (bad.value.archive, bad.value.member, bad.value.offset) == ("/train.tar", "a.JPEG", 512)
    assert list((tmp_path / "jobs").glob("*")) == []
    assert dict(workers.run(jobs.square, range(10))) == {n: n * n for n in range(10)}


def test_no_more_jobs_start_after_an_error(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        list(workers.run(jobs.fail_at_the_first, [str(tmp_path / "begun")] * 80))
    # A job takes 0.2 s.
    assert len((tmp_path / "begun").read_text()) < 40


@pytest.mark.usefixtures("_by_others")
def test_an_error_that_is_no_data_becomes_a_worker_error(workers: Workers) -> None:
    with pytest.raises(WorkerError) as told:
        list(workers.run(jobs.fail_in_an_unpicklable_way, [0, 1]))
    assert str(told.value) == "UnpicklableError: it holds a lock"


@pytest.mark.usefixtures("_by_others")
def test_a_result_that_is_no_data_is_an_error_and_no_hang(workers: Workers) -> None:
    with pytest.raises((TypeError, WorkerError), match=r"_thread\.lock"):
        list(workers.run(jobs.return_the_unpicklable, [0, 1, 2]))


@pytest.mark.usefixtures("_by_others")
def test_a_function_that_a_worker_cannot_import_is_an_error_and_no_hang(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for function in jobs.unknown_to_workers(monkeypatch):
        with pytest.raises((ImportError, AttributeError), match="no_such"):
            list(workers.run(function, [0, 1, 2]))


@pytest.mark.usefixtures("_by_others")
def test_a_function_without_an_importable_name_is_an_error_at_once(
    workers: Workers, tmp_path: Path
) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError, WorkerError), match="<lambda>"):
        list(workers.run(lambda job, report: job, [0, 1, 2]))
    assert list((tmp_path / "jobs").glob("*")) == []


def test_a_worker_that_is_killed_is_an_error_and_no_hang(runner: Runner, workers: Workers) -> None:
    if runner.killed is None:
        pytest.skip("there is no worker that can be killed, or its cluster sees to it")
    with pytest.raises(WorkerError, match=runner.killed):
        list(workers.run(jobs.kill_itself, [signal.SIGKILL] * 4))


# --- the end ---------------------------------------------------------------------------------


def test_an_interrupt_ends_all_processes_that_were_started(
    runner: Runner, workers: Workers, tmp_path: Path
) -> None:
    """Also those that are in the middle of a job; but a cluster's workers are not ours to end."""
    at_work = tmp_path / "at work"
    at_work.mkdir()
    with interrupted_when(at_work), pytest.raises(KeyboardInterrupt):
        list(workers.run(jobs.wait_until_removed, [str(at_work)] * 4))
    workers.close()
    if not runner.is_cluster:
        pids = {int(path.name) for path in at_work.iterdir()} - {os.getpid()}
        ours = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        assert psutil.wait_procs(ours, timeout=10)[1] == []
    for path in at_work.iterdir():
        path.unlink()


@contextlib.contextmanager
def interrupted_when(at_work: Path) -> Iterator[None]:
    """Sends this process the signal of Ctrl-C when there is something in a directory."""

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not list(at_work.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# --- builds ----------------------------------------------------------------------------------

# An index of so little is otherwise made in one piece.
SMALL_BATCHES = """
import sys
from imagenet_builders.sources import tar_images
from imagenet_builders.cli import main

tar_images.BATCH_BYTES = 1 << 20
sys.exit(main(sys.argv[1:]))
"""


def test_a_build_gives_the_same_bytes(
    runner: Runner, large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    # Relative to this process's directory; a cluster's workers are in another.
    staged, data = (os.path.relpath(path) for path in (large_corpus, tmp_path / "data"))
    where = [f"--manual-dir={staged}", f"--data-dir={data}", "--num-shards=8"]
    command = [sys.executable, "-c", SMALL_BATCHES, "build", "imagenet2012", *where]
    done = run([*command, *runner.options])
    directory = Path(done.stdout.splitlines()[-1])
    assert_same_files(files_of(directory), large_built)
    assert runner.told in done.stderr
    if runner.told:  # Also the index was made by work items.
        assert f"{runner.told.partition(':')[0]}: class_images: " in done.stderr
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]
    assert not list(tmp_path.rglob("*.beam"))


def test_a_source_that_changes_is_the_same_sentence(
    runner: Runner, large_corpus: Path, tmp_path: Path
) -> None:
    """After it was indexed, so that it is found while a shard is written."""
    damaged = tmp_path / "manual"
    damaged.mkdir()
    for path in large_corpus.iterdir():
        (damaged / path.name).symlink_to(path)
    archive = damaged / "ILSVRC2012_img_val.tar"
    data = bytearray(archive.read_bytes())
    start = data.index(b"\xff\xd8\xff")
    data[start : start + 64] = bytes(64)
    archive.unlink()
    archive.write_bytes(data)
    where = [f"--manual-dir={damaged}", f"--data-dir={tmp_path / 'data'}"]
    command = [sys.executable, "-m", "imagenet_builders.cli", "build", "imagenet2012", *where]
    done = run([*command, *runner.options], check=False)
    assert done.returncode == 1
    [sentence] = [line for line in done.stderr.splitlines() if "error: " in line]
    assert sentence.startswith(f"imagenet-builders: error: {archive}, member 'ILSVRC2012_val_")
    assert not (tmp_path / "data/imagenet2012/5.1.0").exists()
