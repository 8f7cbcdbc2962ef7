"""Examples of imagenet21k_winter21 from rows, which are parts of archives or files of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.images import OPTIONAL_REPAIRS
from imagenet_builders.plan.recipe import Note
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.bad_images import good_images

if TYPE_CHECKING:
    import pyarrow as pa


def make_examples(
    rows: pa.Table, reader: Reader, bad_images: str, notes: list[Note]
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of rows, in their order.

    Args:
        rows: A part of an index.
        reader: Reads the files that the rows point into.
        bad_images: `fail` or `skip`.
        notes: Receives a note for each image that is repaired or skipped.

    Yields:
        Key and features (`image`: JPEG bytes, `label`: from 0, `file_name`).

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed.
    """
    for row, image in good_images(rows, reader, bad_images, notes, OPTIONAL_REPAIRS):
        if image is not None:
            yield row.key, {"image": image, "label": row.label, "file_name": row.key}
