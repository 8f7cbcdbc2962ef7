"""What an export says of itself is read, and what is no export is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from imagenet_builders.locate.exported import Exported, around, exported

DOCUMENT = {
    "dataset": "photos/1.0.0",
    "form": "tars",
    "files": {"info.json": "00", "train/state.json": "00"},
    "splits": {
        "train": {"files": [["train/a-0.tar", 1, "00"], ["train/a-1.tar", 1, "00"], ["a.idx", 1]]},
        "test": {"files": [["both.img", 1, "00"]]},
        "validation": {"files": [["both.img", 1, "00"]]},
    },
}


def written(directory: Path, document: object) -> Exported | None:
    directory.mkdir(exist_ok=True)
    (directory / "provenance.json").write_text(json.dumps(document))
    return exported(directory)


def test_files_and_folders_have_their_splits(tmp_path: Path) -> None:
    export = written(tmp_path, DOCUMENT)
    assert export is not None
    assert (export.dataset, export.form, export.has_images) == ("photos/1.0.0", "tars", False)
    assert export.files["train"] == export.files["train/a-1.tar"] == {"train"}
    assert export.files["both.img"] == {"test", "validation"}
    assert export.files["info.json"] == set()
    assert export.of_all == {"info.json", "train/state.json", "provenance.json"}
    assert [export.number_beside(name) for name in ("train/a-0.tar", "a.idx", "other.tar")] == [
        2,
        1,
        0,
    ]


def test_what_lies_in_an_export_is_known_to_be_of_it(tmp_path: Path) -> None:
    written(tmp_path, DOCUMENT)
    (tmp_path / "train").mkdir()
    found = around(tmp_path / "train" / "a-0.tar")
    assert found is not None
    assert found.directory == tmp_path
    assert around(tmp_path / "both.img") == found
    assert around(tmp_path / "stranger.tar") is None
    assert around(tmp_path / "train" / "stranger.tar") is None


def test_folders_of_images_are_of_an_export_that_has_such(tmp_path: Path) -> None:
    written(tmp_path, DOCUMENT | {"splits": {"train": {"shards": 1}}})
    (tmp_path / "train").mkdir()
    (tmp_path / "archive.tar").write_bytes(b"")
    assert around(tmp_path / "train") is not None
    assert around(tmp_path / "archive.tar") is None


def test_what_it_says_is_read_again_once_it_has_changed(tmp_path: Path) -> None:
    written(tmp_path, DOCUMENT)
    found = written(tmp_path, DOCUMENT | {"dataset": "paintings/1.0.0"})
    assert found is not None
    assert found.dataset == "paintings/1.0.0"


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"dataset": "photos/1.0.0", "splits": {}},  # A dataset that was built.
        {"dataset": 1, "form": "tars"},
        {"dataset": "photos/1.0.0", "form": None},
        {"dataset": "photos/" * 100, "form": "tars"},
    ],
)
def test_what_is_no_export_is_none(document: object, tmp_path: Path) -> None:
    assert written(tmp_path, document) is None
    assert exported(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "parts",
    [
        {"files": [1], "splits": [1]},
        {"files": {"": "00"}, "splits": {"train": 1, "test": {"files": 1}}},
        {"files": None, "splits": {"train": {"files": [[], [1], "a", None]}}},
    ],
)
def test_a_damaged_list_is_no_list(parts: dict[str, object], tmp_path: Path) -> None:
    export = written(tmp_path, DOCUMENT | parts)
    assert export is not None
    assert export.files == {}


def test_a_path_through_a_million_folders_takes_no_memory(tmp_path: Path) -> None:
    export = written(tmp_path, DOCUMENT | {"files": {"a/" * 1_000_000: "00"}})
    assert export is not None
    assert "info.json" not in export.files
    assert max(map(len, export.files)) < 100


def test_what_does_not_show_is_an_escape(tmp_path: Path) -> None:
    export = written(tmp_path, DOCUMENT | {"dataset": "a\x1b[2J", "form": "b\n"})
    assert export is not None
    assert (export.dataset, export.form) == ("a\\x1b[2J", "b\\n")


def test_nothing_else_is_waited_for_or_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "provenance.json")
    assert exported(tmp_path) is None
    (tmp_path / "provenance.json").unlink()
    written(tmp_path / "elsewhere", DOCUMENT)
    (tmp_path / "provenance.json").symlink_to(tmp_path / "elsewhere" / "provenance.json")
    assert exported(tmp_path) is None
