"""The files of a dataset are counted and hashed; those of an export as its provenance has them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from imagenet_builders.catalog import listing


def test_files_and_those_in_folders_are_listed(tmp_path: Path) -> None:
    (tmp_path / "dali_index" / "deeper").mkdir(parents=True)
    for name in ("a", "dali_index/b", "dali_index/deeper/c"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "dead").symlink_to("nothing")
    found = listing.files_in(tmp_path)
    assert [file[:2] for file in found] == [("a", 1), ("dali_index/b", 12), ("link", 1)]
    assert found[0].mtime_ns == (tmp_path / "a").stat().st_mtime_ns


def test_small_files_have_the_hash_that_was_noted_or_that_of_what_is_there(built: Path) -> None:
    document: dict[str, Any] = json.loads((built / "provenance.json").read_text())
    nothing: dict[str, Any] = {}
    files = listing.files_in(built)
    for said in (document, nothing):
        found = {file.name: file for file in listing.small_files(built, files, said)}
        assert {"dataset_info.json", "features.json", "label.labels.txt"} <= found.keys()
        for file in found.values():
            content = (built / file.name).read_bytes()
            assert (file.sha256, file.size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_the_seal_is_the_hash_of_the_file_with_the_checksums(tmp_path: Path) -> None:
    assert listing.seal(tmp_path) == "0" * 64
    for name in ("dataset_info.json", "provenance.json"):
        (tmp_path / name).write_text(name)
        assert listing.seal(tmp_path) == hashlib.sha256(name.encode()).hexdigest()


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"train": {"files": [["a", 3, "crc"], ["b", 4, "crc"]]}}, (3, 7)),
        ({"train": {"files": [["a", 3, ""]]}, "test": {"files": [["a", 3, ""]]}}, (2, 3)),
        ({"train": {"examples": 5, "shard_bytes": [10, 20]}}, (6, 30)),
        ({"train": {"files": [None, [], ["a"], ["b", "x"]]}, "test": {"examples": 1}}, (1, 0)),
        (None, (1, 0)),
    ],
)
def test_an_export_says_how_many_files_it_has(splits: object, expected: tuple[int, int]) -> None:
    document = {"splits": splits, "files": {"README.md": "0" * 64}}
    assert listing.recorded(document) == expected
