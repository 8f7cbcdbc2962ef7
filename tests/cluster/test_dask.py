"""Builds on a real Dask cluster: a scheduler and two workers, processes of their own, over TCP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.built_datasets import assert_same_files, files_of
from support.clusters.dask import Cluster, wait_until
from support.processes import environment, found_during, run, run_cli

from imagenet_builders.errors import OptionError
from imagenet_builders.run.beam import cluster as beam_cluster
from imagenet_builders.run.beam import options as beam_options

pytestmark = pytest.mark.slow

SHARDS = 8


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    directory = tmp_path / "dask"
    directory.mkdir()
    cluster = Cluster(directory)
    try:
        cluster.add_worker()
        cluster.add_worker()
        cluster.wait_for_workers(2)
        yield cluster
    finally:
        cluster.stop()


def arguments(manual_dir: Path, data_dir: Path, *options: str) -> list[str]:
    where = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}"]
    return ["build", "imagenet2012", *where, f"--num-shards={SHARDS}", *options]


def test_tfds_own_command_builds_on_dask(
    dask_cluster: Cluster, large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    done = run(
        [
            Path(sys.executable).parent / "tfds",
            *("build", "--imports=imagenet_builders", "imagenet2012"),
            *(f"--manual_dir={large_corpus}", f"--data_dir={tmp_path / 'data'}"),
            f"--num_shards={SHARDS}",
            f"--beam_pipeline_options=runner=DaskRunner,dask_client_address={dask_cluster.address}",
        ]
    )
    assert_same_files(files_of(tmp_path / "data/imagenet2012/5.1.0"), large_built)
    assert f"write_shard: {3 * SHARDS} work items done by 2 processes" in done.stderr


def start_build(cluster: Cluster, manual_dir: Path, data_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "imagenet_builders.cli"]
    return subprocess.Popen(
        [*command, *arguments(manual_dir, data_dir, f"--beam-options={cluster.options}")],
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
    cluster: Cluster, large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    build = start_build(cluster, large_corpus, tmp_path / "data")
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
    assert_same_files(files_of(Path(out.splitlines()[-1])), large_built)


def test_a_build_whose_whole_cluster_dies_ends_and_succeeds_when_run_again(
    cluster: Cluster, large_corpus: Path, large_built: dict[str, bytes], tmp_path: Path
) -> None:
    build = start_build(cluster, large_corpus, tmp_path / "data")
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
        done = run_cli(
            *arguments(large_corpus, tmp_path / "data", f"--beam-options={again.options}")
        )
    finally:
        again.stop()
    assert_same_files(files_of(Path(done.stdout.splitlines()[-1])), large_built)


def test_workers_that_see_no_archives_hang_or_vanish_are_reported(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

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
    with pytest.raises(OptionError, match=r"has had no workers for 1 s; start some"):
        beam_options.check(None, options, workers=1)


def test_a_worker_of_another_environment_is_refused_before_any_work(
    tmp_path: Path, large_corpus: Path
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
                *arguments(large_corpus, tmp_path / "data", f"--beam-options={cluster.options}"),
            ],
            check=False,
        )
    finally:
        cluster.stop()
    assert done.returncode == 2
    assert "cannot import imagenet_builders" in done.stderr
    assert "start the workers with the same Python environment" in done.stderr
    assert not (tmp_path / "data").exists()
