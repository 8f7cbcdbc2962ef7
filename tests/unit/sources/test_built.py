"""Datasets of ILSVRC2012 that were built, as a source: what is read of them, what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagenet_builders.errors import SourceError
from imagenet_builders.formats.tfrecord.example import serialize
from imagenet_builders.formats.tfrecord.frame import frame
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources.built import KIND, index_shards, shard_sets
from imagenet_builders.sources.kind import Expected
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import SourceFile

IMAGES: list[dict[str, Any]] = [
    {"file_name": "n01440764_18.JPEG", "image": b"\xff\xd8 first \xff\xd9", "label": 0},
    {"file_name": "n15075141_2.JPEG", "image": b"\xff\xd8" + bytes(9000), "label": 999},
    {"file_name": "n01440764_7.JPEG", "image": b"\xff\xd8 third \xff\xd9", "label": 0},
]
TEST: dict[str, Any] = {
    "file_name": "ILSVRC2012_test_00000001.JPEG",
    "image": b"\xff\xd8\xff\xd9",
    "label": -1,
}


def framed(record: bytes) -> bytes:
    before, after, _ = frame([record])
    return before + record + after


def name_of(shard: int, split: str = "train") -> str:
    return f"imagenet2012-{split}.tfrecord-{shard:05}-of-00002"


def write(directory: Path, *examples: dict[str, Any], split: str = "train") -> Path:
    """A dataset of two shards."""
    records = [framed(b"".join(serialize(each))) for each in examples]
    for shard in range(2):
        (directory / name_of(shard, split)).write_bytes(b"".join(records[shard::2]))
    lengths = [str(len(records[shard::2])) for shard in range(2)]
    info = {"splits": [{"name": split, "shardLengths": lengths}]}
    (directory / "dataset_info.json").write_text(json.dumps(info))
    return directory


def read(directory: Path, split: str = "train") -> dict[str, tuple[int, bytes]]:
    """Key to label and bytes of each image."""
    names = shard_sets(os.listdir(directory))[split].names
    files = [SourceFile.of(directory / name) for name in names]
    with LocalWorkers(1) as workers:
        table = index_shards(split, files, workers)
    with Reader(files, KIND.access) as reader:
        return {image.key: (image.label, image.data) for image in reader.images(table)}


def test_rows_are_the_images_in_their_records(tmp_path: Path) -> None:
    found = read(write(tmp_path, *IMAGES))
    assert list(found) == ["n01440764_18.JPEG", "n01440764_7.JPEG", "n15075141_2.JPEG"]
    assert found == {each["file_name"]: (each["label"], each["image"]) for each in IMAGES}


def test_an_image_of_the_test_split_has_no_label(tmp_path: Path) -> None:
    other = {**TEST, "file_name": "ILSVRC2012_test_00000002.JPEG"}
    found = read(write(tmp_path, TEST, other, split="test"), "test")
    assert found["ILSVRC2012_test_00000001.JPEG"] == (-1, TEST["image"])


def test_features_may_be_in_any_order(tmp_path: Path) -> None:
    """As protobuf writes a map, for stock TensorFlow Datasets."""
    write(tmp_path, *IMAGES[:2])
    backwards = sorted(IMAGES[0], reverse=True)
    parts = [b"".join(serialize({name: IMAGES[0][name]})) for name in backwards]
    inner = b"".join(part[2:] if part[1] < 128 else part[3:] for part in parts)
    (tmp_path / name_of(0)).write_bytes(framed(b"\x0a" + bytes([len(inner)]) + inner))
    assert read(tmp_path)["n01440764_18.JPEG"] == (0, IMAGES[0]["image"])


def test_a_flipped_byte_anywhere_is_found(tmp_path: Path) -> None:
    write(tmp_path, *IMAGES)
    shard = tmp_path / name_of(0)
    content = shard.read_bytes()
    for place in range(len(content)):
        shard.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(SourceError, match=r"00000-of-00002"):
            read(tmp_path)


def test_a_shard_that_was_cut_off_anywhere_is_found(tmp_path: Path) -> None:
    write(tmp_path, *IMAGES)
    shard = tmp_path / name_of(0)
    content = shard.read_bytes()
    for size in range(len(content)):
        shard.write_bytes(content[:size])
        with pytest.raises(SourceError, match=r"00000-of-00002"):
            read(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": 1}, "expected the label 0, that of the name n01440764_18.JPEG, found 1"),
        ({"file_name": "../18.JPEG"}, "expected the name of an image, found '../18.JPEG'"),
        ({"file_name": "n99999999_1.JPEG"}, "expected the name of an image"),
        ({"image": 3}, "'image' cannot be read"),
    ],
)
def test_what_is_no_image_with_its_label_is_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write(tmp_path, {**IMAGES[0], **change}, IMAGES[1])
    with pytest.raises(SourceError, match=said) as raised:
        read(tmp_path)
    assert "this is how it was written" in str(raised.value)


@pytest.mark.parametrize("feature", ["file_name", "image", "label"])
def test_every_feature_is_needed(feature: str, tmp_path: Path) -> None:
    less = {name: value for name, value in IMAGES[0].items() if name != feature}
    write(tmp_path, less, IMAGES[1])
    with pytest.raises(SourceError, match=f"expected the feature '{feature}', found none"):
        read(tmp_path)


def lengths(*values: Any) -> Callable[[Path], object]:
    info = {"splits": [{"name": "train", "shardLengths": list(values)}]}
    return lambda path: path.write_text(json.dumps(info))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "No such file.* build from the whole directory of a dataset"),
        (fifo, "cannot be read"),
        (lambda path: path.write_text("{}"), "does not say how many records"),
        (lambda path: path.write_text("[" * 100_000), "does not say how many records"),
        (lengths("many", "1"), "does not say how many records"),
        (lengths(float("inf"), "1"), "does not say how many records"),
        (lengths("3", "1"), "expected 3 records, as dataset_info.json says, found 2"),
        (lengths("2", "1", "1"), "expected 3 shards of train, as dataset_info.json says, found 2"),
    ],
)
def test_the_dataset_must_say_how_many_records_there_are(
    change: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    change(write(tmp_path, *IMAGES) / "dataset_info.json")
    with pytest.raises(SourceError, match=said):
        read(tmp_path)


def test_a_shard_of_which_all_images_were_left_out_has_no_records(tmp_path: Path) -> None:
    assert list(read(write(tmp_path, IMAGES[0]))) == ["n01440764_18.JPEG"]


def test_a_dataset_without_its_description_is_told_before_it_is_indexed(tmp_path: Path) -> None:
    (write(tmp_path, *IMAGES) / "dataset_info.json").unlink()
    paths = tuple(tmp_path / name_of(shard) for shard in range(2))
    found = Found("train", "built", "as built", paths, "images", "", "")
    assert KIND.images is not None
    means: Any = None  # Nothing is indexed.
    with pytest.raises(SourceError, match=r"info\.json cannot be read: .* whole directory"):
        KIND.images(found, Naming("train"), means, strict=False)


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    (write(tmp_path, *IMAGES) / name_of(1)).unlink()
    with pytest.raises(SourceError, match=rf"{name_of(1)} is missing"):
        read(tmp_path)


def test_check_counts_what_the_dataset_says_and_reads_the_first_record(tmp_path: Path) -> None:
    write(tmp_path, *IMAGES)
    paths = tuple(tmp_path / name_of(shard) for shard in range(2))
    found = Found("train", "built", "as built", paths, "images", "", "")
    expected = Expected(3, naming=Naming("train"))
    counted, problems = KIND.count(found, {}, expected)
    assert (counted.images, problems) == (3, [])
    _, [problem] = KIND.count(found, {}, Expected(1_281_167))
    assert (problem.expected, problem.found) == ("1,281,167 images of train", "3")
    write(tmp_path, {**IMAGES[0], "label": 5}, *IMAGES[1:])
    _, [problem] = KIND.count(found, {}, expected)
    assert "expected the label 0, that of the name" in problem.found
