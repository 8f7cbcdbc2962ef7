"""`imagenet21k_winter21`: ImageNet-21k as it is offered since winter 2021, and ImageNet-21K-P."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.imagenet21k_winter21.classes import classes_of
from imagenet_builders.datasets.imagenet21k_winter21.dataset import DATASET


class Builder(DatasetBuilder):
    """ImageNet-21k winter 2021: all 19,167 classes, or the 10,450 of ImageNet-21K-P."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        tfds.core.BuilderConfig(name=config.name, description=config.description)
        for config in DATASET.configs
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    For `whole`, manual_dir should contain winter21_whole.tar.gz, or what is in it: a folder of
    class tars (tars/, winter21_whole/ or manual_dir itself), which is the fastest to build from,
    winter21_whole.tar, or the class folders that the class tars unpack to.
    For `p`, it should contain imagenet21k_resized.tar.gz, imagenet21k_resized.tar or the folder
    imagenet21k_resized/.
    A .tar.gz is unpacked to the scratch directory first, which needs as much space as it has, and
    10 % more. You need to register on https://image-net.org/download-images to get them.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    # Not 224x224 in `p` either: images that were smaller were left as they were.
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(
                        names=classes_of(self.builder_config.name).wnids
                    ),
                    "file_name": tfds.features.Text(),  # Such as n00004475_6590.JPEG.
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://image-net.org/",
            license=ACCESS_TERMS,
        )
