"""Indexes the images and the boxes of imagenet2012_localization, and joins them.

An annotation belongs to the image of the same name. Every class comes from a name too: a train
image's name has it, a validation image's number gives it. The folder of an annotation and the file
name inside it decide nothing.
"""

from __future__ import annotations

import dataclasses

from imagenet_builders.datasets.ilsvrc2012.boxes import (
    boxed,
    index_boxes,
)
from imagenet_builders.datasets.ilsvrc2012.images import index_splits
from imagenet_builders.datasets.imagenet2012_localization.dataset import DATASET
from imagenet_builders.errors import StagingError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.choose import (
    choose,
    choose_boxes,
    not_it,
    nothing_staged,
    warn_missing,
)
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe

NAME = DATASET.name
SPLITS = tuple(split.name for split in DATASET.configs[0].splits)


def recipes(staged: Survey, context: BuildContext) -> list[SplitRecipe]:
    """Indexes the splits; warns of splits that cannot be built, and of oddities.

    Args:
        staged: What is staged.
        context: What to index with.

    Returns:
        A recipe for each split that has its images and its boxes.

    Raises:
        StagingError: No split has both.
        SourceError: A source is damaged or is not what its name says.
    """
    made = []
    chosen = _choose_whole(staged, context.options.source)
    for split, index in index_splits(chosen, context).items():
        images = chosen[split]
        boxes = choose_boxes(staged, split, images)
        of_images = (images, index)
        annotations = index_boxes([NAME, split], boxes, Naming(split), context, of_images)
        made.append(boxed(images, index, boxes, annotations))
    return made


def _choose_whole(staged: Survey, source: str | None) -> dict[str, Found]:
    """The sources of the images of splits that have boxes too; warns of the other splits.

    Raises:
        StagingError: No split has both.
    """
    if staged.is_other:
        raise not_it(staged)
    lacking = {
        split: "; ".join(
            f"there are no {what}: no {' or '.join(staged.missing[key])}"
            for what, key in (("images", split), ("boxes", f"{split} boxes"))
            if key in staged.missing
        )
        for split in SPLITS
    }
    whole = {split: found for split, found in staged.found.items() if not lacking[split]}
    if not whole and (staged.warnings or (not staged.found and not staged.boxes)):
        keys = [(split, what) for split in SPLITS for what in ("images", "boxes")]
        missing = {
            f"{split} {what}": staged.missing[split if what == "images" else f"{split} boxes"]
            for split, what in keys
        }
        raise nothing_staged(dataclasses.replace(staged, missing=missing), source)
    if not whole:
        said = ". ".join(f"Of {split}, {what}" for split, what in lacking.items())
        raise StagingError(
            f"nothing of {NAME} can be built: a split needs its images and its boxes. {said}"
        )
    for split, what in lacking.items():
        if what:
            warn_missing(split, what)
    return choose(dataclasses.replace(staged, found=whole, missing={}), source)
