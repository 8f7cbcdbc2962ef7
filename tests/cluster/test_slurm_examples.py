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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from makers import ilsvrc2012_large
from support.building import built_by_cli
from support.built_datasets import files_of
from support.clusters import slurm as slurm_cluster
from support.paths import ROOT
from support.processes import environment, found_during

SCRIPTS = sorted((ROOT / "examples" / "slurm").glob("*.sbatch"))

pytestmark = pytest.mark.skipif(not SCRIPTS, reason="the examples are not installed")

COMMANDS = {
    # Each task is a process of its own, and all end with it.
    "srun": """\
        echo "$@" >> "$ASKED_OF_SRUN"
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
    # In its first run, a shard takes so long that the job is told to end in the middle of them.
    "imagenet-builders": f"""\
        [[ -n ${{SLURM_RESTART_COUNT:-}} ]] || export PYTHONPATH=$SLOW_DISK:$PYTHONPATH
        exec {sys.executable} -m imagenet_builders.cli "$@"
        """,
}

SLOW_DISK = """\
import os, time
_fsync = os.fsync
def fsync(fd):
    time.sleep(0.5)
    _fsync(fd)
os.fsync = fsync
"""

# Where nothing is built, Dask's commands only wait, and its workers end with their scheduler. The
# scripts' seconds are shorter.
FAKE_SLEEP = "exec /bin/sleep 0.1"
FAKE_DASK = """\
    while [[ $1 != --scheduler-file ]]; do kind=${kind:-$1}; shift; done
    if [[ $kind == scheduler ]]; then
        trap 'rm "$2"; exit' TERM
        echo {} > "$2"
        while true; do sleep 1; done
    fi
    while [[ -e $2 ]]; do sleep 1; done
    """


def commands(directory: Path, **texts: str) -> str:
    """A search path on which these commands come first."""
    directory.mkdir()
    for name, text in texts.items():
        (directory / name).write_text(f"#!/bin/bash\n{text}")
        (directory / name).chmod(0o755)
    return os.pathsep.join([str(directory), os.environ["PATH"]])


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of two nodes."""
    for name in ("disk", "slow"):
        (tmp_path / name).mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW_DISK)
    return environment(
        PATH=commands(tmp_path / "bin", **COMMANDS),
        SLURM_JOB_ID="17",
        SLURM_JOB_NUM_NODES="2",
        SLURM_CPUS_PER_TASK="1",
        SLURM_TMPDIR=str(tmp_path / "disk"),
        ASKED_OF_SLURM=str(tmp_path / "asked"),
        ASKED_OF_SRUN=str(tmp_path / "asked_of_srun"),
        SLOW_DISK=str(tmp_path / "slow"),
    )


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("manual")
    ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.02, classes=5, test_fraction=0.05)
    return directory


