"""Indexes the images and the boxes of imagenet2012_dogs, and gets its list of classes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from imagenet_builders.datasets.ilsvrc2012 import boxes as boxes_
from imagenet_builders.datasets.ilsvrc2012 import images as images_
from imagenet_builders.datasets.ilsvrc2012 import objects
from imagenet_builders.datasets.imagenet2012_dogs.dataset import DATASET
from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.access import saying_why
from imagenet_builders.locate.choose import choose, choose_boxes
from imagenet_builders.locate.found import Survey
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.scratch.means import ScratchMeans
from imagenet_builders.sources import kinds
from imagenet_builders.words import counted, logger

_LOG = logger(__name__)

NAME = DATASET.name


def published_classes(directory: Path) -> tuple[str, ...] | None:
    """The classes of a built dataset, or None if there is none.

    Args:
        directory: Directory of the version of the dataset.
    """
    try:
        return tuple((directory / "label.labels.txt").read_text().split())
    except OSError:
        return None


def recipes(staged: Survey, context: BuildContext) -> list[SplitRecipe]:
    """Indexes the train split; warns if there are no boxes.

    Args:
        staged: What is staged.
        context: What to index with; its option `classes` says where the list of classes comes from.

    Returns:
        The recipe of the split, which has the classes in the order of their labels.

    Raises:
        StagingError: The images are not there.
        SourceError: An archive is damaged, or has other classes than it should.
    """
    images = choose(staged, context.options.source)["train"]
    with saying_why(images.paths[0]):
        classes_in = kinds.kind(images.kind).classes
        if classes_in is None:
            raise SourceError(f"{images}: the classes of a source of this kind cannot be listed")
        classes = classes_in(images, ScratchMeans(f"split {images.split}", context))
    if not classes:
        raise SourceError(
            f"{images}: no folder or archive in it is named by the wnid of a class, as n02085620 "
            "is; stage the official archive, or folders with the wnids of their classes as names"
        )
    if context.options.classes == "known":
        _check_classes(images.paths[0], classes)
        classes = DATASET.configs[0].classes()
    ids = {wnid: label for label, wnid in enumerate(classes)}
    digest = hashlib.sha256("\n".join(classes).encode()).hexdigest()[:8]
    what = [NAME, "train", digest]
    naming = Naming("train_t3", ids)
    index = images_.index_found(what, images, naming, context)
    if "train" in staged.boxes:
        boxes = choose_boxes(staged, "train", images)
        annotations = boxes_.index_boxes([NAME], boxes, naming, context)
        recipe = boxes_.boxed(images, index, boxes, annotations)
        return [dataclasses.replace(recipe, classes=classes)]
    looked_at = " or ".join(staged.missing["train boxes"])
    _LOG.warning(f"no image will have boxes: there is no {looked_at}")
    indexed, counts = objects.without_objects(index)
    recipe = boxes_.recipe(images, indexed, counts, (), None)
    return [dataclasses.replace(recipe, classes=classes)]


def _check_classes(archive: Path, found: Sequence[str]) -> None:
    known = DATASET.configs[0].classes()
    if tuple(found) == known:
        return
    missing = sorted(set(known) - set(found))
    unknown = sorted(set(found) - set(known))
    differences = [
        f"{len(wnids)} {what} ({', '.join(wnids)})"
        for wnids, what in (
            (missing, "of the known ones are not in the archive"),
            (unknown, "in the archive are not among the known ones"),
        )
        if wnids
    ]
    raise SourceError(
        f"{archive}: expected the {len(known)} known classes of dogs, found "
        f"{counted(len(found), 'class', 'classes')}: {' and '.join(differences)}; if "
        "this is the official archive, the list that this package knows is wrong: build with "
        "--classes archive to take the archive's own"
    )
