"""What verification says of single examples and of numbers of images."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from imagenet_builders import datasets, labels
from imagenet_builders.formats.tfrecord.example import parse, serialize
from imagenet_builders.verify.conclusion import count_problems
from imagenet_builders.verify.example import check_features, check_image, check_key
from imagenet_builders.verify.metadata import Field

OBJECTS = (
    Field("objects/bbox", "bbox", "objects"),
    Field("objects/label", "label", "objects", classes=1000),
)
TINY = (Field("bbox", "bbox"),)


def found(fields: tuple[Field, ...], dataset: str, split: str, **values: Any) -> list[str]:
    named = {name.replace("__", "/"): value for name, value in values.items()}
    features = parse(b"".join(serialize(named)))
    return [
        finding.what for finding in check_features(features, fields, datasets.get(dataset), split)
    ]


def boxes(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


@pytest.mark.parametrize(
    ("bbox", "label", "problem"),
    [
        (boxes(0, 0, 1, 1), [3], None),
        (boxes(), [], None),
        (boxes(0, 0, 1, 1), [3, 4], "objects/label and objects/bbox have different lengths"),
        (boxes(0, 0, 1, 1, 0.5), [3], "objects/bbox has another number of values"),
        (boxes(0.5, 0, 0.5, 1), [3], "objects/bbox is not a box"),
        (boxes(0, 0.7, 1, 0.2), [3], "objects/bbox is not a box"),
        (boxes(0, 0, 1.01, 1), [3], "objects/bbox is not a box"),
        (boxes(0, 0, np.nan, 1), [3], "objects/bbox is not a box"),
        (boxes(0, 0, 1, 1), [-1], "objects/label is not a label"),
    ],
)
def test_objects_are_boxes_with_a_label_each(
    bbox: np.ndarray, label: list[int], problem: str | None
):
    values = {"objects__bbox": bbox, "objects__label": np.array(label, np.int64)}
    said = found(OBJECTS, "imagenet2012_localization", "train", **values)
    assert said == ([] if problem is None else [problem])


@pytest.mark.parametrize(
    ("split", "bbox", "right"),
    [
        ("train", boxes(0.5, 0, 0.5, 1), True),
        ("train", boxes(0.6, 0, 0.5, 1), False),
        ("test", boxes(0, 0, 0, 0), True),
        ("test", boxes(0, 0, 1, 1), False),
    ],
)
def test_boxes_of_tiny_imagenet_may_be_flat_and_those_of_test_are_zeros(
    split: str, bbox: np.ndarray, right: bool
):
    assert (found(TINY, "tiny_imagenet", split, bbox=bbox) == []) is right


@pytest.mark.parametrize(
    ("dataset", "split", "key", "label", "problem"),
    [
        ("imagenet2012", "train", b"n01440764_1.JPEG", 0, None),
        ("imagenet2012", "train", b"n01440764_1.JPEG", 1, "the label does not agree"),
        ("imagenet2012", "train", b"ILSVRC2012_val_00000001.JPEG", 65, "not one of this split"),
        ("imagenet2012", "validation", b"ILSVRC2012_val_00000001.JPEG", 65, None),
        ("imagenet2012", "validation", b"ILSVRC2012_val_00050001.JPEG", 65, "not one of this"),
        ("imagenet2012", "test", b"test/ILSVRC2012_test_00000001.JPEG", -1, None),
        ("imagenet2012", "train", b"\xff", 0, "file_name is not UTF-8"),
        ("imagenet2012_downsampled", "train", b"train_data_batch_10/000123", 7, None),
        ("imagenet2012_downsampled", "train", b"train_data_batch_11/000123", 7, "not one of this"),
        ("imagenet2012_downsampled", "train", b"val_data/000123", 7, "not one of this split"),
        ("tiny_imagenet", "validation", b"val_17.JPEG", 199, None),
        ("tiny_imagenet", "validation", b"val_17.JPEG", -1, "has no label"),
        ("tiny_imagenet", "test", b"test_17.JPEG", 0, "the label does not agree"),
    ],
)
def test_labels_agree_with_keys(
    dataset: str, split: str, key: bytes, label: int, problem: str | None
):
    about = datasets.get(dataset)
    ids = {wnid: number for number, wnid in enumerate(about.configs[0].classes())}
    findings = list(check_key(key, label, about.key, about.label_of(split, ids)))
    assert len(findings) == (problem is not None)
    assert problem is None or problem in findings[0].what


def test_an_image_of_a_size_that_takes_too_much_memory_is_not_decoded():
    head = bytes.fromhex("ffd8ffdb004300") + bytes([1]) * 64
    frame = bytes.fromhex("ffc0000b08c350c35001011100")  # 50,000 x 50,000, grey
    table = bytes.fromhex("ffc4001400010000000000000000000000000000000000")
    scan = bytes.fromhex("ffda0008010100003f00") + b"\x00" * 8 + b"\xff\xd9"
    [finding] = check_image(head + frame + table + scan, Field("image", "image"), decode=True)
    assert finding.what == "the image is damaged"
    assert finding.found == "a JPEG of 50000 x 50000 pixels, more than TensorFlow decodes"


def official_train() -> Counter[int]:
    return Counter(dict(enumerate(labels.train_counts().values())))


def counted(counts: Counter[int], skipped: int = 0) -> list[str]:
    train = datasets.get("imagenet2012").configs[0].splits[0]
    assert train.images is not None
    per_label = train.counts(1000)
    return list(count_problems("train", counts.total(), counts, train.images, per_label, skipped))


def test_official_counts_pass_and_those_of_a_part_too():
    assert counted(official_train()) == []
    assert counted(Counter({0: 1300, 5: 3})) == []


def test_one_missing_image_of_the_official_number_is_found():
    counts = official_train()
    counts[3] -= 1
    assert counted(counts) == [
        "train has 1,281,166 of the official 1,281,167 images, almost but not quite all",
        "train has 1,299 images of label 3 instead of the official 1,300",
    ]
    assert counted(counts, skipped=1) == []


def test_images_that_moved_to_another_class_are_found():
    counts = official_train()
    counts[3] -= 1
    counts[4] += 1
    assert [line.rpartition(" instead")[0] for line in counted(counts)] == [
        "train has 1,299 images of label 3",
        "train has 1,301 images of label 4",
    ]
