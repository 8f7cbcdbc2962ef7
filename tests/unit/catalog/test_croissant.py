"""`mlcroissant` takes a dataset's document without a word, and reads the records it can read."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlcroissant  # type: ignore[import-untyped]
import pytest

from imagenet_builders.catalog import croissant, export_entry
from imagenet_builders.catalog.croissant import Files
from imagenet_builders.catalog.listing import sha256_of
from imagenet_builders.catalog.model import Entry


def written(directory: Path, entry: Entry, files: Files) -> Path:
    """The document of a dataset beside the table of its classes, as in a site."""
    table = directory / croissant.CLASSES
    table.write_bytes(croissant.classes_csv(entry))
    document = croissant.document(entry, files, sha256_of(table))
    path = directory / croissant.DOCUMENT
    path.write_bytes(croissant.text_of(document))
    return path


def validated(path: Path, caplog: pytest.LogCaptureFixture) -> mlcroissant.Dataset:
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(path)
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert [each.message for each in caplog.records if "JSON-LD" in each.message] == []
    return dataset


def read(dataset: mlcroissant.Dataset, records: str) -> list[dict[str, Any]]:
    return [
        {name.rpartition("/")[2]: value for name, value in record.items()}
        for record in dataset.records(records)
    ]


def test_a_built_dataset(
    described: tuple[Entry, Files], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry, files = described
    dataset = validated(written(tmp_path, entry, files), caplog)
    metadata = dataset.metadata
    assert metadata.version == "5.1.0"
    assert metadata.license == ["https://image-net.org/download.php"]
    assert metadata.cite_as == entry.citation
    assert "1.1" in str(metadata.ctx.conforms_to.value)
    classes = read(dataset, "classes")
    assert len(classes) == 1000
    assert classes[0] == {"label": 0, "name": b"n01440764", "words": b"tench, Tinca tinca"}
    splits = {record["name"]: record["examples"] for record in read(dataset, "splits")}
    assert splits == {"train": 24, "validation": 12, "test": 6}
    fields = {field.id for each in metadata.record_sets for field in each.fields}
    assert {"train_shards_records/image", "train_shards_records/label"} <= fields


@pytest.mark.skipif(
    tuple(map(int, version("mlcroissant").split(".")[:2])) < (1, 1),
    reason="mlcroissant reads files that are in no archive from 1.1 on",
)
def test_the_images_of_class_folders_are_read(
    exported: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry, files = export_entry.entry_of(export_entry.read(exported("imagefolder")), "x", None)
    dataset = validated(written(tmp_path, entry, files), caplog)
    train = read(dataset, "train_images_records")
    assert len(train) == 24
    for record in train:
        assert record["file_name"].startswith(record["class"])
        assert record["image"].size[0] > 0
    assert len(read(dataset, "test_images_records")) == 6


@pytest.mark.parametrize("form", ["webdataset", "slim", "dali-index", "huggingface --parquet"])
def test_other_exports_are_described(
    form: str, exported: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry, files = export_entry.entry_of(export_entry.read(exported(form)), "x", None)
    dataset = validated(written(tmp_path, entry, files), caplog)
    assert len(read(dataset, "splits")) == 3


def test_patterns_match_the_files_of_a_split(described: tuple[Entry, Files], built: Path) -> None:
    _, files = described
    for each in files.sets:
        [pattern] = each.includes
        assert len(list(built.glob(pattern))) == 3


def test_the_table_of_classes(described: tuple[Entry, Files]) -> None:
    entry, _ = described
    rows = list(csv.DictReader(io.StringIO(croissant.classes_csv(entry).decode())))
    assert rows[0]["id_in_devkit"] == str(entry.classes[0].ids["devkit"])
    assert [row["name"] for row in rows] == [row.wnid for row in entry.classes]


def test_what_is_embedded_is_the_same_and_ends_no_script(described: tuple[Entry, Files]) -> None:
    entry, files = described
    document = croissant.document(entry, files, None) | {"name": "</script><!--\u2028"}
    text = croissant.embedded(document)
    assert json.loads(text) == document
    assert not {*"<>&\u2028"} & {*text}
