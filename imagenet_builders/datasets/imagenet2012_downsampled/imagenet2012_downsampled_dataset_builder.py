"""`imagenet2012_downsampled`: ILSVRC2012 in small, with the labels of `imagenet2012`."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.imagenet2012_downsampled.dataset import DATASET, SIZES


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """A configuration.

    Attributes:
        size: Width and height of the pictures, in pixels.
    """

    size: int = 0


class Builder(DatasetBuilder):
    """ILSVRC2012 by Chrabaszcz et al. in 8x8, 16x16, 32x32 and 64x64 pixels."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS: ClassVar[list[Config]] = [
        Config(name=config.name, description=config.description, size=size)
        for config, size in zip(DATASET.configs, SIZES, strict=True)
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should contain, for pictures of 8x8 (and so on for 16x16 and 32x32):
    Imagenet8_train_npz.zip and Imagenet8_val_npz.zip, for 64x64: Imagenet64_train_part1_npz.zip,
    Imagenet64_train_part2_npz.zip and Imagenet64_val_npz.zip; or the folders that these unpack to,
    such as Imagenet8_train_npz. Either split is built without the other.
    You need to register on https://image-net.org/download-images to get them.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.size
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(size, size, 3), dtype=np.uint8, encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=DATASET.configs[0].classes()),
                    "id": tfds.features.Text(),  # Such as train_data_batch_3/000123.
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://patrykchrabaszcz.github.io/Imagenet32/",
            license=ACCESS_TERMS,
        )
