"""Makes examples of rows: reads and inspects an image, and adds its label and boxes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from imagenet_builders.datasets.ilsvrc2012 import objects
from imagenet_builders.formats.tfrecord.example import (
    FlatExample,
    bytes_value_sizes,
    int_value_sizes,
    serialized_sizes,
)
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.sources.columns import numbers_in, text_sizes
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.bad_images import good_images
from imagenet_builders.write.image_rows import ImageExamples

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# Examples whose sizes are computed at a time. For 13 million at once, intermediate arrays would be
# a gigabyte, and most of the time would go to getting it from the system.
_ROWS_AT_A_TIME = 1 << 17


def _examples(
    rows: pa.Table,
    reader: Reader,
    policy: ImagePolicy,
    notes: list[Note],
    also_repair: frozenset[str],
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of rows, in their order.

    Args:
        rows: A part of an index.
        reader: Reads the files that the rows point into.
        policy: How to look at images, and what to do with bad ones.
        notes: Receives a note for each image that is repaired or skipped.
        also_repair: Formats to repair besides those that always are; see
            `images.inspect_and_repair`.

    Yields:
        Key and features (`image`: JPEG bytes, `label`: from 0, or -1 for none, `file_name`).

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed.
    """
    for row, image in good_images(rows, reader, policy, notes, also_repair):
        if image is not None:
            yield row.key, {"image": image, "label": row.label, "file_name": row.key}


def _boxed_examples(
    rows: pa.Table,
    reader: Reader,
    policy: ImagePolicy,
    notes: list[Note],
    also_repair: frozenset[str],
) -> Iterator[tuple[str, FlatExample]]:
    """As `_examples`, of rows with the columns of `objects.with_objects`.

    Yields:
        Key and features: those of `_examples`, and `objects/bbox` (float32 of shape (boxes, 4))
        and `objects/label` (int64 of shape (boxes,)).
    """
    seen = good_images(rows, reader, policy, notes, also_repair)
    for (row, image), found in zip(seen, objects.flat_objects(rows), strict=True):
        if image is not None:
            own: FlatExample = {"image": image, "label": row.label, "file_name": row.key}
            yield row.key, {**own, **found}


IMAGES = ImageExamples(_examples, (("label", "label"), ("file_name", "key")))
"""Examples with the features `image` (JPEG), `label` (from 0, or -1 for none) and `file_name`."""

make_examples = IMAGES.make
"""Makes examples of rows; see `MakeExamples`."""

make_boxed_examples = ImageExamples(_boxed_examples, (*IMAGES.columns, *objects.FLAT_COLUMNS)).make
"""As `make_examples`, of rows with the columns of `objects.with_objects`, and with the features
`objects/bbox` (float32 of shape (boxes, 4)) and `objects/label` (int64 of shape (boxes,))."""


def example_sizes(
    index: Index, more: Callable[[pa.Table], Mapping[str, np.ndarray]] = lambda rows: {}
) -> np.ndarray:
    """Bytes of each serialized example if every image is stored as it is.

    Args:
        index: The rows.
        more: Gives the sizes of the values of further features of some rows.

    Returns:
        Numbers of shape (rows,).
    """
    import numpy as np

    sizes = np.empty(len(index), np.int64)
    for start in range(0, len(index), _ROWS_AT_A_TIME):
        rows = index.table.slice(start, _ROWS_AT_A_TIME)
        sizes[start : start + len(rows)] = serialized_sizes(
            {
                "image": bytes_value_sizes(numbers_in(rows["size"])),
                "label": int_value_sizes(numbers_in(rows["label"])),
                "file_name": bytes_value_sizes(text_sizes(rows["key"])),
                **more(rows),
            },
            len(rows),
        )
    return sizes


boxed_example_sizes = functools.partial(example_sizes, more=objects.value_sizes)
"""As `example_sizes`, of rows with the columns of `objects.with_objects`."""
