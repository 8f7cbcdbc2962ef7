"""The small corpus, builds of it in forks, and what comes of them."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.built_datasets import records_by_split
from support.command_line import build, build_arguments
from support.corpora.ilsvrc2012 import staged
from support.killing.forks import Server, server
from support.killing.moments import Held, built
from support.killing.trials import SHARDS


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus, staged."""
    return staged().write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def forks(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of builds that has built everything once."""
    directory = tmp_path_factory.mktemp("forks")
    warm_up = build_arguments(small, directory / "warm_up", *SHARDS)
    with server(directory, [warm_up]) as started:
        yield started


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """As `tmp_path`, but in memory where there is such a file system, which flushes at once."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The records of the corpus without anything odd about it."""
    path = tmp_path_factory.mktemp("whole")
    assert build(staged().write(path / "staged"), path / "built").status == 0
    found = records_by_split(path / "built")
    counts = {split: len(of_split) for split, of_split in found.items()}
    assert counts == {"train": 9, "validation": 5, "test": 4}
    return found


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "built"


@pytest.fixture(scope="session")
def expected(
    forks: Server, small: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The files of the dataset that is built of the small corpus."""
    return built(forks, small, tmp_path_factory.mktemp("expected"), *SHARDS)


@pytest.fixture
def held(forks: Server, small: Path, data_dir: Path) -> Iterator[Held]:
    holder = Held(forks, build_arguments(small, data_dir, *SHARDS), data_dir)
    yield holder
    if Path(f"/proc/{holder.pid}").exists():
        os.kill(holder.pid, signal.SIGCONT)
        holder.kill()
