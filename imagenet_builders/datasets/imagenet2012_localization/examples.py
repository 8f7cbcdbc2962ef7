"""Examples of imagenet2012_localization: those of imagenet2012, and their objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagenet_builders.datasets.ilsvrc2012 import objects
from imagenet_builders.formats.tfrecord.example import (
    FlatExample,
    bytes_value_sizes,
    int_value_sizes,
    serialized_sizes,
)
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import Note
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.bad_images import good_images

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def make_examples(
    rows: pa.Table, reader: Reader, bad_images: str, notes: list[Note]
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of rows, in their order.

    Args:
        rows: A part of an index with the columns of `objects.with_objects`.
        reader: Reads the files that the rows point into.
        bad_images: `fail` or `skip`.
        notes: Receives a note for each image that is repaired or skipped.

    Yields:
        Key and features (`image`: JPEG bytes, `label`, `file_name`; `objects/bbox`: float32 of
        shape (boxes, 4), `objects/label`: int64 of shape (boxes,)).

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed.
    """
    looked_at = good_images(rows, reader, bad_images, notes)
    for (row, image), found in zip(looked_at, objects.flat_objects(rows), strict=True):
        if image is not None:
            own: FlatExample = {"image": image, "label": row.label, "file_name": row.key}
            yield row.key, {**own, **found}


def example_sizes(index: Index) -> np.ndarray:
    """Bytes of each serialized example, taking every image to be stored as it is; shape (rows,)."""
    import pyarrow.compute as pc

    table = index.table
    return serialized_sizes(
        {
            "image": bytes_value_sizes(table["size"].to_numpy()),
            "label": int_value_sizes(table["label"].to_numpy()),
            "file_name": bytes_value_sizes(pc.binary_length(table["key"]).to_numpy()),
            **objects.value_sizes(table),
        },
        len(index),
    )
