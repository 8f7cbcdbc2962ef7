"""Builds on a real Dask cluster: a scheduler and two workers, processes of their own, over TCP."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from makers import ilsvrc2012_large
from support.building import built_by_cli
from support.built_datasets import shards
from support.processes import environment, found_during, run, run_cli

from imagenet_builders.errors import OptionError
from imagenet_builders.run.beam import cluster as beam_cluster
from imagenet_builders.run.beam import options as beam_options

pytestmark = pytest.mark.slow

SHARDS = 8


class Cluster:
    """A Dask scheduler and workers on this machine.

    Attributes:
        address: Of the scheduler, as `tcp://host:port`.
        workers: The worker processes.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._scheduler_file = directory / "scheduler.json"
        arguments = ["--host=127.0.0.1", "--port=0", f"--scheduler-file={self._scheduler_file}"]
        self.scheduler = self._start("scheduler", *arguments)
        self.workers: list[psutil.Process] = []
        try:
            # It is there for a moment before it says anything.
            wait_until(lambda: self._file_size() > 0)
            self.address: str = json.loads(self._scheduler_file.read_text())["address"]
        except BaseException:
            self.stop()
            raise

    def _file_size(self) -> int:
        return self._scheduler_file.stat().st_size if self._scheduler_file.exists() else 0

    def add_worker(self, **changes: str) -> psutil.Process:
        # Without a nanny, which would start another worker for one that is killed.
        arguments = [self.address, "--nthreads=1", "--no-nanny", "--host=127.0.0.1"]
        arguments += [f"--local-directory={self._directory}"]
        self.workers.append(self._start("worker", *arguments, **changes))
        return self.workers[-1]

    def _start(self, kind: str, *arguments: str, **changes: str) -> psutil.Process:
        return psutil.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + kind, "--no-dashboard", *arguments],
            env=environment(**changes),
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=open(self._directory / f"{kind}.log", "ab"),
        )

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([*self.workers, self.scheduler], timeout=20)

    @property
    def options(self) -> str:
        return f"--beam-options=runner=DaskRunner,dask_client_address={self.address}"


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    directory = tmp_path / "dask"
    directory.mkdir()
    cluster = Cluster(directory)
    try:
        cluster.add_worker()
        cluster.add_worker()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("manual")
    ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.06, classes=7, test_fraction=0.05)
    return directory


@pytest.fixture(scope="module")
def local(manual_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    data_dir = tmp_path_factory.mktemp("local")
    directory = built_by_cli(manual_dir, data_dir, f"--num-shards={SHARDS}")
    assert len(shards(directory)) == 3 * SHARDS
    return content(directory)


def content(directory: Path) -> dict[str, bytes]:
    """All files of a built dataset but the one that says when it was built."""
    names = {path.name for path in directory.iterdir()} - {"provenance.json"}
    return {name: (directory / name).read_bytes() for name in names}


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert sorted(found) == sorted(expected)
    assert [name for name in sorted(expected) if found[name] != expected[name]] == []


def arguments(manual_dir: Path, data_dir: Path, *options: str) -> list[str]:
    where = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}"]
    return ["build", "imagenet2012", *where, f"--num-shards={SHARDS}", *options]


# An index of so little is otherwise made in one piece.
SMALL_BATCHES = """
import sys
from imagenet_builders.sources import tar_images
from imagenet_builders.cli import main

tar_images.BATCH_BYTES = 1 << 20
sys.exit(main(sys.argv[1:]))
"""


