"""Examples of tiny_imagenet from rows, which are members of a zip archive or files of their own."""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from imagenet_builders import images
from imagenet_builders.datasets.ilsvrc2012 import examples
from imagenet_builders.datasets.tiny_imagenet.boxes import SIDE
from imagenet_builders.errors import BadImageError
from imagenet_builders.formats.tfrecord.example import FlatExample, float_value_sizes
from imagenet_builders.plan.recipe import Note
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import WHOLE_FILE, check_image_size

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def make_examples(
    rows: pa.Table, reader: Reader, bad_images: str, notes: list[Note]
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of rows, in their order.

    Args:
        rows: A part of an index of `staged.index_split`.
        reader: Reads the files that the rows point into.
        bad_images: `fail` or `skip`.
        notes: Receives a note for each image that is repaired or skipped.

    Yields:
        Key and features (`image`: JPEG bytes, `label`: 0 to 199 or -1, `file_name`, `bbox`: float32
        of shape (4,), ymin, xmin, ymax, xmax).

    Raises:
        BadImageError: An image is bad and the policy is to fail.
        SourceError: A source changed.
    """
    names = ("key", "label", "file", "offset", "size", "packed", "crc")
    columns = (rows[name].to_pylist() for name in names)
    boxes = rows["bbox"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
    for key, label, file, offset, size, packed, crc, box in zip(*columns, boxes, strict=True):
        path = reader.files[file].path
        problem = None
        check_image_size(path, key, max(size, packed))
        if offset == WHOLE_FILE:
            data = reader.read_named(file, key, size)
            path, offset = os.path.join(path, key), 0
        else:
            data = reader.read(file, offset, packed or size)
            try:
                data = member_bytes(data, size=size, crc=crc, deflated=packed > 0)
            except ValueError as error:
                problem = str(error)
        if problem is None:
            checked = images.checked(data)
            problem = checked.problem
            if problem is None and (checked.width, checked.height) != (SIDE, SIDE):
                problem = (
                    f"an image of {checked.width} x {checked.height} pixels, where all of this "
                    f"dataset have {SIDE} x {SIDE}"
                )
        if problem is None:
            if checked.repair is not None:
                notes.append(Note(key, "repaired", checked.repair, path, offset))
            yield key, {"image": checked.data, "label": label, "file_name": key, "bbox": box}
        elif bad_images == "skip":
            notes.append(Note(key, "skipped", problem, path, offset))
        else:
            raise BadImageError(
                path,
                f"{problem}; copy the archive again, or build with --bad-images skip "
                "to leave such images out",
                member=key,
                offset=offset,
            )


def member_bytes(data: bytes, *, size: int, crc: int, deflated: bool) -> bytes:
    """The bytes of a zip member from those that are stored.

    Args:
        data: As they are stored.
        size: Bytes of the member itself; no more than one more is ever made.
        crc: CRC-32 of the member itself.
        deflated: Whether they are compressed.

    Returns:
        The member.

    Raises:
        ValueError: They cannot be inflated to that size, or have another CRC-32.
    """
    if deflated:
        inflater = zlib.decompressobj(-15)
        try:
            data = inflater.decompress(data, size + 1)
        except zlib.error as error:
            raise ValueError(f"its compressed data are damaged ({error})") from None
        if len(data) != size or not inflater.eof or inflater.unused_data:
            raise ValueError(
                f"its compressed data are damaged: they do not make {size:,} bytes, as the "
                "archive says"
            )
    found = zlib.crc32(data)
    if found != crc:
        raise ValueError(
            f"damaged: expected the CRC-32 {crc:08x} that the archive says, found {found:08x}"
        )
    return data


def _box_sizes(rows: pa.Table) -> Mapping[str, np.ndarray]:
    import numpy as np

    return {"bbox": float_value_sizes(np.full(len(rows), 4))}


example_sizes = functools.partial(examples.example_sizes, more=_box_sizes)
"""Bytes of each serialized example; see `examples.example_sizes`."""
