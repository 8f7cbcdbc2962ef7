"""`imagenet2012`: a drop-in for TensorFlow Datasets' builder of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from imagenet_builders import labels
from imagenet_builders.build.builder import PlannedBuilder
from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.ilsvrc2012 import examples as examples_
from imagenet_builders.datasets.imagenet2012 import examples, staged
from imagenet_builders.locate.choose import choose, layout_of
from imagenet_builders.locate.found import Survey
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe


class Builder(PlannedBuilder, skip_registration=True):  # type: ignore[call-arg]  # As its base.
    """ILSVRC2012, with the features, labels, keys, order and shards of TensorFlow Datasets' own."""

    name = "imagenet2012"
    VERSION = tfds.core.Version("5.1.0")
    SUPPORTED_VERSIONS: ClassVar[list[tfds.core.Version]] = [tfds.core.Version("5.0.0")]
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "5.1.0": "Added test split.",
        "5.0.0": "New split API (https://tensorflow.org/datasets/splits)",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should be the directory of a site's copy of ILSVRC2012, in any of the layouts in
    the README of imagenet_builders, or contain any of ILSVRC2012_img_train.tar,
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
                    "label": tfds.features.ClassLabel(names=labels.wnids("imagenet2012")),
                    "file_name": tfds.features.Text(),  # Such as n15075141_54.JPEG.
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://image-net.org/",
            license=ACCESS_TERMS,
        )

    def survey(self, manual_dir: Path) -> Survey:
        """All that is staged of it."""
        return staged.survey(manual_dir)

    def split_recipes(self, manual_dir: Path, room: BuildContext) -> list[SplitRecipe]:
        """Finds and indexes the splits staged under `manual_dir`; warns of those that are not."""
        return [
            SplitRecipe(
                split,
                staged.index_split(found, room),
                examples.make_examples,
                examples_.example_sizes,
                layout=layout_of(found),
            )
            for split, found in choose(staged.survey(manual_dir), room.options.source).items()
        ]
