"""`imagenet2012_resized`: `imagenet2012` with its larger images made smaller."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from imagenet_builders.datasets.access_terms import ACCESS_TERMS
from imagenet_builders.datasets.builder import DatasetBuilder
from imagenet_builders.datasets.imagenet2012_resized.dataset import DATASET, WRITTEN_BYTES
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """A configuration.

    Attributes:
        short_side: Pixels that the short side of an image has at most.
    """

    short_side: int = 0


class Builder(DatasetBuilder):
    """ILSVRC2012 as `imagenet2012` has it, with its larger images made smaller.

    Its `info.metadata` say what decided the bytes of the images: short side, quality, subsampling,
    filter, and the library with its version.
    """

    name = DATASET.name
    dataset = DATASET
    VERSION = tfds.core.Version(DATASET.version)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS: ClassVar[list[Config]] = [
        Config(name=config.name, description=config.description, short_side=short_side)
        for config, short_side in zip(DATASET.configs, WRITTEN_BYTES, strict=True)
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir should be the directory of a site's copy of ILSVRC2012, in any of the layouts in
    the documentation of imagenet_builders, or contain any of ILSVRC2012_img_train.tar,
    ILSVRC2012_img_val.tar and ILSVRC2012_img_test_v10102019.tar.
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
            metadata=tfds.core.MetadataDict(),
        )

    def split_recipes(self, manual_dir: Path, context: BuildContext) -> list[SplitRecipe]:
        """Finds and indexes what is staged, and notes how its images are resized."""
        recipes = super().split_recipes(manual_dir, context)
        for recipe in recipes:
            self.info.metadata.update(recipe.made_with)
        return recipes
