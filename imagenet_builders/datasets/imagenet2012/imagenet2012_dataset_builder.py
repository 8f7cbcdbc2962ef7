"""`imagenet2012`: a drop-in for TensorFlow Datasets' builder of the same name."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.imagenet2012.dataset import DATASET


class Builder(DatasetBuilder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """ILSVRC2012, with the features, labels, keys, order and shards of TensorFlow Datasets' own."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    SUPPORTED_VERSIONS: ClassVar[list[tfds.core.Version]] = [tfds.core.Version("5.0.0")]
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "5.1.0": "Added test split.",
        "5.0.0": "New split API (https://tensorflow.org/datasets/splits)",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should be the directory of a site's copy of ILSVRC2012, in any of the layouts in
    the documentation of imagenet_builders, or contain any of ILSVRC2012_img_train.tar,
    ILSVRC2012_img_val.tar and
    ILSVRC2012_img_test_v10102019.tar (or ILSVRC2012_img_test.tar), the last one together with
    ILSVRC2012_img_test_patch_v10102019.tar if you have it. Each archive gives a split.
    You need to register on https://image-net.org/download-images to get them.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=DATASET.configs[0].classes()),
                    "file_name": tfds.features.Text(),  # Such as n15075141_54.JPEG.
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://image-net.org/",
            license=ACCESS_TERMS,
        )
