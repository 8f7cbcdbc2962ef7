"""`tiny_imagenet`: 200 classes of ImageNet in 64 x 64 pixels."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.tiny_imagenet.boxes import SIDE
from imagenet_builders.datasets.tiny_imagenet.dataset import DATASET


class Builder(DatasetBuilder):
    """Tiny ImageNet, each train and validation image with its class and its box."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should contain tiny-imagenet-200.zip, which is read as it is, or the folder
    tiny-imagenet-200 that it unpacks to, or be that folder. The archive is preferred. It is at
    http://cs231n.stanford.edu/tiny-imagenet-200.zip.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=DATASET.configs[0].classes()),
                    "file_name": tfds.features.Text(),  # Such as n01443537_0.JPEG.
                    "bbox": tfds.features.BBoxFeature(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu/",
            license=ACCESS_TERMS,
        )
