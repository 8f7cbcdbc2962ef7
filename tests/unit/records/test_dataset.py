"""What a built dataset says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES, build

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.datasets.imagenet2012_downsampled import (
    imagenet2012_downsampled_dataset_builder as downsampled,
)
from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.records.dataset import BuiltDataset


@pytest.fixture
def built(tmp_path: Path) -> Path:
    return build(Builder, DUMMY_ARCHIVES, tmp_path)


def test_it_is_read_from_its_own_files(built: Path) -> None:
    found = BuiltDataset.at(built)
    assert (found.name, found.config, found.version) == ("imagenet2012", None, "5.1.0")
    assert found.full_name == "imagenet2012/5.1.0"
    assert found.lengths == {"train": (24,), "validation": (12,), "test": (6,)}
    assert found.output.name == "tfrecord"
    assert [leaf.path for leaf in found.features] == ["file_name", "image", "label"]
    assert all(found.shard(split, 0).is_file() for split in found.lengths)
    assert found.label_names() == labels.wnids("imagenet2012")


def test_a_configuration_is_in_its_name(tmp_path: Path) -> None:
    manual_dir = DUMMY_ARCHIVES.parent / "imagenet2012_downsampled"
    options = {"config": "8x8"}
    directory = build(downsampled.Builder, manual_dir, tmp_path, builder_options=options)
    assert BuiltDataset.at(directory).full_name == "imagenet2012_downsampled/8x8/1.0.0"


def test_classes_may_have_no_names(built: Path) -> None:
    (built / "label.labels.txt").unlink()
    assert BuiltDataset.at(built).label_names() == ()


def test_what_is_no_dataset_is_said(built: Path) -> None:
    with pytest.raises(StagingError, match=r"there is no dataset in .*: it has no dataset_info"):
        BuiltDataset.at(built.parent)
    info = built / "dataset_info.json"
    said = json.loads(info.read_text())
    for change, words in (
        ({"fileFormat": "riegeli"}, "its shards are riegeli, which cannot be read in any order"),
        ({"splits": 3}, "cannot be read without TensorFlow Datasets"),
        ({"version": None, "name": None}, "cannot be read without TensorFlow Datasets"),
        ({"name": "../x"}, r"its name is '\.\./x', which is no name"),
        ({"configName": "/tmp/x"}, "its configName is '/tmp/x', which is no name"),
        ({"splits": [{"name": "../train", "shardLengths": ["1"]}]}, r"'\.\./train', which is no"),
    ):
        info.write_text(json.dumps(said | change))
        with pytest.raises(SourceError, match=words):
            BuiltDataset.at(built)
    info.write_text("{}")
    with pytest.raises(SourceError, match="without TensorFlow Datasets: it has no name; see"):
        BuiltDataset.at(built)
    info.write_text("[]")
    with pytest.raises(SourceError, match=r"is damaged: it is no JSON object"):
        BuiltDataset.at(built)
