"""The form `slim`: what MLPerf's reader finds in it, its boxes, and what is built from it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support import built_datasets
from support.building import DUMMY_ARCHIVES, build

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.datasets.imagenet2012_localization import (
    imagenet2012_localization_dataset_builder as localization,
)
from imagenet_builders.datasets.tiny_imagenet import tiny_imagenet_dataset_builder as tiny
from imagenet_builders.errors import SourceError
from imagenet_builders.export.form import Part, Subject
from imagenet_builders.export.run import export
from imagenet_builders.export.slim import FORM, parts, write
from imagenet_builders.export.source import BuiltSource
from imagenet_builders.options import BuildOptions

WNIDS = labels.wnids("imagenet2012")
DUMMY = DUMMY_ARCHIVES.parent

# As MLPerf's reader asks for them: `parse_example_proto` in its imagenet_preprocessing.py.
MLPERF = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string, default_value=""),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64, default_value=-1),
    "image/class/text": tf.io.FixedLenFeature([], tf.string, default_value=""),
    "image/object/bbox/xmin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/xmax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymax": tf.io.VarLenFeature(tf.float32),
}
SIDES = ("ymin", "xmin", "ymax", "xmax")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(Builder, DUMMY_ARCHIVES, tmp_path_factory.mktemp("tfds"))


def exported(built: Path, out: Path) -> Path:
    export(BuiltSource(str(built), built.parents[1]), FORM, out, BuildOptions(workers=1))
    return out


@pytest.fixture(scope="module")
def slim(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(built, tmp_path_factory.mktemp("out") / "slim")


def shards(directory: Path, split: str) -> list[Path]:
    return sorted(directory.glob(f"{split}-?????-of-?????"))


def records(directory: Path, split: str) -> list[bytes]:
    return [record for path in shards(directory, split) for record in built_datasets.records(path)]


def test_there_are_as_many_shards_as_mlperfs_reader_asks_for(slim: Path) -> None:
    assert (parts("train", 1_281_167), parts("validation", 50_000)) == (1024, 128)
    assert (parts("test", 100_000),) == (128,)
    assert [path.name for path in shards(slim, "train")][:2] == [  # One for each image, here.
        "train-00000-of-00024",
        "train-00001-of-00024",
    ]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_mlperfs_reader_finds_images_and_labels_in_order(
    built: Path, slim: Path, split: str
) -> None:
    found = []
    for record in records(slim, split):
        features = tf.io.parse_single_example(record, MLPERF)
        label = int(features["image/class/label"]) - 1
        assert features["image/class/text"].numpy().decode() == labels.words(WNIDS[label])
        assert len(features["image/object/bbox/xmin"].values) == 0
        found.append((label, features["image/encoded"].numpy()))
    assert found == [each[1:] for each in built_datasets.split_content(built, split)]


def text(value: str | bytes) -> tf.train.Feature:
    value = value.encode() if isinstance(value, str) else value
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def ints(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats() -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[]))


def test_records_are_what_tensorflow_makes_of_slims_features(built: Path, slim: Path) -> None:
    examples = built_datasets.split_content(built, "train")
    found = records(slim, "train")
    for (name, label, image), record in zip(examples, found, strict=True):
        with Image.open(io.BytesIO(image)) as picture:
            width, height = picture.size
        expected = tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image/height": ints(height),
                    "image/width": ints(width),
                    "image/colorspace": text("RGB"),
                    "image/channels": ints(3),
                    "image/class/label": ints(label + 1),
                    "image/class/synset": text(WNIDS[label]),
                    "image/class/text": text(labels.words(WNIDS[label])),
                    **{f"image/object/bbox/{side}": floats() for side in SIDES},
                    "image/object/bbox/label": ints(),
                    "image/format": text("JPEG"),
                    "image/filename": text(name),
                    "image/encoded": text(image),
                }
            )
        )
        assert record == expected.SerializeToString(deterministic=True)
        assert len(expected.features.feature) == 15


def test_images_without_a_label_are_background(slim: Path) -> None:
    for record in records(slim, "test"):
        feature = built_datasets.example(record).features.feature
        assert feature["image/class/label"].int64_list.value == [0]
        assert feature["image/class/synset"].bytes_list.value == [b""]
        assert feature["image/class/text"].bytes_list.value == [b""]


def test_the_index_is_by_the_rule_of_tfrecord2idx(slim: Path) -> None:
    for path in (path for split in ("train", "test") for path in shards(slim, split)):
        at, lines = 0, []
        for record in built_datasets.records(path):
            lines.append(f"{at} {len(record) + 16}\n")
            at += len(record) + 16
        assert (slim / "dali_index" / f"{path.name}.idx").read_text() == "".join(lines)
        assert at == path.stat().st_size


def test_a_build_from_the_records_has_the_same_shards(
    built: Path, slim: Path, tmp_path: Path
) -> None:
    again = build(Builder, slim, tmp_path / "tfds")
    made = built_datasets.shards(again)
    assert [path.name for path in made] == [
        f"imagenet2012-{split}.tfrecord-00000-of-00001" for split in ("train", "validation")
    ]
    for path in made:
        assert path.read_bytes() == (built / path.name).read_bytes()


def test_boxes_are_those_of_the_dataset_and_are_built_from(tmp_path: Path) -> None:
    manual_dir = DUMMY / "imagenet2012_localization"
    built = build(localization.Builder, manual_dir, tmp_path / "tfds")
    slim = exported(built, tmp_path / "slim")
    boxes = 0
    for split in ("train", "validation"):
        [shard] = built_datasets.shards(built, split)
        pairs = zip(built_datasets.records(shard), records(slim, split), strict=True)
        for ours, theirs in pairs:
            features = built_datasets.example(ours).features.feature
            corners = np.array(features["objects/bbox"].float_list.value, np.float32)
            parsed = tf.io.parse_single_example(theirs, MLPERF)
            found = [parsed[f"image/object/bbox/{side}"].values.numpy() for side in SIDES]
            np.testing.assert_array_equal(np.stack(found, 1), corners.reshape(-1, 4))
            said = built_datasets.example(theirs).features.feature["image/object/bbox/label"]
            expected = [each + 1 for each in features["objects/label"].int64_list.value]
            assert list(said.int64_list.value) == expected
            again = built_datasets.example(theirs).SerializeToString(deterministic=True)
            assert theirs == again
            boxes += len(expected)
    assert boxes > 10
    built_again = build(localization.Builder, slim, tmp_path / "again")
    [path] = built_datasets.shards(built_again, "train")
    assert path.read_bytes() == (built / path.name).read_bytes()


def test_the_one_box_of_tiny_imagenet(tmp_path: Path) -> None:
    built = build(tiny.Builder, DUMMY / "tiny_imagenet", tmp_path / "tfds")
    slim = exported(built, tmp_path / "slim")
    for split in ("train", "test"):
        [shard] = built_datasets.shards(built, split)
        pairs = zip(built_datasets.records(shard), records(slim, split), strict=True)
        for ours, theirs in pairs:
            box = built_datasets.example(ours).features.feature["bbox"].float_list.value
            parsed = tf.io.parse_single_example(theirs, MLPERF)
            found = [list(parsed[f"image/object/bbox/{side}"].values.numpy()) for side in SIDES]
            assert found == ([[side] for side in box] if split == "train" else [[]] * 4)


def test_classes_without_words_and_png_images(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "png")
    subject = Subject("x", None, "1.0.0", "x", "file_name", ("n00000001",), ("train",))
    example: dict[str, Any] = {"image": buffer.getvalue(), "label": 0, "file_name": "a.png"}
    written = write(subject, Part("train", 0, 1), tmp_path, [example])
    assert [file.name for file in written.files] == [
        "train-00000-of-00001",
        "dali_index/train-00000-of-00001.idx",
    ]
    [record] = built_datasets.records(tmp_path / "train-00000-of-00001")
    feature = built_datasets.example(record).features.feature
    assert feature["image/class/text"].bytes_list.value == [b""]
    assert feature["image/format"].bytes_list.value == [b"PNG"]
    with pytest.raises(SourceError, match=r"x/1\.0\.0: expected labels from -1 to 0, found 1"):
        write(subject, Part("train", 0, 1), tmp_path, [example | {"label": 1}])
