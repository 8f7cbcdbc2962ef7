"""The same archives give the same bytes, whoever builds them and however.

All builds here are whole processes of their own, as they are on a cluster.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.building import built_by_cli
from support.built_datasets import assert_same_files, files_of, shards

FORMATS = ("tfrecord", "array_record")

# Python runs this file, when it is on its path, in each process that starts: also in workers.
_COUNT_PROCESSES = """
import os, pathlib
pathlib.Path(os.environ["TEST_PROCESSES"], str(os.getpid())).touch()
"""


@pytest.fixture(scope="module", params=FORMATS)
def file_format(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def by_one_process(
    file_format: str, large_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    directory = built_by_cli(
        large_corpus,
        tmp_path_factory.mktemp("one"),
        f"--file-format={file_format}",
        "--workers=1",
        "--num-shards=5",
    )
    assert len(shards(directory)) == 15
    return files_of(directory)


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes(
    by_one_process: dict[str, bytes],
    file_format: str,
    large_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
):
    counted = tmp_path / "processes"
    counted.mkdir()
    (tmp_path / "sitecustomize.py").write_text(_COUNT_PROCESSES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    directory = built_by_cli(
        large_corpus,
        tmp_path / "data",
        f"--file-format={file_format}",
        f"--workers={workers}",
        "--num-shards=5",
        TEST_PROCESSES=str(counted),
    )
    assert_same_files(files_of(directory), by_one_process)
    assert len(list(counted.iterdir())) == 1 + workers, "workers have written the shards"


# Whatever could decide the order of a set, of a directory's files or of a sort.
ELSEWHERE = {
    "PYTHONHASHSEED": "123",
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "tr_TR.UTF-8",
    "TZ": "Asia/Kathmandu",
}


def test_another_run_in_another_environment_gives_the_same_bytes(
    by_one_process: dict[str, bytes], file_format: str, large_corpus: Path, tmp_path: Path
):
    arguments = [f"--file-format={file_format}", "--workers=1", "--num-shards=5"]
    directory = built_by_cli(large_corpus, tmp_path, *arguments, **ELSEWHERE)
    assert_same_files(files_of(directory), by_one_process)


def test_a_build_from_a_kept_index_gives_the_same_bytes(
    by_one_process: dict[str, bytes], file_format: str, large_corpus: Path, tmp_path: Path
):
    arguments = [f"--file-format={file_format}", f"--scratch-dir={tmp_path}", "--workers=1"]
    built_by_cli(large_corpus, tmp_path / "first", *arguments, "--max-examples-per-split=1")
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.index.arrow")}
    assert len(kept) == 3, "an index of each split"
    directory = built_by_cli(large_corpus, tmp_path / "second", *arguments, "--num-shards=5")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "it was not made again"
    assert_same_files(files_of(directory), by_one_process)


def test_archives_elsewhere_and_with_another_time_give_the_same_bytes(
    by_one_process: dict[str, bytes], file_format: str, large_corpus: Path, tmp_path: Path
):
    copies = tmp_path / "copies"
    copies.mkdir()
    for archive in sorted(large_corpus.iterdir(), reverse=True):
        (copies / archive.name).write_bytes(archive.read_bytes())
    arguments = [f"--file-format={file_format}", "--workers=1", "--num-shards=5"]
    directory = built_by_cli(copies, tmp_path / "data", *arguments)
    assert_same_files(files_of(directory), by_one_process)
