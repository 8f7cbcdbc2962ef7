"""Examples of imagenet2012 from rows: read an image, look at it, hand it on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagenet_builders.assembly.bad_images import good_images
from imagenet_builders.assembly.index import Index
from imagenet_builders.assembly.records import (
    FlatExample,
    bytes_value_sizes,
    int_value_sizes,
    serialized_sizes,
)
from imagenet_builders.assembly.shards import Note
from imagenet_builders.sources.reader import Reader

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# The sizes of so many examples are reckoned at a time: of 13 million, the steps in between would be
# a gigabyte, and most of the time would go to getting it from the system.
_ROWS_AT_A_TIME = 1 << 17


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
        Key and features (`image`: JPEG bytes, `label`: 0 to 999 or -1, `file_name`).

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed.
    """
    for row, image in good_images(rows, reader, bad_images, notes):
        if image is not None:
            yield row.key, {"image": image, "label": row.label, "file_name": row.key}


def example_sizes(index: Index) -> np.ndarray:
    """Bytes of each serialized example, taking every image to be stored as it is; shape (rows,)."""
    import numpy as np
    import pyarrow.compute as pc

    sizes = np.empty(len(index), np.int64)
    for start in range(0, len(index), _ROWS_AT_A_TIME):
        rows = index.table.slice(start, _ROWS_AT_A_TIME)
        sizes[start : start + len(rows)] = serialized_sizes(
            {
                "image": bytes_value_sizes(rows["size"].to_numpy()),
                "label": int_value_sizes(rows["label"].to_numpy()),
                "file_name": bytes_value_sizes(pc.binary_length(rows["key"]).to_numpy()),
            },
            len(rows),
        )
    return sizes
