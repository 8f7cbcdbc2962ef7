"""Makes examples of imagenet2012_resized: reads and inspects an image, and makes it smaller."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from imagenet_builders import images
from imagenet_builders.errors import WorkerError
from imagenet_builders.formats.tfrecord.example import (
    FlatExample,
    bytes_value_sizes,
    int_value_sizes,
    serialized_sizes,
)
from imagenet_builders.images import resizing
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.bad_images import good_images

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_ROWS = 256
"""Of so many images the sizes are measured; the others are taken to have their mean."""


@dataclasses.dataclass(frozen=True)
class Resizing:
    """How images are resized: all that decides their bytes.

    Attributes:
        short_side: Pixels of the short side of an image that is larger.
        quality: Of the JPEGs, 1 to 100.
        subsampling: Of their colours, one of `resizing.SUBSAMPLINGS`.
        library: What resizes, as `resizing.library()` says it.
    """

    short_side: int
    quality: int
    subsampling: str
    library: str

    def described(self) -> dict[str, str | int]:
        """The same by the names that `provenance.json` and `info.metadata` give it."""
        return {
            "short_side": self.short_side,
            "jpeg_quality": self.quality,
            "jpeg_subsampling": self.subsampling,
            "filter": resizing.FILTER,
            "library": self.library,
        }

    def of(self, image: images.InspectedImage) -> bytes:
        """An image as it is stored.

        Raises:
            ImageProblemError: It cannot be decoded, or is too large for that.
        """
        return resizing.resize(
            image.data,
            image.width,
            image.height,
            self.short_side,
            quality=self.quality,
            subsampling=self.subsampling,
        )


def make_examples(
    rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note], how: Resizing
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of rows, in their order.

    Args:
        rows: A part of an index.
        reader: Reads the files that the rows point into.
        policy: How to look at images, and what to do with bad ones.
        notes: Receives a note for each image that is repaired or skipped.
        how: How to resize images.

    Yields:
        Key and features (`image`: JPEG bytes, `label`: from 0, or -1 for none, `file_name`).

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed.
        WorkerError: This process has another version of Pillow than the one that planned.
    """
    if resizing.library() != how.library:
        raise WorkerError(
            f"a worker resizes with {resizing.library()}, and the build with {how.library}, so "
            "their images would differ; install the same version of Pillow on all machines"
        )
    for row, image in good_images(rows, reader, policy, notes, remake=how.of):
        if image is not None:
            yield row.key, {"image": image, "label": row.label, "file_name": row.key}


def example_sizes(index: Index, how: Resizing) -> np.ndarray:
    """Bytes of each serialized example, estimated.

    The plan needs the sum of all sizes, and only encoding an image tells its size. So `SAMPLE_ROWS`
    images, evenly spaced in the order of their keys, are resized, and all others count as their
    mean; so do images that are bad. The same images give the same sum, whatever they are staged as.

    Args:
        index: The index of a split.
        how: How to resize images.

    Returns:
        int64 array of shape (rows,).
    """
    import pyarrow.compute as pc

    table = index.table
    spaced = np.linspace(0, len(index) - 1, min(SAMPLE_ROWS, len(index)), dtype=np.int64)
    sample = pc.sort_indices(table["key"]).to_numpy()[np.unique(spaced)]
    rows = table.take(sample)
    with index.reader() as reader:
        seen = good_images(rows, reader, ImagePolicy("skip"), [], remake=how.of)
        measured = [None if image is None else len(image) for _, image in seen]
    whole = [size for size in measured if size is not None]
    sizes = np.full(len(index), round(sum(whole) / max(1, len(whole))), dtype=np.int64)
    for row, size in zip(sample, measured, strict=True):
        if size is not None:
            sizes[row] = size
    return serialized_sizes(
        {
            "image": bytes_value_sizes(sizes),
            "label": int_value_sizes(numbers_in(table["label"])),
            "file_name": bytes_value_sizes(numbers_in(pc.binary_length(table["key"]))),
        },
        len(index),
    )
