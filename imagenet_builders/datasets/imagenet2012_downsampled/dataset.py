"""The value of imagenet2012_downsampled."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.datasets.description import Config, Dataset, LabelOf, Split
from imagenet_builders.datasets.ilsvrc2012 import splits
from imagenet_builders.locate.found import Survey
from imagenet_builders.locate.packaging import Packaging

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe


SIZES = (8, 16, 32, 64)
"""Width and height of the pictures of each configuration, in pixels."""

TRAIN_BATCHES = 10
"""Files of the train split. Source: Imagenet32_Scripts, image2numpy_imagenet_train.py."""

# Bytes of a PNG besides its pixels, which hardly compress at these sizes.
_PNG_BYTES = 80
_KEY = re.compile(r"(train_data_batch_(?:[1-9]|10)|val_data)/[0-9]{6,}")


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet2012_downsampled import (
        imagenet2012_downsampled_dataset_builder,
    )

    return imagenet2012_downsampled_dataset_builder.Builder


def _find(manual_dir: Path, config: str | None) -> Survey:
    from imagenet_builders.datasets.imagenet2012_downsampled import layouts

    return layouts.survey(manual_dir, config)


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.imagenet2012_downsampled import batches

    return batches.recipes(DATASET.survey(manual_dir, config).of_splits(only), context)


def label_of(split: str, ids: Mapping[str, int]) -> LabelOf:
    """The rule of labels, which checks ids only; see `Dataset.label_of`."""
    del ids

    def of_id(key: str) -> None:
        match = _KEY.fullmatch(key)
        if match is None or match[1].startswith("val") != (split == "validation"):
            example = "val_data" if split == "validation" else "train_data_batch_3"
            raise ValueError(f"only ids such as {example}/000123 belong here")

    return of_id


def _config(size: int) -> Config:
    pixels = 3 * size * size
    parts = [f"Imagenet64_train_part{part}_npz.zip" for part in (1, 2)]
    archives = tuple(parts) if size == 64 else (f"Imagenet{size}_train_npz.zip",)
    train = Split(
        "train",
        splits.TRAIN.images,
        pixels * (splits.TRAIN.images or 0),
        "Imagenet32_Scripts; all images of ILSVRC2012",
        archives=archives,
        per_class=splits.TRAIN.per_class,
        files=tuple(f"train_data_batch_{number}.npz" for number in range(1, TRAIN_BATCHES + 1)),
    )
    validation = dataclasses.replace(
        train,
        name="validation",
        images=splits.VALIDATION.images,
        image_bytes=pixels * (splits.VALIDATION.images or 0),
        archives=(f"Imagenet{size}_val_npz.zip",),
        per_class=splits.VALIDATION.per_class,
        files=("val_data.npz",),
    )
    return Config(
        f"{size}x{size}",
        (train, validation),
        splits.classes,
        f"Pictures of {size}x{size} pixels.",
        written_bytes=pixels + _PNG_BYTES,
        unpacked_bytes=pixels,
    )


PACKAGINGS = tuple(
    Packaging(
        names=names,
        example=example,
        is_folder=is_folder,
        inside=r"train_data_batch_[0-9]+|val_data" if is_folder else "",
        what="downsampled images in pickles, which are not read because a pickle can run any code",
        way="stage the version in npz of the same size, such as Imagenet32_train_npz.zip",
    )
    for names, example, is_folder in (
        (r"train_data_batch_[0-9]+|val_data", "train_data_batch_1", False),
        (r".*", "Imagenet32_train/", True),
        (r"Imagenet(8|16|32|64)_(train|val)(_part[12])?(\.zip)?", "Imagenet32_train.zip", None),
    )
)
"""Packagings that are not read."""

DATASET = Dataset(
    name="imagenet2012_downsampled",
    packagings=PACKAGINGS,
    summary="ILSVRC2012 in 8x8, 16x16, 32x32 and 64x64 pixels, with the labels of the original",
    configs=tuple(map(_config, SIZES)),
    builder=_builder,
    find=_find,
    recipes=_recipes,
    label_of=label_of,
    key="id",
    splits_apart=True,
)
