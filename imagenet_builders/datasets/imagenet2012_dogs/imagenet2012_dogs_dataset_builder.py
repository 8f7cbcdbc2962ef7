"""`imagenet2012_dogs`: the fine-grained classification task of ILSVRC2012."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from imagenet_builders.build.preparing import Asked
from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.ilsvrc2012 import objects
from imagenet_builders.datasets.imagenet2012_dogs import staged
from imagenet_builders.datasets.imagenet2012_dogs.dataset import DATASET
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.publish import unchanged


class Builder(DatasetBuilder):
    """Train images of 120 kinds of dogs, each with its class and a sequence of objects."""

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should contain ILSVRC2012_img_train_t3.tar and, for the boxes,
    ILSVRC2012_bbox_train_dogs.tar.gz; without it, the sequences of objects are empty.
    You need to register on https://image-net.org/download-images to get them.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        # A built dataset has its own list of classes, whatever the options are now.
        names = staged.published_classes(Path(self.data_dir))
        if names is None and self.build_options.classes == "known":
            names = DATASET.configs[0].classes()
        # Otherwise `split_recipes` gets the names from the archive.
        return self.dataset_info_from_configs(
            features=objects.features(names),
            supervised_keys=("image", "label"),
            homepage="https://image-net.org/challenges/LSVRC/2012/",
            license=ACCESS_TERMS,
        )

    def split_recipes(self, manual_dir: Path, context: BuildContext) -> list[SplitRecipe]:
        """Finds and indexes the train split staged under `manual_dir`, and names its classes."""
        [recipe] = super().split_recipes(manual_dir, context)
        features = self.info.features
        for label in (features["label"], features["objects"].feature["label"]):
            label.names = list(recipe.classes)
        return [recipe]

    def _warn_of_what_changes_nothing(self, asked: Asked) -> None:
        super()._warn_of_what_changes_nothing(asked)
        path, options = asked.request.path, asked.request.options
        is_known = staged.published_classes(path) == DATASET.configs[0].classes()
        unchanged.warn_of_classes(path, is_known, options.classes)

    def as_features(self, example: FlatExample) -> dict[str, Any]:
        """A flat example with its boxes as a list of objects."""
        return objects.nested(example)