@pytest.fixture(scope="module")
def local(manual_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(built_by_cli(manual_dir, tmp_path_factory.mktemp("local"), "--num-shards=4"))


def start(script: Path, job: dict[str, str], manual_dir: Path, data_dir: Path) -> subprocess.Popen:
    return subprocess.Popen(
        ["bash", script, "imagenet2012", manual_dir, data_dir, "--num-shards=4"],
        env=job,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def finish(batch: subprocess.Popen, status: int = 0) -> str:
    """What a script printed; nothing of it is left."""
    try:
        said: str = batch.communicate(timeout=200)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(batch.pid, signal.SIGKILL)
    assert batch.returncode == status, said
    return said


def writes_shards(data_dir: Path) -> bool:
    return any(found_during(data_dir, pattern) for pattern in ("*write_shard*", "*.tfrecord-*"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_job_builds_the_same_bytes_and_continues_after_the_time_limit(
    script: Path, job: dict[str, str], manual_dir: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    batch = start(script, job, manual_dir, data_dir)
    deadline = time.monotonic() + 100
    while not writes_shards(data_dir):
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

    said = finish(start(script, job | {"SLURM_RESTART_COUNT": "1"}, manual_dir, data_dir))
    assert_same(data_dir, local)
    assert_nothing_left(tmp_path)
    if "dask" in script.name:
        assert re.search(r"DaskRunner: write_shard: [0-9]+ work items done by ", said)


def assert_same(data_dir: Path, local: dict[str, bytes]) -> None:
    found = files_of(data_dir / "imagenet2012/5.1.0")
    assert sorted(found) == sorted(local)
    assert [name for name in sorted(local) if found[name] != local[name]] == []


def assert_nothing_left(tmp_path: Path) -> None:
    assert not list((tmp_path / "data").glob(".dask-*"))
    assert not list((tmp_path / "disk").glob("imagenet-builders-*"))


TIME_LIMIT, CANCELLED = signal.SIGUSR1, signal.SIGTERM
WAITS = 'touch "$BEGUN"; exec /bin/sleep 100'
ENDS_WITH = 'trap "kill %1; exit {}" TERM; /bin/sleep 100 & touch "$BEGUN"; wait'
QUEUED_AGAIN = "requeue 17\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("build", "told", "variables", "status", "asked", "says"),
    [
        pytest.param("exit 7", None, {}, 7, "", "", id="a build that fails is not done again"),
        pytest.param("exit 0", None, {}, 0, "", "", id="a build that is done"),
        pytest.param(
            ENDS_WITH.format(143),
            TIME_LIMIT,
            {"SLURM_RESTART_COUNT": "19"},
            0,
            QUEUED_AGAIN,
            "queued again, and goes on",
            id="the time limit",
        ),
        pytest.param(
            ENDS_WITH.format(143),
            TIME_LIMIT,
            {"SLURM_RESTART_COUNT": "20"},
            1,
            "",
            "has been queued again 20 times: it ends here",
            id="not for ever",
        ),
        pytest.param(ENDS_WITH.format(0), TIME_LIMIT, {}, 0, "", "", id="done right before it"),
        pytest.param(
            WAITS,
            TIME_LIMIT,
            {"SCONTROL_FAILS": "1"},
            1,
            QUEUED_AGAIN,
            "could not be queued again: submit it again",
            id="a site where users cannot",
        ),
        pytest.param(WAITS, CANCELLED, {}, 143, "", "", id="cancelled"),
    ],
)
def test_a_jobs_exit_status_follows_the_build(
    script: Path,
    build: str,
    told: signal.Signals | None,
    variables: dict[str, str],
    status: int,
    asked: str,
    says: str,
    job: dict[str, str],
    tmp_path: Path,
) -> None:
    """Builds, and Dask, that only wait: whatever becomes of them, the job ends as it should."""
    (tmp_path / "asked").touch()
    if "dask" in script.name:  # Of an earlier run, which was killed.
        (tmp_path / "data" / ".dask-slurm-17-abc123").mkdir(parents=True)
    fakes = COMMANDS | {"imagenet-builders": build, "dask": FAKE_DASK, "sleep": FAKE_SLEEP}
    fakes["scontrol"] += "exit ${SCONTROL_FAILS:-0}"
    job |= {"PATH": commands(tmp_path / "fakes", **fakes), "BEGUN": str(tmp_path / "begun")}
    job |= {"SLURM_CPUS_PER_TASK": "3"} | variables
    batch = start(script, job, tmp_path, tmp_path / "data")
    if told is not None:
        wait_for(tmp_path / "begun", batch)
        batch.send_signal(told)
    assert says in finish(batch, status)
    assert (tmp_path / "asked").read_text() == asked
    assert_nothing_left(tmp_path)
    if "dask" in script.name:
        # Since Slurm 22.05, srun does not take the CPUs from the job.
        assert (
            "--ntasks=2 --ntasks-per-node=1 --cpus-per-task=3 "
            in (tmp_path / "asked_of_srun").read_text()
        )


def wait_for(path: Path, batch: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert batch.poll() is None, batch.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("dask", "build", "status", "says"),
    [
        pytest.param(
            f"[[ $1 == scheduler ]] || exec /bin/sleep 300\n{FAKE_DASK}",
            "sleep 1",
            0,
            "",
            id="workers that still look for a scheduler that has ended",
        ),
        pytest.param("exit 3", WAITS, 1, "scheduler could not be started", id="no scheduler"),
        pytest.param(
            f"[[ $1 == scheduler ]] || exit 1\n{FAKE_DASK}",
            WAITS,
            1,
            "all of its workers ended before the build did",
            id="no workers",
        ),
    ],
)
def test_dask_does_not_keep_a_job_alive(
    dask: str, build: str, status: int, says: str, job: dict[str, str], tmp_path: Path
) -> None:
    [script] = [path for path in SCRIPTS if "dask" in path.name]
    fakes = COMMANDS | {"imagenet-builders": build, "dask": dask, "sleep": FAKE_SLEEP}
    job |= {"PATH": commands(tmp_path / "fakes", **fakes), "BEGUN": str(tmp_path / "begun")}
    began = time.monotonic()
    assert says in finish(start(script, job, tmp_path, tmp_path / "data"), status)
    # Less than there is before the time limit, within which it is to be queued again.
    assert time.monotonic() - began < 60
    assert_nothing_left(tmp_path)


needs_slurm = pytest.mark.skipif(
    not slurm_cluster.is_installed(), reason="no Slurm here, or not root"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    with slurm_cluster.cluster() as directory:
        yield directory


@pytest.fixture
def submit(cluster: Path, job: dict[str, str], tmp_path: Path) -> Callable[..., slurm_cluster.Job]:
    """Submits a script to a real Slurm."""
    real = {name: COMMANDS[name] for name in ("dask", "imagenet-builders")}
    env = {name: value for name, value in job.items() if not re.match("SLURM_(JOB|CPUS)", name)}
    env["PATH"] = commands(tmp_path / "real", **real)

    def submitted(script: Path, *arguments: str | Path) -> slurm_cluster.Job:
        asked = ["--cpus-per-task=1", f"--output={tmp_path / 'job.log'}"]
        if "dask" in script.name:
            asked.append("--nodes=2")
        return slurm_cluster.Job(cluster, env, *asked, script, "imagenet2012", *arguments)

    return submitted


@pytest.mark.slow
@needs_slurm
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_real_job_is_requeued_and_continues(
    script: Path,
    submit: Callable[..., slurm_cluster.Job],
    manual_dir: Path,
    local: dict[str, bytes],
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    job = submit(script, manual_dir, data_dir, "--num-shards=4")
    job.wait_until(lambda: writes_shards(data_dir))
    job.signal_shell("USR1")
    job.wait_until(lambda: job.shown("JobState") == "PENDING")
    assert not (data_dir / "imagenet2012/5.1.0").exists()
    assert_nothing_left(tmp_path)

    job.start_now()
    job.wait_until(lambda: job.shown("JobState") == "COMPLETED")
    assert job.shown("Restarts") == "1"
    assert_same(data_dir, local)
    assert_nothing_left(tmp_path)
    if "dask" in script.name:
        # As many as were not finished before.
        said = (tmp_path / "job.log").read_text()
        assert re.search(r"write_shard: [0-9]+ work items done by ", said)


@pytest.mark.slow
@needs_slurm
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_failed_build_fails_its_real_job(
    script: Path, submit: Callable[..., slurm_cluster.Job], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    job = submit(script, tmp_path / "empty", tmp_path / "data")
    job.wait_until(lambda: job.shown("JobState") == "FAILED")
    assert (job.shown("ExitCode"), job.shown("Restarts")) == ("1:0", "0")
    assert "ILSVRC2012_img_train.tar" in (tmp_path / "job.log").read_text()
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_shell_and_name_missing_settings(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)
    done = subprocess.run(["bash", script, "imagenet2012"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "directory with the archives" in done.stderr
