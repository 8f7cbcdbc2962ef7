"""What lies under a data directory is found by the layout of TensorFlow Datasets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.processes import run_python

from imagenet_builders.catalog.find import Found, find
from imagenet_builders.errors import StagingError

INFO = json.dumps({"name": "x", "version": "1.0.0", "fileFormat": "tfrecord"})


def dataset(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "dataset_info.json").write_text(INFO)
    return directory


def export(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "provenance.json").write_text('{"form": "webdataset", "dataset": "x/1.0.0"}')
    return directory


def test_datasets_configurations_versions_and_exports(tmp_path: Path) -> None:
    paths = [
        dataset(tmp_path / "a" / "1.0.0"),
        dataset(tmp_path / "a" / "2.0.0"),
        dataset(tmp_path / "b" / "config" / "1.0.0"),
        dataset(tmp_path / "moved"),
    ]
    exports = [export(tmp_path / "exports" / "wds"), export(tmp_path / "wds")]
    (tmp_path / "downloads" / "extracted").mkdir(parents=True)
    (tmp_path / ".hidden" / "1.0.0").mkdir(parents=True)
    found, faults = find(tmp_path)
    assert found == sorted(
        [Found(path, False, False) for path in paths]
        + [Found(path, True, False) for path in exports],
        key=lambda each: each.directory,
    )
    assert faults == []


def test_the_directory_of_one_dataset(tmp_path: Path) -> None:
    directory = dataset(tmp_path / "a" / "1.0.0")
    assert find(tmp_path / "a")[0] == [Found(directory, False, False)]


def test_a_link_to_a_dataset_is_followed_once(tmp_path: Path) -> None:
    elsewhere = dataset(tmp_path / "elsewhere" / "a" / "1.0.0")
    (tmp_path / "tfds").mkdir()
    (tmp_path / "tfds" / "a").symlink_to(elsewhere.parent)
    (tmp_path / "tfds" / "b").symlink_to(elsewhere.parent)
    (tmp_path / "tfds" / "round").symlink_to(tmp_path / "tfds")
    found, faults = find(tmp_path / "tfds")
    assert [each.directory for each in found] == [tmp_path / "tfds" / "a" / "1.0.0"]
    assert faults == []


def test_what_hugging_face_calls_the_same_is_no_dataset(tmp_path: Path) -> None:
    split = tmp_path / "mine" / "train"
    split.mkdir(parents=True)
    (tmp_path / "mine" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (split / "state.json").write_text("{}")
    (split / "dataset_info.json").write_text('{"features": {}}')
    assert find(tmp_path) == ([], [])


def test_builds_under_way_are_told(tmp_path: Path) -> None:
    token = "0123456789abcdef"
    (tmp_path / "a" / f".1.0.0.building-{token}").mkdir(parents=True)
    directory = dataset(tmp_path / "b" / "1.0.0")
    (tmp_path / "b" / f".1.0.0.building-{token}").mkdir()
    (tmp_path / "c" / "incomplete.ABCDEF_1.0.0").mkdir(parents=True)
    found, faults = find(tmp_path)
    assert found == [Found(directory, False, being_built=True)]
    assert [(Path(each.path).name, each.sentence.partition(",")[0]) for each in faults] == [
        ("1.0.0", "it is being built"),
        ("incomplete.ABCDEF_1.0.0", "TensorFlow Datasets is building here"),
    ]


def test_a_version_without_metadata_is_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "1.0.0").mkdir(parents=True)
    [fault] = find(tmp_path)[1]
    assert fault.path == str(tmp_path / "a" / "1.0.0")
    assert "no dataset_info.json" in fault.sentence


def test_a_folder_of_classes_is_not_looked_into(tmp_path: Path) -> None:
    for number in range(2_001):
        (tmp_path / "train" / f"n{number:08}").mkdir(parents=True)
    found, [fault] = find(tmp_path)
    assert found == []
    assert "2,001 directories are in it" in fault.sentence


_AS_NOBODY = """
import os, sys
from pathlib import Path
import imagenet_builders.catalog.find as find
from imagenet_builders import datasets
datasets.names()  # The package may lie where only its owner may look.
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
found, faults = find.find(Path(sys.argv[1]))
for each in faults:
    print(Path(each.path).name, each.sentence, sep=": ")
