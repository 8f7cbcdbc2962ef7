"""The same archives give the same bytes, whoever builds them and however.

All builds here are whole processes of their own, as they are on a cluster.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from makers import ilsvrc2012_large
from support.building import built_by_cli
from support.built_datasets import shards

FORMATS = ("tfrecord", "array_record")

# Python runs this file, when it is on its path, in each process that starts: also in workers.
_COUNT_PROCESSES = """
import os, pathlib
pathlib.Path(os.environ["TEST_PROCESSES"], str(os.getpid())).touch()
"""


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for processes to be worth starting: less than 32 MiB are written by the parent."""
    directory = tmp_path_factory.mktemp("manual")
    ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.06, classes=7, test_fraction=0.05)
    return directory


def content(directory: Path) -> dict[str, bytes]:
    """All files of a built dataset but the one that says when it was built."""
    names = {path.name for path in directory.iterdir()} - {"provenance.json"}
    return {name: (directory / name).read_bytes() for name in names}


@pytest.fixture(scope="module", params=FORMATS)
def file_format(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def by_one_process(
    file_format: str, manual_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    directory = built_by_cli(
        manual_dir,
        tmp_path_factory.mktemp("one"),
        f"--file-format={file_format}",
        "--workers=1",
        "--num-shards=5",
    )
    assert len(shards(directory)) == 15
    return content(directory)


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    # Not one comparison of both: pytest would try to show how megabytes differ.
    assert sorted(found) == sorted(expected)
    assert [name for name in sorted(expected) if found[name] != expected[name]] == []


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes(
    by_one_process: dict[str, bytes],
    file_format: str,
    manual_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
):
    counted = tmp_path / "processes"
    counted.mkdir()
    (tmp_path / "sitecustomize.py").write_text(_COUNT_PROCESSES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    directory = built_by_cli(
        manual_dir,
        tmp_path / "data",
        f"--file-format={file_format}",
        f"--workers={workers}",
        "--num-shards=5",
        TEST_PROCESSES=str(counted),
    )
    assert_same(content(directory), by_one_process)
    assert len(list(counted.iterdir())) == 1 + workers, "workers have written the shards"


# Whatever could decide the order of a set, of a directory's files or of a sort.
ELSEWHERE = {
    "PYTHONHASHSEED": "123",
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "tr_TR.UTF-8",
    "TZ": "Asia/Kathmandu",
}


def test_another_run_in_another_environment_gives_the_same_bytes(
    by_one_process: dict[str, bytes], file_format: str, manual_dir: Path, tmp_path: Path
):
    arguments = [f"--file-format={file_format}", "--workers=1", "--num-shards=5"]
    directory = built_by_cli(manual_dir, tmp_path, *arguments, **ELSEWHERE)
    assert_same(content(directory), by_one_process)


def test_a_build_from_a_kept_index_gives_the_same_bytes(
    by_one_process: dict[str, bytes], file_format: str, manual_dir: Path, tmp_path: Path
):
    arguments = [f"--file-format={file_format}", f"--scratch-dir={tmp_path}", "--workers=1"]
    built_by_cli(manual_dir, tmp_path / "first", *arguments, "--max-examples-per-split=1")
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.index.arrow")}
    assert len(kept) == 3, "an index of each split"
    directory = built_by_cli(manual_dir, tmp_path / "second", *arguments, "--num-shards=5")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "it was not made again"
    assert_same(content(directory), by_one_process)


def test_archives_elsewhere_and_with_another_time_give_the_same_bytes(
    by_one_process: dict[str, bytes], file_format: str, manual_dir: Path, tmp_path: Path
):
    copies = tmp_path / "copies"
    copies.mkdir()
    for archive in sorted(manual_dir.iterdir(), reverse=True):
        (copies / archive.name).write_bytes(archive.read_bytes())
    arguments = [f"--file-format={file_format}", "--workers=1", "--num-shards=5"]
    directory = built_by_cli(copies, tmp_path / "data", *arguments)
    assert_same(content(directory), by_one_process)
