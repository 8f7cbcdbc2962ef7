"""Rows of images that lie in one file."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pyarrow as pa

from imagenet_builders.sources.rows import row_schema


def table_of(
    images: Sequence[bytes],
    *,
    names: Sequence[str] | None = None,
    numbers: Sequence[int] | None = None,
) -> pa.Table:
    """Rows with boxes, of images that have one byte between two of them.

    Args:
        images: The images.
        names: Their names; None gives each one of its own.
        numbers: Their labels; None gives each any.
    """
    rng = random.Random(1)
    rows = range(len(images))
    columns = {
        "key": names or [f"n01440764_{row}.JPEG" for row in rows],
        "label": numbers or [rng.choice((-1, 0, 127, 128, 999)) for _ in rows],
        "file": [0 for _ in rows],
        "offset": [sum(len(each) + 1 for each in images[:row]) for row in rows],
        "size": [len(each) for each in images],
        "boxes": [[rng.random() for _ in range(4 * (row % 3))] for row in rows],
        "box_labels": [[rng.randrange(1000)] * (row % 3) for row in rows],
    }
    lists = ("boxes", pa.list_(pa.float32())), ("box_labels", pa.list_(pa.int32()))
    return pa.table(columns, schema=row_schema(*lists))
