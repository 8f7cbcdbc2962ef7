"""Nothing is imported from the working directory, where others may have put modules."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.paths import DUMMY_DATA
from support.processes import environment
from support.runners import IN_MEMORY, PROCESSES

_MODULES = (
    "apache_beam",
    "array_record",
    "dask",
    "encodings",
    "google_crc32c",
    "imagenet_builders",
    "json",
    "multiprocessing",
    "numpy",
    "pickle",
    "pyarrow",
    "sitecustomize",
    "tensorflow",
    "tensorflow_datasets",
    "usercustomize",
)

_PLANTED = "import os; open(os.path.join(os.path.dirname(__file__), 'RUN'), 'a').write(__name__)"

PROGRAM = Path(sysconfig.get_path("scripts"), "imagenet-builders")

# As the program does, and with two workers however little there is to do.
WORKERS = """
import sys
from imagenet_builders.run.beam.cluster import worker_facts_job
from imagenet_builders.run.local import LocalWorkers

with LocalWorkers(2) as workers:
    assert len(list(workers.run(worker_facts_job, [()] * 4))) == 4
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    for name in _MODULES:
        (directory / f"{name}.py").write_text(_PLANTED)
    return directory


def run_in(directory: Path, *command: str | Path, **changes: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=directory,
        env={**environment(), **changes},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (directory / "RUN").exists(), (directory / "RUN").read_text()
    return done.stdout


def test_what_is_planted_would_be_run(planted: Path) -> None:
    subprocess.run([sys.executable, "-c", "import numpy"], cwd=planted, check=False)
    assert "numpy" in (planted / "RUN").read_text()


def test_by_workers(planted: Path) -> None:
    run_in(planted, sys.executable, "-P", "-c", WORKERS)


@pytest.mark.skipif(not PROGRAM.exists(), reason="the program is not installed here")
@pytest.mark.parametrize(
    "more",
    [
        ("--workers=2",),
        pytest.param((f"--beam-options={IN_MEMORY}",), marks=pytest.mark.slow),
        pytest.param(("--workers=2", f"--beam-options={PROCESSES}"), marks=pytest.mark.slow),
    ],
    ids=["processes", "Beam in memory", "Beam's processes"],
)
def test_by_build_and_verify_and_check(
    planted: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    staged, data = DUMMY_DATA / "tiny_imagenet", tmp_path / "data"
    where = (f"--manual-dir={staged}", f"--data-dir={data}")
    built = run_in(planted, PROGRAM, "build", "tiny_imagenet", *where, *more)
    run_in(planted, PROGRAM, "verify", built.splitlines()[-1], "--workers=2")
    run_in(planted, PROGRAM, "check", staged, "--deep", "--workers=2")
    assert sorted(os.listdir(planted)) == sorted(f"{name}.py" for name in _MODULES)
