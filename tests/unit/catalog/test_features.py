"""Features are printed as TensorFlow Datasets prints them; images are found among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from imagenet_builders.catalog.features import ImageFeatures, image_features, printed

FEATURES = {
    "imagenet": {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(num_classes=1000),
        "file_name": tfds.features.Text(),
    },
    "downsampled": {
        "image": tfds.features.Image(shape=(8, 8, 3), encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    },
    "boxes": {
        "objects": tfds.features.Sequence(
            {"bbox": tfds.features.BBoxFeature(), "label": tfds.features.ClassLabel(num_classes=3)}
        ),
        "image": tfds.features.Image(),
    },
    "numbers": {
        "one": np.int64,
        "some": tfds.features.Tensor(shape=(None, 2), dtype=np.float32),
        "names": tfds.features.Sequence(tfds.features.Text()),
        "counts": tfds.features.Sequence(np.int32),
    },
    "audio": {"audio": tfds.features.Audio(), "speaker": {"id": tfds.features.Text()}},
    "video": {"frames": tfds.features.Video(shape=(None, 64, 64, 3))},
}


def saved(features: dict[str, Any], directory: Path) -> tuple[Any, dict[str, Any]]:
    """Features, and the content of the `features.json` that TensorFlow Datasets writes of them."""
    made = tfds.features.FeaturesDict(features)
    made.save_config(str(directory))
    return made, json.loads((directory / "features.json").read_text())


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_printed_as_tensorflow_datasets_prints_them(name: str, tmp_path: Path) -> None:
    made, document = saved(FEATURES[name], tmp_path)
    assert printed(document) == repr(made)


def test_the_features_of_images_are_found(tmp_path: Path) -> None:
    found = {
        name: image_features(saved(features, tmp_path)[1]) for name, features in FEATURES.items()
    }
    assert found == {
        "imagenet": ImageFeatures("image", "label", None, False, 1000),
        "downsampled": ImageFeatures("image", "label", None, False, 2),
        "boxes": ImageFeatures("image", None, "objects/bbox", False, 0),
        "numbers": None,
        "audio": None,
        "video": None,
    }


def test_a_flat_box_is_told_from_a_sequence(tmp_path: Path) -> None:
    features = {"image": tfds.features.Image(), "bbox": tfds.features.BBoxFeature()}
    _, document = saved(features, tmp_path)
    assert image_features(document) == ImageFeatures("image", None, "bbox", True, 0)


def test_a_kind_of_feature_that_nobody_knows_yet_is_shown_by_its_name() -> None:
    inner = {"pythonClassName": "tensorflow_datasets.core.features.Hologram", "hologram": {"x": 1}}
    document = {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": {"a": inner, "b": [1], "c": None}},
    }
    assert (
        printed(document)
        == "FeaturesDict({\n    'a': Hologram(),\n    'b': ...,\n    'c': ...,\n})"
    )


def test_what_is_nested_without_end_is_printed_as_far_as_it_is_of_use() -> None:
    document: dict[str, Any] = {"text": {}}
    for _ in range(500):
        document = {"pythonClassName": "x.Sequence", "sequence": {"feature": document}}
    assert "..." in printed(document)
    assert image_features(document) is None
