"""Records of a built dataset as rows: their order, their bytes, and what is said of damage."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

import pytest
from support import built_datasets
from support.building import DUMMY_ARCHIVES, build

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.datasets.imagenet2012_localization import (
    imagenet2012_localization_dataset_builder as localization,
)
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.records import rows
from imagenet_builders.records.dataset import BuiltDataset
from imagenet_builders.run.local import LocalWorkers

FORMATS = ("tfrecord", "array_record")


@pytest.fixture(scope="module", params=FORMATS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    return build(Builder, DUMMY_ARCHIVES, root, file_format=request.param, num_shards=3)


def index(directory: Path, split: str = "train") -> Index:
    with LocalWorkers(1) as workers:
        return rows.index_split(BuiltDataset.at(directory), split, workers)


def examples(directory: Path, split: str = "train", start: int = 0) -> list[tuple[str, dict]]:
    found = index(directory, split)
    make = functools.partial(rows.make_examples, BuiltDataset.at(directory).features)
    with found.reader() as reader:
        made = make(found.table.slice(start), reader, ImagePolicy(), [])
        return [(key, dict(example)) for key, example in made]


def copied(built: Path, to: Path) -> Path:
    shutil.copytree(built.parents[1], to)
    return to / "imagenet2012" / "5.1.0"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_rows_are_the_records_in_their_order(built: Path, split: str) -> None:
    expected = built_datasets.split_content(built, split)
    made = examples(built, split)
    assert [key for key, _ in made] == [str(number) for number in range(len(expected))]
    found = [(each["file_name"].decode(), each["label"], each["image"]) for _, each in made]
    assert found == expected
    assert examples(built, split, start=2) == made[2:]


def test_rows_say_how_large_records_are(built: Path) -> None:
    found = index(built)
    shards = built_datasets.shards(built, "train")
    sizes = [len(record) for path in shards for record in built_datasets.records(path)]
    if "tfrecord" in built_datasets.shards(built)[0].name:
        assert found.table["size"].to_pylist() == sizes
    else:  # About: what is in the file besides is shared among the records.
        files = sum(path.stat().st_size for path in shards)
        assert sum(sizes) < sum(found.table["size"].to_pylist()) <= files
    assert set(found.table["label"].to_pylist()) == {-1}
    assert len(found.files) == 3


def test_several_workers_find_the_same(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = index(built)
    monkeypatch.setattr(rows, "_BATCH_RECORDS", 1)
    with LocalWorkers(2) as workers:
        found = rows.index_split(BuiltDataset.at(built), "train", workers)
    assert found.table.equals(expected.table)
    assert found.files == expected.files


def test_a_plan_keeps_the_order(built: Path) -> None:
    plan = rows.plan_in_order("train", index(built), 5)
    assert plan.ends == (5, 10, 14, 19, 24)
    assert plan.rows["key"].to_pylist() == [str(number) for number in range(24)]
    with pytest.raises(SourceError, match="24 examples cannot be cut into 25 shards"):
        rows.plan_in_order("train", index(built), 25)


def test_places_are_told_without_reading(built: Path, tmp_path: Path) -> None:
    directory = copied(built, tmp_path / "copy")
    found = rows.as_places(index(directory), 20)
    for path in built_datasets.shards(directory):
        path.unlink()
    with found.reader() as reader:
        assert not len(reader.ranges(found.table))
        made = [each for _, each in rows.places(found.table, reader, ImagePolicy(), [])]
    assert len(made) == 24
    assert set(found.table["size"].to_pylist()) == {20}
    assert made[-1]["shard"] == built_datasets.shards(built, "train")[-1].name


def test_nested_features_are_read(tmp_path: Path) -> None:
    manual_dir = DUMMY_ARCHIVES.parent / "imagenet2012_localization"
    directory = build(localization.Builder, manual_dir, tmp_path / "tfds")
    [shard] = built_datasets.shards(directory, "train")
    for (_, made), record in zip(examples(directory), built_datasets.records(shard), strict=True):
        features = built_datasets.example(record).features.feature
        assert made["objects/bbox"].ravel().tolist() == list(
            features["objects/bbox"].float_list.value
        )
        assert made["objects/label"].tolist() == list(features["objects/label"].int64_list.value)


def test_a_damaged_record_is_named(built: Path, tmp_path: Path) -> None:
    directory = copied(built, tmp_path / "copy")
    shard = built_datasets.shards(directory, "train")[1]
    data = bytearray(shard.read_bytes())
    data[len(data) * 3 // 10] ^= 1  # What is behind the records of an ArrayRecord is of no use.
    shard.write_bytes(data)
    with pytest.raises(SourceError, match=r"train.*-00001-of-00003.*`imagenet-builders verify`"):
        examples(directory)


def test_a_record_that_is_no_example_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    built = build(Builder, DUMMY_ARCHIVES, tmp_path / "tfds")
    shard = built_datasets.shards(built, "test")[0]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for _ in range(6):
            writer.write(b"no example")
    with pytest.raises(ArchiveError, match=r"member 'record 0', at byte 12: .*is no example"):
        examples(built, "test")


def test_a_missing_and_a_shorter_shard_are_named(built: Path, tmp_path: Path) -> None:
    directory = copied(built, tmp_path / "copy")
    first, second, _ = built_datasets.shards(directory, "train")
    second.write_bytes(first.read_bytes())
    if "tfrecord" in second.name:
        cut = built_datasets.records(first)[:-1]
        second.write_bytes(first.read_bytes()[: -(len(built_datasets.records(first)[-1]) + 16)])
        with pytest.raises(SourceError, match=r"00001-of-00003 cannot be read: it has 7 records"):
            index(directory)
        assert len(cut) == 7
    second.unlink()
    with pytest.raises(SourceError, match=r"00001-of-00003 cannot be read: No such file .*verify"):
        index(directory)
    os.mkfifo(second)
    with pytest.raises(SourceError, match=r"00001-of-00003 cannot be read: it is a FIFO.*verify"):
        index(directory)
