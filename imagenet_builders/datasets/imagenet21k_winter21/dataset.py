"""The value of imagenet21k_winter21."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders import labels
from imagenet_builders.datasets.description import Config, Dataset, LabelOf, Split
from imagenet_builders.datasets.ilsvrc2012.splits import label_of
from imagenet_builders.datasets.imagenet21k_winter21 import layouts, signs
from imagenet_builders.formats import signatures
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.packaging import READ_HERE, SHARDS_READ_HERE, Packaging
from imagenet_builders.sources.inspection import Counted, Inspection, Problem
from imagenet_builders.sources.kind import Expected

if TYPE_CHECKING:
    from imagenet_builders.labels.image_names import Naming
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe


def _builder() -> type[Any]:
    from imagenet_builders.datasets.imagenet21k_winter21 import imagenet21k_winter21_dataset_builder

    return imagenet21k_winter21_dataset_builder.Builder


def _recipes(
    manual_dir: Path, config: str | None, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    from imagenet_builders.datasets.imagenet21k_winter21 import staged

    del only
    assert config is not None
    return staged.recipes(config, manual_dir, context)


def _label_of(split: str, ids: Mapping[str, int]) -> LabelOf:
    # Images of both splits have names as the train images of ILSVRC2012 have.
    del split
    return label_of("train", ids)


def _count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    from imagenet_builders.datasets.imagenet21k_winter21 import counting

    return counting.count(found, inspected, expected)


def _naming(config: str) -> Naming:
    from imagenet_builders.datasets.imagenet21k_winter21 import counting

    return counting.naming_of(config)


_WHOLE = Split(
    "train",
    13_153_500,
    1_100_000_000_000,
    "the ImageNet page of the Alliance's Nibi cluster",
    archives=("winter21_whole.tar.gz",),
    naming=functools.partial(_naming, "whole"),
)
_P_TRAIN = Split(
    "train",
    11_060_223,
    None,
    "Alibaba-MIIL/ImageNet21K, processing_instructions.md",
    archives=("imagenet21k_resized.tar.gz",),
    folders=("imagenet21k_train",),
    naming=functools.partial(_naming, "p"),
)
_P_VALIDATION = dataclasses.replace(
    _P_TRAIN,
    name="validation",
    images=522_500,
    per_class=50,
    folders=("imagenet21k_val",),
)

PACKAGINGS = (
    Packaging(
        names=r"fall11_whole(\.tar(\.gz)?)?",
        example="fall11_whole.tar",
        what="ImageNet of fall 2011, 21,841 classes, another release than winter 2021",
        way="stage winter21_whole.tar.gz, which image-net.org offers in its place",
    ),
    Packaging(
        names=r"imagenet21k_resized\.tar(\.gz)?",
        example="imagenet21k_resized.tar.gz",
        what="the archive of ImageNet-21K-P",
        way=READ_HERE,
        is_read=True,
    ),
    Packaging(
        names=r"imagenet_w21-train-[0-9]+\.tar",
        example="imagenet_w21-train-0000.tar",
        what="shards of WebDataset, as timm/imagenet-w21-wds has them",
        begins=(signatures.TAR,),
        way=SHARDS_READ_HERE,
        is_read=True,
    ),
    Packaging(
        names=r"imagenet21k_resized.+|imagenet[-_]?2[12]k.*(\.tar(\.gz)?|\.tgz|\.zip)",
        example="imagenet21k_resized_new.tar.gz",
        what="an archive of ImageNet-21K under another name than the official ones",
        way=(
            "if it is the one of winter 2021 with 10,450 classes, a link to it that is named "
            "imagenet21k_resized.tar.gz is read (or .tar, if it is not compressed)"
        ),
    ),
)
"""Packagings that are not read."""

DATASET = Dataset(
    name=layouts.NAME,
    packagings=PACKAGINGS,
    summary="ImageNet-21k of winter 2021: all 19,167 classes, or the 10,450 of ImageNet-21K-P",
    configs=(
        Config(
            "whole",
            (_WHOLE,),
            functools.partial(labels.wnids, "imagenet21k_winter21"),
            "All 13,153,500 images of all 19,167 classes, in one split.",
            subsets=signs.subsets,
            stem="imagenet_w21",
        ),
        Config(
            "p",
            (_P_TRAIN, _P_VALIDATION),
            functools.partial(labels.wnids, "imagenet21k_p"),
            "ImageNet-21K-P: the 10,450 classes of more than 500 images, 11,060,223 train and "
            "522,500 validation images (50 a class), most of them resized to 224x224.",
        ),
    ),
    builder=_builder,
    find=layouts.survey,
    recipes=_recipes,
    count=_count,
    label_of=_label_of,
    signs=signs.ALL,
)
