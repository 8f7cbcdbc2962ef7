"""Examples of tiny_imagenet from rows: images of 64x64 pixels, each with its box."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from imagenet_builders.datasets.ilsvrc2012 import examples
from imagenet_builders.datasets.tiny_imagenet.boxes import SIDE
from imagenet_builders.formats.tfrecord.example import FlatExample, float_value_sizes
from imagenet_builders.images import InspectedImage
from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.bad_images import good_images
from imagenet_builders.write.image_rows import ImageExamples

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def _examples(
    rows: pa.Table,
    reader: Reader,
    policy: ImagePolicy,
    notes: list[Note],
    also_repair: frozenset[str],
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of rows, in their order.

    Args:
        rows: A part of an index of `staged.index_split`.
        reader: Reads the files that the rows point into.
        policy: How to look at images, and what to do with bad ones.
        notes: Receives a note for each image that is repaired or skipped.
        also_repair: As for `images.inspect_and_repair`.

    Yields:
        Key and features (`image`: JPEG bytes, `label`: 0 to 199 or -1, `file_name`, `bbox`: float32
        of shape (4,), ymin, xmin, ymax, xmax).

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed.
    """
    boxes = numbers_in(rows["bbox"].combine_chunks().flatten()).reshape(-1, 4)
    images = good_images(rows, reader, policy, notes, also_repair, wrong=_wrong_size)
    for (row, image), box in zip(images, boxes, strict=True):
        if image is not None:
            yield row.key, {"image": image, "label": row.label, "file_name": row.key, "bbox": box}


make_examples = ImageExamples(
    _examples,
    (("label", "label"), ("file_name", "key"), ("bbox", "bbox")),
    size=(SIDE, SIDE),
).make
"""Makes examples of rows of an index of `staged.index_split`, with the features `image` (JPEG),
`label` (0 to 199, or -1), `file_name` and `bbox` (float32 of shape (4,)); see `MakeExamples`."""


def _wrong_size(image: InspectedImage) -> str | None:
    """Finds fault with an image that has another size than all others."""
    if (image.width, image.height) == (SIDE, SIDE):
        return None
    return (
        f"an image of {image.width} x {image.height} pixels, where all of this dataset have "
        f"{SIDE} x {SIDE}"
    )


def _box_sizes(rows: pa.Table) -> Mapping[str, np.ndarray]:
    import numpy as np

    return {"bbox": float_value_sizes(np.full(len(rows), 4))}


example_sizes = functools.partial(examples.example_sizes, more=_box_sizes)
"""Bytes of each serialized example; see `examples.example_sizes`."""
