"""What a dataset says of itself is read without TensorFlow Datasets, whatever version wrote it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from imagenet_builders.catalog.listing import sha256_of
from imagenet_builders.catalog.metadata import DescribedSplit, describe, lines
from imagenet_builders.errors import DatasetError


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "imagenet2012" / "5.1.0"))


def change(directory: Path, **changes: Any) -> None:
    path = directory / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_it_says_what_tensorflow_datasets_reads(built: Path, boxes: Path) -> None:
    for directory in (built, boxes):
        found, info = describe(directory), tfds.builder_from_directory(directory).info
        assert (found.name, found.version) == (info.name, str(info.version))
        assert found.file_format == info.file_format.value
        assert found.description == info.description.strip()
        assert (found.homepage, found.citation) == (info.homepage, info.citation)
        assert dict(found.release_notes) == info.release_notes
        assert found.supervised_keys == repr(info.supervised_keys)
        assert found.features == repr(info.features)
        assert list(found.label_names) == info.features["label"].names
        for split in found.splits:
            expected = info.splits[split.name]
            assert split.examples == expected.num_examples
            assert split.size == expected.num_bytes
            names = split.shards(found.name, "tfrecord")
            assert [str(directory / name) for name in names] == [
                str(path) for path in expected.filepaths
            ]


def test_fields_of_a_newer_version_are_passed_over(copy: Path) -> None:
    before = describe(copy)
    change(copy, hologram={"x": 1}, schemaVersion="9")
    assert describe(copy) == before


def test_a_format_and_features_of_a_newer_version_are_shown(copy: Path) -> None:
    change(copy, fileFormat="bagz")
    features = {"pythonClassName": "tensorflow_datasets.core.features.Hologram"}
    (copy / "features.json").write_text(json.dumps(features))
    found = describe(copy)
    assert (found.file_format, found.features, found.images) == ("bagz", "Hologram()", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": None}, "its name is not there"),
        ({"name": "../x"}, r"its name is '../x'"),
        ({"version": 3}, "its version is 3"),
        ({"splits": {"train": {}}}, "does not describe its splits"),
        ({"splits": [None]}, "does not describe its splits"),
        ({"splits": [{"name": "train", "shardLengths": ["many"]}]}, "does not describe its splits"),
        ({"splits": [{"name": "train", "shardLengths": [-1]}]}, "does not describe its splits"),
        ({"splits": [{"name": "train", "filepathTemplate": "../{SPLIT}"}]}, "does not describe"),
    ],
)
def test_what_is_no_description_is_said(copy: Path, changes: dict[str, Any], said: str) -> None:
    change(copy, **changes)
    with pytest.raises(DatasetError, match=said) as caught:
        describe(copy)
    assert str(copy / "dataset_info.json") in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_damage_is_said(copy: Path, content: bytes) -> None:
    (copy / "dataset_info.json").write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged: it is no JSON object"):
        describe(copy)


def test_a_fifo_is_not_waited_for(copy: Path) -> None:
    (copy / "dataset_info.json").unlink()
    os.mkfifo(copy / "dataset_info.json")
    with pytest.raises(DatasetError, match="it is a FIFO"):
        describe(copy)


def test_without_features_the_rest_is_read(copy: Path) -> None:
    (copy / "features.json").unlink()
    found = describe(copy)
    assert (found.features, found.images, found.label_names) == ("", None, ())
    assert found.warnings == (f"{copy / 'features.json'} is missing, so this dataset is not whole",)


def test_another_number_of_names_than_classes_is_no_list_of_classes(copy: Path) -> None:
    (copy / "label.labels.txt").write_text("a\nb\n")
    assert describe(copy).label_names == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_a_link_of_somebody_shows_no_file_of_somebody_else(copy: Path, tmp_path: Path) -> None:
    """Who may write in the directory could show the world what only its reader may read."""
    labels, secret = copy / "label.labels.txt", tmp_path / "secret"
    names = describe(copy).label_names
    labels.rename(secret)
    labels.symlink_to(secret)
    assert describe(copy).label_names == names
    os.lchown(labels, 65534, 65534)
    assert describe(copy).label_names == ()
    assert sha256_of(labels) is None
    os.chown(secret, 65534, 65534)
    assert describe(copy).label_names == names
    assert sha256_of(labels) is not None


def test_text_is_printable_and_its_lines_are_kept(copy: Path) -> None:
    change(copy, description="one\n\ttwo\x1b[2J", citation="a\r\nb\u202e")
    found = describe(copy)
    assert found.description == "one\n    two\\x1b[2J"
    assert found.citation == "a\nb\\u202e"
    assert lines(" a\n") == "a"


def test_templates_of_tensorflow_datasets() -> None:
    split = DescribedSplit("train", 0, (1, 1), "{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}-{NUM_SHARDS}")
    assert split.shards("x", "tfrecord") == (
        "train.tfrecord-00000-00002",
        "train.tfrecord-00001-00002",
    )


def test_what_is_far_too_long_is_cut(copy: Path) -> None:
    change(
        copy,
        description="long " * 100_000,
        releaseNotes={f"1.0.{number}": "" for number in range(10_000)},
    )
    found = describe(copy)
    assert found.description.startswith("long long")
    assert found.description.endswith("\n...")
    assert len(found.description) < 60_000
    assert len(found.release_notes) < 1_000


def test_there_are_not_more_shards_than_anybody_makes(copy: Path) -> None:
    split = {"shardLengths": ["1"] * 60_000, "numBytes": "1"}
    change(copy, splits=[{"name": name, **split} for name in ("train", "test")])
    with pytest.raises(DatasetError, match="names more than 100,000 shards"):
        describe(copy)
