"""Which builds start their workers before TensorFlow Datasets is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import jobs_for_workers as jobs

from imagenet_builders.build import ahead
from imagenet_builders.cli import main
from imagenet_builders.options import BuildOptions
from imagenet_builders.run.local import LocalWorkers

TWO = BuildOptions(workers=2)


@pytest.fixture
def manual_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "manual"
    directory.mkdir()
    (directory / "small.tar").write_bytes(b"")
    return directory


def add_large(manual_dir: Path) -> None:
    with open(manual_dir / "large.tar", "wb") as file:
        file.truncate(ahead._LARGE_BYTES)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[LocalWorkers]:
    started: list[LocalWorkers] = []
    monkeypatch.setattr(LocalWorkers, "start", lambda workers, count: started.append(workers))
    return started


@pytest.mark.parametrize("spared", [0, 1, 5])
def test_workers_start_where_there_is_a_large_archive(
    manual_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spared: int
):
    monkeypatch.setattr(ahead, "usable_cpus", lambda: 2)
    add_large(manual_dir)
    before = {child.pid for child in psutil.Process().children()}
    dataset = tmp_path / "imagenet2012"
    with ahead.workers_for(TWO, manual_dir, dataset, spared=spared) as workers:
        pids = {child.pid for child in psutil.Process().children()} - before
        assert len(pids) == (1 if spared else 2)
        used = {pid for _, pid in workers.run(jobs.slow_process_id, [0.1] * 6)}
        assert pids <= used
        assert len(used) == 2
    assert {child.pid for child in psutil.Process().children()} <= before


def test_they_do_not_where_there_is_little_to_do_or_nothing(
    manual_dir: Path, tmp_path: Path, started: list[LocalWorkers]
):
    dataset = tmp_path / "imagenet2012"
    ahead.workers_for(TWO, manual_dir, dataset)
    ahead.workers_for(TWO, tmp_path / "missing", dataset)
    add_large(manual_dir)
    dataset.mkdir()
    ahead.workers_for(TWO, manual_dir, dataset)
    assert started == []
    ahead.workers_for(TWO, manual_dir, None)
    assert len(started) == 1


def fail_after_one(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Lets one process start, and no more."""
    popen = subprocess.Popen

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    def start(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        monkeypatch.setattr(subprocess, "Popen", fail)
        return popen(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", start)


def test_that_workers_cannot_start_is_an_error_once_there_is_work(
    manual_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ahead, "usable_cpus", lambda: 2)
    add_large(manual_dir)
    before = psutil.Process().children()
    fail_after_one(monkeypatch, OSError("too many processes"))
    with ahead.workers_for(TWO, manual_dir, None) as workers:
        assert psutil.Process().children() == before
        with pytest.raises(OSError, match="too many processes"):
            list(workers.run(jobs.process_id, range(4)))


def test_an_interrupted_start_leaves_no_process(manual_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ahead, "usable_cpus", lambda: 2)
    add_large(manual_dir)
    before = psutil.Process().children()
    fail_after_one(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ahead.workers_for(TWO, manual_dir, None)
    assert psutil.Process().children() == before


def test_a_prepared_worker_has_imported_what_jobs_need_and_no_tfds():
    program = (
        "from imagenet_builders.build import ahead; ahead.prepare(); import sys; "
        "assert {'numpy', 'pyarrow', 'imagenet_builders.write.shard'} <= {*sys.modules}; "
        "assert not {'tensorflow', 'tensorflow_datasets'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "command",
    [
        ["build", "imagenet2012", "--data-dir"],
        ["export", "imagenet2012", "--to", "slim", "--out"],
        ["export", "imagenet2012", "--to", "webdataset", "--out"],
    ],
)
def test_a_command_that_fails_ends_the_workers_that_it_has_started(
    command: list[str],
    manual_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    add_large(manual_dir)
    before = psutil.Process().children()
    start, started = LocalWorkers.start, list[LocalWorkers]()

    def noted(workers: LocalWorkers, count: int | None = None) -> None:
        started.append(workers)
        start(workers, count)

    monkeypatch.setattr(LocalWorkers, "start", noted)
    places = [str(tmp_path / "data"), "--manual-dir", str(manual_dir)]
    assert main([*command, *places, "--workers", "2"]) == 1
    assert "nothing of imagenet2012 is staged" in capsys.readouterr().err
    assert len({id(each) for each in started}) == 1
    assert psutil.Process().children() == before
