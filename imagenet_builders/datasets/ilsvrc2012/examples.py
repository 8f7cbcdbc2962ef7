"""DOCSTRING of datasets/ilsvrc2012/examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagenet_builders.formats.tfrecord.example import (
    bytes_value_sizes,
    int_value_sizes,
    serialized_sizes,
)
from imagenet_builders.plan.index import Index

if TYPE_CHECKING:
    import numpy as np


# The sizes of so many examples are reckoned at a time: of 13 million, the steps in between would be
# a gigabyte, and most of the time would go to getting it from the system.
_ROWS_AT_A_TIME = 1 << 17


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
