"""`imagenet2012_localization`: images of ILSVRC2012 with the boxes of their objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from imagenet_builders import labels
from imagenet_builders.build.builder import PlannedBuilder
from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.ilsvrc2012 import objects
from imagenet_builders.datasets.imagenet2012_localization import staged
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.locate.found import Survey
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe


class Builder(PlannedBuilder):
    """Train and validation images of ILSVRC2012, each with its class and a sequence of objects."""

    name = staged.NAME
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should contain ILSVRC2012_img_train.tar and ILSVRC2012_bbox_train_v2.tar.gz for the
    train split, ILSVRC2012_img_val.tar and ILSVRC2012_bbox_val_v3.tgz for the validation split, or
    all four. You need to register on https://image-net.org/download-images to get them.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=objects.features(labels.wnids("imagenet2012")),
            supervised_keys=("image", "label"),
            homepage="https://image-net.org/challenges/LSVRC/2012/",
            license=ACCESS_TERMS,
        )

    def survey(self, manual_dir: Path) -> Survey:
        """All that is staged of it."""
        return staged.survey(manual_dir)

    def split_recipes(self, manual_dir: Path, room: BuildContext) -> list[SplitRecipe]:
        """Finds and indexes the splits staged under `manual_dir`; warns of those that are not."""
        return staged.recipes(manual_dir, room)

    def as_features(self, example: FlatExample) -> dict[str, Any]:
        """A flat example with its boxes as a list of objects."""
        return objects.nested(example)
