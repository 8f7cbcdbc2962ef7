"""Indexes the boxes of ILSVRC2012, and joins them to their images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from imagenet_builders.datasets.ilsvrc2012 import examples, objects
from imagenet_builders.datasets.ilsvrc2012 import images as ilsvrc2012_images
from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.access import saying_why
from imagenet_builders.locate.choose import layout_of
from imagenet_builders.locate.found import Found
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.scratch.means import ScratchMeans
from imagenet_builders.sources import kinds
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.words import logger

_LOG = logger(__name__)


def boxed(images: Found, index: Index, boxes: Found, annotations: Index) -> SplitRecipe:
    """The recipe of images with boxes; warns of annotations without an image.

    Args:
        images: The source of the images.
        index: The rows of the images.
        boxes: The source of the boxes.
        annotations: The rows of the boxes, as `index_boxes` gives them.

    Returns:
        The recipe.

    Raises:
        SourceError: No annotation has its image.
    """
    indexed, counts = objects.with_objects(index, annotations.table)
    astray = counts["annotations_without_image"]
    box_path, image_path = boxes.paths[0], images.paths[0]
    if not len(annotations):
        raise SourceError(
            f"{box_path}: expected boxes of the images in {image_path}, found none; stage the "
            "official archive of boxes beside it, or build a dataset of which no image has boxes"
        )
    if astray == len(annotations):
        raise SourceError(
            f"{box_path}: expected annotations of the images in {image_path}, found {astray:,} "
            "and none of them of an image that is there; check that both are the right archives"
        )
    if astray:
        _LOG.warning(
            f"split {images.split}: {astray:,} of the {len(annotations):,} annotations in "
            f"{box_path} left out: no such image in {image_path}"
        )
    also_read = tuple(file for file in annotations.files if file not in index.files)
    return recipe(images, indexed, counts, also_read, boxes)


def recipe(
    images: Found,
    index: Index,
    counts: dict[str, int],
    also_read: tuple[SourceFile, ...],
    boxes: Found | None,
) -> SplitRecipe:
    """The recipe of an index with the columns of `objects.with_objects`."""
    layout = layout_of(images) + (f"; boxes from {layout_of(boxes)}" if boxes else "")
    return SplitRecipe(
        images.split,
        index,
        examples.make_boxed_examples,
        examples.boxed_example_sizes,
        counts=counts,
        recount=objects.counts_of,
        also_read=also_read,
        layout=layout,
    )


def index_boxes(
    what: Sequence[str],
    found: Found,
    naming: Naming,
    context: BuildContext,
    images: tuple[Found, Index] | None = None,
) -> Index:
    """Indexes the annotations of a source.

    Args:
        what: Dataset and split, for the cache.
        found: The source.
        naming: The rule that gets an image from the name of its annotation.
        context: What to index with.
        images: The source of the images and its rows, if they are there: where the boxes are in
            the same records, these are not indexed, and warned of, once more.

    Returns:
        A table of `box_archives.box_schema()`, each key once, and the files.

    Raises:
        SourceError: It is damaged or is not what its name says.
    """
    root = found.paths[0]
    kind = kinds.kind(found.kind)
    if kind.boxes_of_images is not None:
        # A record names its image, so these boxes serve images from another source, too.
        if images is not None and (images[0].kind, images[0].paths) == (found.kind, found.paths):
            records = images[1]
        else:
            records = ilsvrc2012_images.index_split(found, context)
        return Index(kind.boxes_of_images(records.table), records.files)
    if kind.boxes is None:
        raise SourceError(f"{found}: boxes are not read from a source of this kind")
    digest = hashlib.sha256("\n".join(naming.ids).encode()).hexdigest()[:8]
    with saying_why(root):
        means = ScratchMeans(f"boxes of split {found.split}", context)
        prepared = kind.boxes(found, naming, means, context.scratch)
        return context.cache.get(
            [*what, "boxes", digest],
            prepared.files,
            lambda: Index(prepared.make(), prepared.files),
        )