for each in found:
    print(each.directory.name)
"""


def test_what_may_not_be_read_is_told(open_path: Path) -> None:
    dataset(open_path / "a" / "1.0.0")
    (open_path / "closed").mkdir(mode=0o700)
    (open_path / "listed" / "1.0.0").mkdir(parents=True)
    (open_path / "listed").chmod(0o744)
    (export(open_path / "wds") / "provenance.json").chmod(0o600)
    if os.geteuid() != 0:
        pytest.skip("only root can give this to others")
    lines = run_python(_AS_NOBODY, open_path).splitlines()
    assert [line.partition(", which")[0].partition(":")[::2] for line in lines[:3]] == [
        ("closed", " it cannot be listed: it belongs to user root and has mode 700"),
        ("listed", " it cannot be looked into: it belongs to user root and has mode 744"),
        ("provenance.json", " it cannot be read: it belongs to user root and has mode 600"),
    ]
    assert lines[3:] == ["1.0.0"]


@pytest.mark.parametrize(
    ("closed", "mode", "unread"),
    [
        (".", 0o744, True),
        ("imagenet2012", 0o700, True),
        ("imagenet2012", 0o744, True),
        ("a/1.0.0", 0o700, True),
        ("lost+found", 0o700, False),
        ("a", 0o744, False),
    ],
)
def test_a_dataset_that_may_not_be_read_is_unread(
    open_path: Path, closed: str, mode: int, unread: bool
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give this to others")
    directory = open_path / "data" / closed
    directory.mkdir(parents=True)
    directory.chmod(mode)
    program = _AS_NOBODY + "print([each.unread for each in faults])"
    assert run_python(program, open_path / "data").splitlines()[-1] == f"[{unread}]"


@pytest.mark.parametrize("left", [True, False])
def test_a_dataset_that_has_lost_its_metadata_is_unread(tmp_path: Path, left: bool) -> None:
    directory = tmp_path / "a" / "1.0.0"
    directory.mkdir(parents=True)
    if left:
        (directory / "provenance.json").write_text("{}")
    found, [fault] = find(tmp_path)
    assert (found, fault.path, fault.unread) == ([], str(directory), left)


def test_what_is_to_be_skipped_is(tmp_path: Path) -> None:
    directory = dataset(tmp_path / "site")
    assert find(tmp_path, skip=[directory]) == ([], [])


def test_there_must_be_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StagingError, match="is not a directory"):
        find(tmp_path / "none")


@pytest.mark.parametrize("kind", ["fifo", "long"])
def test_metadata_that_are_no_file_are_waited_for_by_nobody(tmp_path: Path, kind: str) -> None:
    directory = tmp_path / "a" / "1.0.0"
    directory.mkdir(parents=True)
    for name in ("provenance.json", "dataset_info.json"):
        if kind == "fifo":
            os.mkfifo(directory / name)
        else:
            with (directory / name).open("wb") as file:
                file.truncate(1 << 40)
    assert find(tmp_path)[0] == [Found(directory, False, False)]


@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"self": "0", "splits": {}}'])
def test_an_export_whose_provenance_is_damaged_has_a_row(tmp_path: Path, content: str) -> None:
    export(tmp_path / "wds")
    (tmp_path / "wds" / "provenance.json").write_text(content)
    found, [fault] = find(tmp_path)
    assert not found
    assert fault.path == str(tmp_path / "wds")
    assert "provenance.json is damaged" in fault.sentence


def test_a_provenance_of_another_program_is_none_of_ours(tmp_path: Path) -> None:
    export(tmp_path / "thesis")
    (tmp_path / "thesis" / "provenance.json").write_text('{"author": "somebody"}')
    assert find(tmp_path) == ([], [])
