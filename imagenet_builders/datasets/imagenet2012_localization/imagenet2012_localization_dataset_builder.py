"""`imagenet2012_localization`: images of ILSVRC2012 with the boxes of their objects."""

from __future__ import annotations

from typing import Any, ClassVar

import tensorflow_datasets as tfds

from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.ilsvrc2012 import objects
from imagenet_builders.datasets.imagenet2012_localization.dataset import DATASET
from imagenet_builders.formats.tfrecord.example import FlatExample


class Builder(DatasetBuilder):
    """Train and validation images of ILSVRC2012, each with its class and a sequence of objects."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should contain ILSVRC2012_img_train.tar and ILSVRC2012_bbox_train_v2.tar.gz for the
    train split, ILSVRC2012_img_val.tar and ILSVRC2012_bbox_val_v3.tgz for the validation split, or
    all four. You need to register on https://image-net.org/download-images to get them.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=objects.features(DATASET.configs[0].classes()),
            supervised_keys=("image", "label"),
            homepage="https://image-net.org/challenges/LSVRC/2012/",
            license=ACCESS_TERMS,
        )

    def as_features(self, example: FlatExample) -> dict[str, Any]:
        """A flat example with its boxes as a list of objects."""
        return objects.nested(example)