def test_both_workers_write_shards_and_the_bytes_are_those_of_a_local_build(
    cluster: Cluster, manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    wait_for_two(cluster)
    # `dask_npartitions` is not given: without it, one worker would be given everything.
    # Relative to this process's directory; the workers are in another.
    staged, data = (Path(os.path.relpath(path)) for path in (manual_dir, tmp_path / "data"))
    build = arguments(staged, data, cluster.options)
    done = run([sys.executable, "-c", SMALL_BATCHES, *build])
    assert_same(content(tmp_path / "data/imagenet2012/5.1.0"), local)
    assert f"DaskRunner: write_shard: {3 * SHARDS} work items done by 2 processes" in done.stderr
    assert "DaskRunner: class_images: " in done.stderr
    assert not list(tmp_path.rglob("*.beam"))


def test_tfds_own_command_builds_on_dask(
    cluster: Cluster, manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    wait_for_two(cluster)
    done = run(
        [
            Path(sys.executable).parent / "tfds",
            *("build", "--imports=imagenet_builders", "imagenet2012"),
            *(f"--manual_dir={manual_dir}", f"--data_dir={tmp_path / 'data'}"),
            f"--num_shards={SHARDS}",
            f"--beam_pipeline_options=runner=DaskRunner,dask_client_address={cluster.address}",
        ]
    )
    assert_same(content(tmp_path / "data/imagenet2012/5.1.0"), local)
    assert f"write_shard: {3 * SHARDS} work items done by 2 processes" in done.stderr


def wait_for_two(cluster: Cluster) -> None:
    """Workers join when they have been started up; the build itself would begin with one."""
    from distributed import Client

    with Client(cluster.address, timeout=30) as client:
        client.wait_for_workers(2, timeout=60)


def start_build(cluster: Cluster, manual_dir: Path, data_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "imagenet_builders.cli"]
    return subprocess.Popen(
        [*command, *arguments(manual_dir, data_dir, cluster.options)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcomes(data_dir: Path) -> list[Path]:
    """What work items that write shards have left."""
    found = found_during(data_dir, "*.outcome")
    return [path for path in found if path.parent.name.startswith("write_shard-")]


def test_a_worker_that_is_killed_in_the_middle_costs_nothing_but_time(
    cluster: Cluster, manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    wait_for_two(cluster)
    build = start_build(cluster, manual_dir, tmp_path / "data")
    try:
        wait_until(lambda: found_during(tmp_path / "data", "write_shard-*"))
        # It has been given shards, and neither finishes them nor gives them back.
        cluster.workers[0].send_signal(signal.SIGSTOP)
        # Of the other worker; or all, if this one was stopped before it was given any.
        wait_until(lambda: len(outcomes(tmp_path / "data")) >= 2 or build.poll() is not None)
        cluster.workers[0].kill()
        out, err = build.communicate(timeout=120)
    finally:
        build.kill()
    assert build.returncode == 0, err
    assert_same(content(Path(out.splitlines()[-1])), local)


def test_a_build_whose_whole_cluster_dies_ends_and_is_done_when_run_again(
    cluster: Cluster, manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    wait_for_two(cluster)
    build = start_build(cluster, manual_dir, tmp_path / "data")
    try:
        wait_until(lambda: found_during(tmp_path / "data", "write_shard-*"))
        for worker in cluster.workers:
            worker.send_signal(signal.SIGSTOP)
        for process in (cluster.scheduler, *cluster.workers):
            process.kill()
        _, err = build.communicate(timeout=120)
    finally:
        build.kill()
    assert build.returncode == 1
    [sentence] = [line for line in err.splitlines() if "imagenet-builders: error: " in line]
    assert "the Beam pipeline on DaskRunner failed: " in sentence
    assert "run the same command again" in sentence
    assert not (tmp_path / "data/imagenet2012/5.1.0").exists()
    again = Cluster(tmp_path)
    try:
        again.add_worker()
        done = run_cli(*arguments(manual_dir, tmp_path / "data", again.options))
    finally:
        again.stop()
    assert_same(content(Path(done.stdout.splitlines()[-1])), local)


def test_workers_that_see_no_archives_hang_or_are_gone_are_told_of(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    wait_for_two(cluster)
    options = beam_options.parse(f"runner=DaskRunner,dask_client_address={cluster.address}")
    beam_options.check(None, options, workers=1, seen=[str(tmp_path)])
    elsewhere = tmp_path / "of another machine"
    with pytest.raises(OptionError, match=f"the Dask worker tcp://.* does not see {elsewhere};"):
        beam_options.check(None, options, workers=1, seen=[str(elsewhere)])
    cluster.workers[0].send_signal(signal.SIGSTOP)
    monkeypatch.setattr(beam_cluster, "_ANSWER_SECONDS", 3)
    with pytest.raises(OptionError, match=r"one of the Dask workers tcp://.* does not answer"):
        beam_options.check(None, options, workers=1)
    for worker in cluster.workers:
        worker.kill()
    monkeypatch.setattr(beam_cluster, "_NO_WORKERS_SECONDS", 1.0)
    monkeypatch.setattr(beam_cluster, "_LOOK_EVERY", 0.1)
    monkeypatch.setattr(beam_cluster, "_FIRST_WORKER_SECONDS", 1)
    with Client(cluster.address, timeout=30) as client:
        said = beam_cluster.wait_for_loss(SimpleNamespace(client=client))
    assert said.startswith("the Dask cluster has had no workers for 1 s; see why they ended")
    with pytest.raises(OptionError, match=r"has no workers, nor got any in 1 s; start them"):
        beam_options.check(None, options, workers=1)


@pytest.mark.parametrize("what", ["Python", "imagenet_builders", "apache-beam"])
def test_a_worker_with_another_version_is_refused(what: str) -> None:
    facts = beam_cluster.worker_facts()
    beam_cluster.check_facts("the worker w", facts)
    other = dataclasses.replace(facts, versions={**facts.versions, what: "3.1"})
    with pytest.raises(OptionError, match=f"the worker w has {what} 3.1, this machine "):
        beam_cluster.check_facts("the worker w", other)


def test_a_worker_of_another_environment_is_refused_before_any_work(
    tmp_path: Path, manual_dir: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    # Found before the package: as if it were not installed there.
    (hidden / "imagenet_builders.py").write_text("raise ImportError('not installed here')\n")
    cluster = Cluster(tmp_path)
    try:
        cluster.add_worker(PYTHONPATH=os.pathsep.join([str(hidden), environment()["PYTHONPATH"]]))
        done = run(
            [
                *(sys.executable, "-m", "imagenet_builders.cli"),
                *arguments(manual_dir, tmp_path / "data", cluster.options),
            ],
            check=False,
        )
    finally:
        cluster.stop()
    assert done.returncode == 2
    assert "cannot import imagenet_builders" in done.stderr
    assert "start the workers with the same Python environment" in done.stderr
    assert not (tmp_path / "data").exists()
