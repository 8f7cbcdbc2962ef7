"""`toy_dataset`, in TensorFlow Datasets' dataset-as-folder form."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from imagenet_builders.datasets.builder import DatasetBuilder
from toys.toy_dataset.dataset import DATASET


class Builder(DatasetBuilder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """Pictures, each with its class."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "manual_dir should contain toy_train.tar, toy_validation.tar."

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=list(DATASET.configs[0].classes())),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
        )
