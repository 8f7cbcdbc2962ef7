"""The feature `objects`: joins boxes to images in an index, in examples, and for TFDS."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from imagenet_builders.formats.tfrecord.example import (
    FlatExample,
    FlatValue,
    bytes_value_sizes,
    float_value_sizes,
)
from imagenet_builders.plan.index import Index
from imagenet_builders.sources.columns import list_array, number_array, numbers_in
from imagenet_builders.sources.rows import row_schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


FLAT_COLUMNS = (("objects/bbox", "boxes"), ("objects/label", "box_labels"))
"""The features of `flat_objects`, and the columns of `with_objects` that have their values."""


def with_objects(index: Index, boxes: pa.Table) -> tuple[Index, dict[str, int]]:
    """Joins boxes to their images.

    Args:
        index: The images.
        boxes: A table of `box_archives.box_schema()`, each key once. Images may have no row in it,
            and rows no image.

    Returns:
        The index with two more columns: `boxes` (list of float32: ymin, xmin, ymax, xmax of each
        box in turn) and `box_labels` (list of int32), both empty for an image without annotation.
        And counts by name, for `provenance.json`: of boxes, of images, of annotations.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = index.table["key"].combine_chunks()
    found = pc.index_in(keys, value_set=boxes["key"].combine_chunks())
    # An image without annotation takes the row behind the last one, whose lists are empty.
    last = number_array(np.array([boxes.num_rows], np.int32), pa.int32())[0]
    row = found.fill_null(last)
    # Records that have boxes bring columns of the same names.
    own = set(boxes.column_names) - set(row_schema().names)
    table = index.table.select([name for name in index.table.column_names if name not in own])
    for name in ("boxes", "box_labels"):
        column = boxes[name].combine_chunks()
        column = pa.concat_arrays([column, list_array([[]], column.type)])
        table = table.append_column(name, column.take(row))
    used = boxes.take(found.drop_null().unique())
    of_rows = counts_of(table)
    counts = {
        "boxes": of_rows["boxes"],
        "boxes_swapped": _sum(used, "swapped"),
        "boxes_clamped": _sum(used, "clamped"),
        "boxes_dropped_as_empty": _sum(used, "empty"),
        "boxes_not_named_by_a_class": _sum(used, "unnamed"),
        "boxes_of_another_class": of_rows["boxes_of_another_class"],
        "images_without_boxes": of_rows["images_without_boxes"],
        "annotations_without_image": boxes.num_rows - used.num_rows,
        "annotations_in_another_folder": _sum(used, "elsewhere"),
        "annotations_repeated": _sum(used, "repeats"),
    }
    return dataclasses.replace(index, table=table), counts


def counts_of(rows: pa.Table) -> dict[str, int]:
    """The counts of `with_objects` that the rows of its index tell."""
    import numpy as np
    import pyarrow.compute as pc

    per_image = numbers_in(pc.list_value_length(rows["box_labels"]))
    image_labels = np.repeat(numbers_in(rows["label"]), per_image)
    box_labels = numbers_in(pc.list_flatten(rows["box_labels"]))
    return {
        "boxes": int(per_image.sum()),
        "boxes_of_another_class": int((image_labels != box_labels).sum()),
        "images_without_boxes": int((per_image == 0).sum()),
    }


def without_objects(index: Index) -> tuple[Index, dict[str, int]]:
    """As `with_objects`, without any annotation."""
    import pyarrow as pa

    rows = len(index)
    table = index.table
    for name, kind in (("boxes", pa.float32()), ("box_labels", pa.int32())):
        table = table.append_column(name, list_array([[]] * rows, pa.list_(kind)))
    return dataclasses.replace(index, table=table), {"boxes": 0, "images_without_boxes": rows}


def flat_objects(rows: pa.Table) -> Iterator[dict[str, FlatValue]]:
    """The features of the objects in each image, in the order of the rows.

    Args:
        rows: Rows of an index with the columns of `with_objects`.

    Yields:
        `objects/bbox`: float32 of shape (boxes, 4), ymin, xmin, ymax, xmax, relative to the image;
        `objects/label`: int64 of shape (boxes,).
    """
    import numpy as np

    columns = (rows["boxes"].to_pylist(), rows["box_labels"].to_pylist())
    for boxes, labels in zip(*columns, strict=True):
        yield {
            "objects/bbox": np.array(boxes, np.float32).reshape(-1, 4),
            "objects/label": np.array(labels, np.int64),
        }


def features(classes: Sequence[str] | None) -> Any:
    """The features of images with objects, as a `tfds.features.FeaturesDict`.

    Args:
        classes: Wnids of the classes, in the order of their labels; None if not known yet.
    """
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=classes),
            "file_name": tfds.features.Text(),  # Such as n15075141_54.JPEG.
            "objects": tfds.features.Sequence(
                {
                    "bbox": tfds.features.BBoxFeature(),
                    "label": tfds.features.ClassLabel(names=classes),
                }
            ),
        }
    )


def nested(example: FlatExample) -> dict[str, Any]:
    """An example in the form that `features.encode_example` takes: a list of objects."""
    flat = dict(example)
    boxes, labels = flat.pop("objects/bbox"), flat.pop("objects/label")
    objects = [
        {"bbox": box, "label": label}
        for box, label in zip(boxes, labels, strict=True)  # type: ignore[arg-type]  # Arrays.
    ]
    return flat | {"objects": objects}


def value_sizes(table: pa.Table) -> dict[str, np.ndarray]:
    """Bytes inside the lists of the features of `flat_objects`, each of shape (rows,)."""
    import numpy as np
    import pyarrow.compute as pc

    counts = numbers_in(pc.list_value_length(table["box_labels"]))
    # A label below 2^7 takes one byte, and one below 2^14 two; there are not that many classes.
    large = np.cumsum(np.append(0, numbers_in(pc.list_flatten(table["box_labels"])) >= 1 << 7))
    ends = np.cumsum(counts)
    label_bytes = counts + large[ends] - large[ends - counts]
    return {
        "objects/bbox": float_value_sizes(4 * counts),
        # An empty packed list is not written at all.
        "objects/label": np.where(label_bytes > 0, bytes_value_sizes(label_bytes), 0),
    }


def _sum(table: pa.Table, column: str) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.cast(table[column], "int64")).as_py() or 0)
