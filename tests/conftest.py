"""What tests of all folders share: their environment, larger archives, and clusters."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from makers import ilsvrc2012_large
from support.building import built_by_cli
from support.built_datasets import files_of, shards
from support.clusters.dask import Cluster
from support.clusters.portable import Servers
from support.processes import environment_of_tests

# No limits of time, which depend on the machine; the same examples each time, so that what fails
# is due to the last change. `--hypothesis-profile=search` looks for new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")

# TensorFlow's start-up notes would drown what the tests print.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Tests of builds in this process look at what these announce (`caplog`).
logging.getLogger("imagenet_builders").setLevel(logging.INFO)

# Started by something that ignores SIGINT (`nohup`, a shell's background), so would be all builds.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):  # Not the main thread.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's name must be the same in each process, or `-n auto` runs none at all."""
    odd = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if odd:
        raise pytest.UsageError(f"an address in memory is in the name of a test: {odd[0]}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n auto`, neighbours run in one process, which makes what they share once.

    A process that is done takes over some of what is left to another (`--dist worksteal`).
    """
    from xdist.scheduler import WorkStealingScheduling

    if config.getvalue("dist") == "load":
        return WorkStealingScheduling(config, log)
    return None


# `COLUMNS` is that of the terminal in which pytest-xdist began.
_NOT_SEEN = ("SLURM_TMPDIR", "TMPDIR", "COLUMNS")


@pytest.fixture(scope="session", autouse=True)
def _no_options_of_the_environment() -> Iterator[None]:
    """No test, nor what several tests share, sees options of the environment, or `$TMPDIR`.

    Temporary files are where that says all the same.
    """
    tempfile.gettempdir()  # From now on it is what it is now.
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith("IMAGENET_BUILDERS_") or name in _NOT_SEEN:
                patch.delenv(name)
        yield


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Like `tmp_path`, but every user may enter the directories above it."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session")
def large_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of more than 32 MiB, for which a build starts worker processes."""
    directory = tmp_path_factory.mktemp("large")
    ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.06, classes=7, test_fraction=0.05)
    return directory


@pytest.fixture(scope="session")
def large_built(large_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the dataset that is built of them, in 8 shards a split, by local processes."""
    directory = built_by_cli(large_corpus, tmp_path_factory.mktemp("built"), "--num-shards=8")
    assert len(shards(directory)) == 24
    return files_of(directory)


@pytest.fixture(scope="session")
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Dask cluster of two workers, which tests must leave unchanged."""
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        for _ in range(2):
            cluster.add_worker(**environment_of_tests({}))
        cluster.wait_for_workers(2)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def job_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Options for a job service of Beam with a pool of workers; tests must leave both unchanged."""
    servers = Servers(tmp_path_factory.mktemp("job_service"))
    try:
        yield servers.options(servers.add_pool(**environment_of_tests({})))
    finally:
        servers.stop()
