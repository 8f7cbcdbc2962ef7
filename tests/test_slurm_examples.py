"""The batch scripts in `examples/slurm`, run as Slurm runs them.

Slurm is not there in most places where tests run: there, `srun` and `scontrol` are stand-ins, which
start a command once for each task and write down what they were asked for. Where Debian's packages
of it are installed, the scripts run in a real allocation of two nodes as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import slurm_cluster
from building import ROOT, built_by_cli, environment, found_during
from makers import ilsvrc2012_large

SCRIPTS = sorted((ROOT / "examples" / "slurm").glob("*.sbatch"))

pytestmark = pytest.mark.skipif(not SCRIPTS, reason="the examples are not installed")

COMMANDS = {
    # Each task is a process of its own, and all end with it.
    "srun": """\
        trap 'kill $(jobs -p) 2>/dev/null; wait' TERM
        tasks=1
        while [[ $1 == --* ]]; do
            [[ $1 == --ntasks=* ]] && tasks=${1#--ntasks=}
            shift
        done
        status=0 started=()
        for ((task = 0; task < tasks; task++)); do SLURM_PROCID=$task "$@" & started+=($!); done
        for task in "${started[@]}"; do wait "$task" || status=$?; done
        exit "$status"
        """,
    "scontrol": 'echo "$@" >> "$ASKED_OF_SLURM"\n',
    "dask": f'exec {sys.executable} -m dask "$@"\n',
    "imagenet-builders": f'exec {sys.executable} -m imagenet_builders.cli "$@"\n',
}


def commands(directory: Path, *names: str) -> str:
    """A search path on which these commands come first."""
    directory.mkdir()
    for name in names:
        (directory / name).write_text(f"#!/bin/bash\n{COMMANDS[name]}")
        (directory / name).chmod(0o755)
    return os.pathsep.join([str(directory), os.environ["PATH"]])


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of two nodes."""
    (tmp_path / "disk").mkdir()
    return environment(
        PATH=commands(tmp_path / "bin", *COMMANDS),
        SLURM_JOB_ID="17",
        SLURM_JOB_NUM_NODES="2",
        SLURM_CPUS_PER_TASK="1",
        SLURM_TMPDIR=str(tmp_path / "disk"),
        ASKED_OF_SLURM=str(tmp_path / "asked"),
    )


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("manual")
    ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.02, classes=5, test_fraction=0.05)
    return directory


@pytest.fixture(scope="module")
def local(manual_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return content(built_by_cli(manual_dir, tmp_path_factory.mktemp("local"), "--num-shards=4"))


def content(directory: Path) -> dict[str, bytes]:
    """All files of a built dataset but the one that says when it was built."""
    names = {path.name for path in directory.iterdir()} - {"provenance.json"}
    return {name: (directory / name).read_bytes() for name in names}


def start(script: Path, job: dict[str, str], manual_dir: Path, data_dir: Path) -> subprocess.Popen:
    return subprocess.Popen(
        ["bash", script, "imagenet2012", manual_dir, data_dir, "--num-shards=4"],
        env=job,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def finish(batch: subprocess.Popen) -> str:
    """What a script printed; nothing of it is left."""
    try:
        said: str = batch.communicate(timeout=200)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(batch.pid, signal.SIGKILL)
    assert batch.returncode == 0, said
    return said


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_job_builds_the_same_bytes_and_goes_on_after_the_time_limit(
    script: Path, job: dict[str, str], manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    batch = start(script, job, manual_dir, data_dir)
    deadline = time.monotonic() + 100
    while not (found_during(data_dir, "*write_shard*") or found_during(data_dir, "*.tfrecord*")):
        assert batch.poll() is None, batch.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # What `--signal=B:USR1@120` asks for: the batch shell alone is told.
    batch.send_signal(signal.SIGUSR1)
    said = finish(batch)
    assert "queued again" in said
    assert (tmp_path / "asked").read_text() == "requeue 17\n"
    assert not (data_dir / "imagenet2012/5.1.0").exists()
    assert_nothing_left(tmp_path)

    said = finish(start(script, job, manual_dir, data_dir))
    found = content(data_dir / "imagenet2012/5.1.0")
    assert sorted(found) == sorted(local)
    assert [name for name in sorted(local) if found[name] != local[name]] == []
    assert_nothing_left(tmp_path)
    if "dask" in script.name:
        assert "DaskRunner: write_shard: 12 work items done by " in said


def assert_nothing_left(tmp_path: Path) -> None:
    assert not list((tmp_path / "data").glob(".dask-*"))
    assert not list((tmp_path / "disk").glob("imagenet-builders-*"))


@pytest.mark.slow
@pytest.mark.skipif(
    not slurm_cluster.is_installed(),
    reason="not asked for (IMAGENET_BUILDERS_TEST_SLURM), no Slurm, or not root",
)
def test_in_a_real_allocation_of_two_nodes_and_queued_again(
    manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    [script] = [path for path in SCRIPTS if "dask" in path.name]
    data_dir, log = tmp_path / "data", tmp_path / "job.log"
    with slurm_cluster.slurm() as variables:
        path = commands(tmp_path / "bin", "dask", "imagenet-builders")
        env = environment(PATH=path) | variables
        submit = ["sbatch", "--parsable", "--nodes=2", "--cpus-per-task=1", f"--output={log}"]
        job = slurm(env, *submit, script, "imagenet2012", manual_dir, data_dir, "--num-shards=4")
        wait_until(lambda: found_during(data_dir, "*write_shard*"), log)
        slurm(env, "scancel", "--batch", "--signal=USR1", job)
        wait_until(lambda: slurm(env, "squeue", "--noheader", "--format=%T") == "PENDING", log)
        assert not (data_dir / "imagenet2012/5.1.0").exists()
        assert not list(data_dir.glob(".dask-*"))

        def is_done() -> bool:
            # Slurm would wait for two minutes; and it forgets this while the first run still ends.
            hurry = ["scontrol", "update", f"JobId={job}", "StartTime=now"]
            subprocess.run(hurry, env=env, capture_output=True, check=False)
            time.sleep(1)
            return "JobState=COMPLETED" in slurm(env, "scontrol", "show", "job", job)

        wait_until(is_done, log)
    found = content(data_dir / "imagenet2012/5.1.0")
    assert sorted(found) == sorted(local)
    assert [name for name in sorted(local) if found[name] != local[name]] == []
    # As many as were not finished before.
    assert re.search(r"write_shard: [0-9]+ work items done by ", log.read_text())


def slurm(env: dict[str, str], *command: str | Path) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wait_until(condition: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound_shell_and_say_what_is_missing(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)
    done = subprocess.run(["bash", script, "imagenet2012"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "directory with the archives" in done.stderr
