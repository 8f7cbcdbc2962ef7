"""A page says what the metadata, the provenance and our tables say, whoever built the dataset."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from imagenet_builders import __version__
from imagenet_builders.catalog import entry as entry_lib
from imagenet_builders.catalog.croissant import Files
from imagenet_builders.catalog.model import Entry, Split
from imagenet_builders.catalog.survey import Surveyed


def entry_of(directory: Path, *, being_built: bool = False) -> Entry:
    read = entry_lib.read(directory, being_built)
    return entry_lib.entry_of(read, "slug", Surveyed(), None)[0]


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "imagenet2012" / "5.1.0"))


def test_a_dataset_of_this_package(described: tuple[Entry, Files], built: Path) -> None:
    entry, _ = described
    assert (entry.full_name, entry.made_by, entry.form) == (
        "imagenet2012/5.1.0",
        "imagenet_builders",
        "tfrecord",
    )
    assert entry.path == str(built)
    assert entry.built_with["imagenet-builders"] == __version__
    assert entry.release_notes[0][0] == "5.1.0"
    assert entry.terms is not None
    assert entry.terms.url == "https://image-net.org/download.php"
    document = json.loads((built / "provenance.json").read_text())
    train = document["splits"]["train"]
    part = "a part of the official split: 24 of 1,281,167 images, 6 of 1,000 classes"
    assert entry.splits[0] == Split("train", 24, 3, train["bytes"], 1_281_167, part)
    assert entry.file_count == len([path for path in built.rglob("*") if path.is_file()])
    assert entry.size == sum(path.stat().st_size for path in built.rglob("*") if path.is_file())
    assert len(entry.classes) == 1000
    counted = sum(row.counts["train"] for row in entry.classes)
    assert counted == 24
    assert (entry.warnings, entry.has_boxes, entry.verified) == ((), False, None)


def test_a_dataset_of_stock_tensorflow_datasets(copy: Path) -> None:
    """It has no provenance, no licence, and another module."""
    (copy / "provenance.json").unlink()
    shutil.rmtree(copy / "dali_index")
    info = json.loads((copy / "dataset_info.json").read_text())
    del info["redistributionInfo"]
    module = "tensorflow_datasets.image_classification.imagenet2012"
    (copy / "dataset_info.json").write_text(json.dumps(info | {"moduleName": module}))
    entry = entry_of(copy)
    assert (entry.made_by, entry.built_at, entry.built_from) == ("tfds", None, ())
    assert entry.terms is not None  # The images are ImageNet's all the same.
    assert entry.differences[0] == "train: 24 examples, and not the official 1,281,167"


def test_a_dataset_that_nobody_here_knows(copy: Path) -> None:
    info = json.loads((copy / "dataset_info.json").read_text())
    del info["redistributionInfo"]
    (copy / "dataset_info.json").write_text(json.dumps(info | {"name": "mnist"}))
    for shard in copy.glob("imagenet2012-*"):
        shard.rename(copy / shard.name.replace("imagenet2012-", "mnist-"))
    entry = entry_of(copy)
    assert (entry.terms, entry.differences[:1]) == (None, ("train: 2 images were repaired",))
    assert {split.official for split in entry.splits} == {None}
    assert {tuple(row.official) for row in entry.classes} == {()}
    assert entry.warnings == ()


def test_what_a_reader_must_know_is_a_warning(copy: Path) -> None:
    shards = sorted(copy.glob("*-train.tfrecord-*"))
    for shard in shards[:2]:
        shard.unlink()
    document = json.loads((copy / "provenance.json").read_text())
    document["max_examples_per_split"] = 3
    (copy / "provenance.json").write_text(json.dumps(document))
    said = " / ".join(entry_of(copy, being_built=True).warnings)
    assert f"train: 2 shards are missing, such as {shards[0].name}" in said
    assert "it was built with max_examples_per_split=3" in said
    assert "another build of it is under way" in said


def test_a_dataset_without_splits(copy: Path) -> None:
    info = json.loads((copy / "dataset_info.json").read_text())
    del info["splits"]
    (copy / "dataset_info.json").write_text(json.dumps(info))
    entry = entry_of(copy)
    assert entry.snippets == ()
    assert "the metadata name no split, so there is nothing to read" in entry.warnings


def test_terms_have_the_first_address_in_them() -> None:
    terms = entry_lib.terms_of("Agree first (https://example.org/terms). See http://b.example.\n")
    assert terms is not None
    assert terms.url == "https://example.org/terms"
    assert entry_lib.terms_of(" \n") is None


def test_releases_are_sorted_as_versions(copy: Path) -> None:
    info = json.loads((copy / "dataset_info.json").read_text())
    notes = {"2.0.0": "b", "10.0.0": "c", "1.0.0": "a"}
    (copy / "dataset_info.json").write_text(json.dumps(info | {"releaseNotes": notes}))
    assert entry_of(copy).release_notes == (("10.0.0", "c"), ("2.0.0", "b"), ("1.0.0", "a"))


def test_the_identity_changes_with_any_file(copy: Path) -> None:
    before = entry_lib.read(copy, False).identity
    assert entry_lib.read(copy, True).identity == before
    (copy / "dali_index" / "extra").write_text("")
    assert entry_lib.read(copy, False).identity != before
