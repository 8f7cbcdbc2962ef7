"""The form `dali-index`: the lines of `tfrecord2idx`, of what stock TensorFlow Datasets built."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES, build
from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder as stock_builder

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.errors import OptionError, SourceError
from imagenet_builders.export.dali_index import FORM
from imagenet_builders.export.run import export
from imagenet_builders.export.source import BuiltSource, StagedSource
from imagenet_builders.options import BuildOptions

OPTIONS = BuildOptions(workers=1)


def lines(shard: Path) -> str:
    """As DALI's tools/tfrecord2idx makes them: it reads a length, and skips so many bytes."""
    made, at = [], 0
    with open(shard, "rb") as file:
        while head := file.read(8):
            size = int.from_bytes(head, "little") + 16
            made.append(f"{at} {size}\n")
            at += size
            file.seek(at)
    return "".join(made)


def test_it_is_the_index_of_tfrecord2idx_and_of_a_build(tmp_path: Path) -> None:
    built = build(Builder, DUMMY_ARCHIVES, tmp_path / "tfds", num_shards=3)
    export(BuiltSource("imagenet2012", tmp_path / "tfds"), FORM, tmp_path / "out", OPTIONS)
    found = {path.name: path.read_text() for path in (tmp_path / "out").glob("*.idx")}
    shards = sorted(built.glob("*-of-00003"))
    assert found == {f"{path.name}.idx": lines(path) for path in shards}
    assert len(found) == 9
    assert found == {path.name: path.read_text() for path in (built / "dali_index").iterdir()}


def test_a_dataset_of_stock_tfds_gets_one(tmp_path: Path) -> None:
    built = build(stock_builder.Builder, DUMMY_ARCHIVES, tmp_path / "tfds")
    assert not (built / "provenance.json").exists()
    export(BuiltSource("imagenet2012", tmp_path / "tfds"), FORM, tmp_path / "out", OPTIONS)
    shards = sorted(built.glob("*.tfrecord-*"))
    assert len(shards) == 2
    for shard in shards:
        assert (tmp_path / "out" / f"{shard.name}.idx").read_text() == lines(shard)


def test_it_is_of_tfrecords_as_they_are(tmp_path: Path) -> None:
    build(Builder, DUMMY_ARCHIVES, tmp_path / "tfds", file_format="array_record")
    source = BuiltSource("imagenet2012", tmp_path / "tfds")
    with pytest.raises(SourceError, match=r"has shards in the format array_record, whose"):
        export(source, FORM, tmp_path / "out", OPTIONS)
    with pytest.raises(OptionError, match=r"keeps to the shards that are there; leave out --num"):
        export(source, FORM, tmp_path / "out", OPTIONS, num_shards=3)
    with pytest.raises(OptionError, match=r"is for a dataset that was built; give --data-dir"):
        export(StagedSource("imagenet2012", DUMMY_ARCHIVES), FORM, tmp_path / "out", OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["tfds"]
