"""Makes examples of imagenet2012_downsampled: reads pixels, and encodes them as PNGs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from imagenet_builders.formats import png
from imagenet_builders.formats.tfrecord.example import (
    bytes_value_sizes,
    int_value_sizes,
    serialized_sizes,
)
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.sources.columns import numbers_in, rows_at, text_sizes
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.encoded_rows import EncodedExamples

if TYPE_CHECKING:
    import pyarrow as pa

_CHANNELS = 3

SAMPLE_ROWS = 256
"""Of so many pictures the sizes as PNGs are measured; the others are taken to have their mean."""


def _encoded(rows: pa.Table, reader: Reader) -> Iterator[bytes]:
    """Yields the PNG of each row; see `EncodedExamples.encode`.

    Args:
        rows: A part of an index, all of one size.
        reader: Reads the files that the rows point into.
    """
    if not rows.num_rows:
        return
    files, offsets, sizes = (numbers_in(rows[name]).tolist() for name in ("file", "offset", "size"))
    width = _width(sizes[0])
    step = min(png.block_rows(width), rows.num_rows)
    encoder = png.Encoder(step, width, width)
    planes = np.empty((step, _CHANNELS, width, width), np.uint8)
    pixels = planes.data.cast("B")
    for start in range(0, rows.num_rows, step):
        end = 0
        block = slice(start, start + step)
        for file, offset, size in zip(files[block], offsets[block], sizes[block], strict=True):
            begin, end = end, end + size
            reader.read_into(file, offset, pixels[begin:end])
        yield from encoder.encode_planes(planes[: min(step, rows.num_rows - start)])


make_examples = EncodedExamples(_encoded, (("label", "label"), ("id", "key"))).make
"""Makes examples of rows of an index of one size, with the features `image` (PNG), `label` (0 to
999) and `id` (as the key); see `MakeExamples`."""


def example_sizes(index: Index) -> np.ndarray:
    """Bytes of each serialized example, estimated.

    The plan needs the sum of all sizes, and only encoding a PNG tells its size. So `SAMPLE_ROWS`
    pictures, evenly spaced over the index, are encoded, and all others count as their mean. The
    same index gives the same sizes.

    Args:
        index: The index of a split.

    Returns:
        int64 array of shape (rows,).
    """
    table = index.table
    sample = np.unique(np.linspace(0, len(index) - 1, min(SAMPLE_ROWS, len(index)), dtype=np.int64))
    rows = rows_at(table, sample)
    with index.reader() as reader:
        examples = make_examples(rows, reader, ImagePolicy(), [])
        measured = [len(example["image"]) for _, example in examples]  # type: ignore[arg-type]  # Bytes.
    sizes = np.full(len(index), round(sum(measured) / max(1, len(measured))), dtype=np.int64)
    sizes[sample] = measured
    return serialized_sizes(
        {
            "image": bytes_value_sizes(sizes),
            "label": int_value_sizes(numbers_in(table["label"])),
            "id": bytes_value_sizes(text_sizes(table["key"])),
        },
        len(index),
    )


def _width(row_bytes: int) -> int:
    """Width and height of a picture in pixels, from the bytes of its row."""
    return math.isqrt(row_bytes // _CHANNELS)
