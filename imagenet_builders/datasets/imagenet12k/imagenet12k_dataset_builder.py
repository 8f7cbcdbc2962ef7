"""`imagenet12k`, in TensorFlow Datasets' dataset-as-folder form."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from imagenet_builders import labels
from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.imagenet12k.dataset import DATASET
from imagenet_builders.datasets.imagenet12k.layouts import SPACE


class Builder(DatasetBuilder):
    """ImageNet-12k: 11,821 classes of the fall 2011 release."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should contain the shards of timm/imagenet-12k-wds on Hugging Face:
    imagenet12k-train-0000.tar to imagenet12k-train-1023.tar, and imagenet12k-validation-0000.tar to
    imagenet12k-validation-0511.tar.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=labels.wnids(SPACE)),
                    "file_name": tfds.features.Text(),  # Such as n00005787_6590.JPEG.
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://huggingface.co/datasets/timm/imagenet-12k-wds",
            license=ACCESS_TERMS,
        )
