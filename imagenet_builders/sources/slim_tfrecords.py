"""Rows of ImageNet as TFRecords of TensorFlow's slim: `train-00000-of-01024` and its like.

Each record is a `tf.train.Example` with the image, its file name, its class (1 to 1,000 in the
order of the wnids) and its boxes. A row points to the image where it lies within the record; its
key is the file name and its label that of the name, which `image/class/label` and
`image/class/synset` must agree with. Other converters count classes from 0; which of the two it is,
the first record of a shard tells, and all others of the shard must agree.

A record whose checksum is right is as it was written, so nothing that is said of it is blamed on a
copy. Records without file names are refused: no example could have one.

What is around the image is read, the image is not; so of the two checksums of a record, that of its
length is checked here, and that of its data when the image is read for a build. Index files for
DALI, such as those in an `idx_dir`, say nothing that is not in the records.

The boxes are relative already, rounded to four decimals. A box of no extent is left out, as
elsewhere. Images of CMYK and PNG were encoded anew by slim.

Source: `research/slim/datasets/build_imagenet_data.py` and `process_bounding_boxes.py` of
tensorflow/models.
"""

from __future__ import annotations

import functools
import os
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imagenet_builders import labels
from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import signatures
from imagenet_builders.formats.signatures import Signature, recognise
from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.example_values import Kind
from imagenet_builders.formats.tfrecord.example_window import Features, Window
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources import slim_boxes
from imagenet_builders.sources.columns import number_array
from imagenet_builders.sources.rows import (
    Rows,
    SourceFile,
    check_not_too_many,
    opened,
    row_schema,
)
from imagenet_builders.sources.shard_sets import ShardsJob
from imagenet_builders.sources.slim_boxes import CLASSES, Odd, listed

if TYPE_CHECKING:
    import pyarrow as pa


_FILENAME = b"image/filename"
_ENCODED = b"image/encoded"
_FORMAT = b"image/format"
_SYNSET = b"image/class/synset"
_LABEL = b"image/class/label"
_NEEDED = (_FILENAME, _ENCODED, _LABEL)
_WANTED = {
    _FILENAME: Kind.TEXT,
    _ENCODED: Kind.PLACE,
    _FORMAT: Kind.TEXT,
    _SYNSET: Kind.TEXT,
    _LABEL: Kind.INTS,
    **slim_boxes.WANTED,
}

_JPEG = b"JPEG"

AGAIN = "the file was damaged, copy it again"
"""What to do about a file whose records are wrong."""

_AS_WRITTEN = (
    "its checksum is right, so this is how it was written; stage the official archives, or records "
    "by the scripts of slim"
)


class _Collected:
    """Rows of the records of a shard, with what `slim_schema` adds to them.

    Args:
        position: The shard's position among the files of the index.
    """

    def __init__(self, position: int) -> None:
        self.base: int | None = None  # What classes are counted from.
        # Key, label, offset and size of the image, offset and size of the record.
        self.records: list[tuple[str, int, int, int, int, int]] = []
        # Of records with boxes: their rows, how many boxes, and how many odd ones.
        self.boxed: list[tuple[int, int, Odd]] = []
        self.corners = array("f")
        self.box_labels = array("i")
        self._position = position

    def table(self) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        rows = Rows()
        by_column = map(list, zip(*self.records, strict=True))
        rows.keys, rows.labels, rows.offsets, rows.sizes, record_offsets, record_sizes = by_column
        rows.files = [self._position] * len(rows)
        boxed, counts, odd = zip(*self.boxed, strict=True) if self.boxed else ((), (), ())
        ends = np.zeros(len(rows) + 1, np.int32)
        ends[[row + 1 for row in boxed]] = counts
        ends = ends.cumsum(dtype=np.int32)
        odd_columns = np.zeros((len(Odd._fields), len(rows)), np.int32)
        odd_columns[:, list(boxed)] = np.array(odd, np.int32).reshape(-1, len(Odd._fields)).T
        lists = (
            (ends * 4, number_array(np.frombuffer(self.corners, np.float32), pa.float32())),
            (ends, number_array(np.frombuffer(self.box_labels, np.int32), pa.int32())),
        )
        columns = [
            *rows.table().columns,
            number_array(np.array(record_offsets, np.int64), pa.int64()),
            number_array(np.array(record_sizes, np.int64), pa.int64()),
            *(pa.ListArray.from_arrays(number_array(e, pa.int32()), v) for e, v in lists),
            *(number_array(column, pa.int32()) for column in odd_columns),
        ]
        return pa.Table.from_arrays(columns, schema=slim_schema())


def slim_schema() -> pa.Schema:
    """The columns of the rows of records.

    Beside those of every index: `record_offset` and `record_size` (int64), the record with its
    frame; `boxes` (list of float32: ymin, xmin, ymax, xmax of each box in turn, relative),
    `box_labels` (list of int32, one a box); how many of the boxes were `swapped` or `clamped`, and
    how many `empty` ones were left out (int32).
    """
    import pyarrow as pa

    return row_schema(
        ("record_offset", pa.int64()),
        ("record_size", pa.int64()),
        ("boxes", pa.list_(pa.float32())),
        ("box_labels", pa.list_(pa.int32())),
        *((name, pa.int32()) for name in ("swapped", "clamped", "empty")),
    )


def box_table(table: pa.Table) -> pa.Table:
    """The boxes in records as annotations of their images.

    Args:
        table: A table of `slim_schema()`.

    Returns:
        A table of `box_archives.box_schema()`, of the images that had any box. Its file, offset and
        size are those of the image.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from imagenet_builders.sources.box_archives import box_schema

    had_any = pc.greater(pc.add(pc.list_value_length(table["box_labels"]), table["empty"]), 0)
    table = table.filter(had_any)
    for field in box_schema():
        if field.name not in table.column_names:
            zeros = number_array(np.zeros(table.num_rows, np.int32), pa.int32())
            table = table.append_column(field, zeros.cast(field.type))
    return table.select(box_schema().names)


def shards_table(job: ShardsJob, report: Callable[[int, int], None]) -> pa.Table:
    """The rows of some shards; a job for the workers.

    Args:
        job: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `slim_schema()`, in the order of the job and of each shard.

    Raises:
        SourceError: As `index_shards`.
    """
    import pyarrow as pa

    rows_of = functools.partial(_shard_rows, Naming(job.split))
    return pa.concat_tables([part.table() for part in sets.each_shard(job, rows_of)])


def first_record(file: SourceFile, naming: Naming) -> int:
    """Reads the first record of a shard, by the rules of a build.

    Args:
        file: The shard.
        naming: What names say of images.

    Returns:
        What its classes are counted from, 0 or 1.

    Raises:
        SourceError: As `index_shards`.
    """
    base = _shard_rows(naming, 0, file, most=1).base
    assert base is not None
    return base


def _shard_rows(
    naming: Naming, position: int, file: SourceFile, most: int | None = None
) -> _Collected:
    """The rows of one shard, or of its first records."""
    collected = _Collected(position)

    def add(found: dict[bytes, Any], at: int, end: int) -> None:
        _add(collected, found, at, end, naming)

    read_records(file, _features(), add, if_written_so=_AS_WRITTEN, most=most)
    return collected


@functools.cache
def _features() -> Features:
    """Reads examples of slim; one for all shards, as most repeat what others have."""
    return Features(_WANTED, repeating=frozenset((_FORMAT, _SYNSET, _LABEL)))


def read_records(
    file: SourceFile,
    features: Features,
    add: Callable[[dict[bytes, Any], int, int], None],
    *,
    if_written_so: str,
    most: int | None = None,
) -> None:
    """Reads the features of the records of a shard, one after another.

    Args:
        file: The shard.
        features: Which of them.
        add: Takes those of a record, and where the record with its frame begins and ends. Raises
            DamageError where they are not what they should be.
        if_written_so: What to do about a record that is wrong and has the right checksum.
        most: So many records are read; None for all.

    Raises:
        SourceError: The file cannot be opened, or changed.
        ArchiveError: It is damaged, empty, or another file.
    """
    at = end = number = 0
    with opened(file) as fd:
        window = Window(fd, file.size)
        try:
            while at < file.size and number != most:
                end = 0
                head = window.get(at, min(frame.HEAD_BYTES, file.size - at))
                begin = at + frame.HEAD_BYTES
                end = begin + frame.data_length(head, file.size - at) + frame.TAIL_BYTES
                add(features.read(window, begin, end - frame.TAIL_BYTES), at, end)
                at, number = end, number + 1
                check_not_too_many(file.path, number)
        except (DamageError, OSError) as error:
            other = foreign(window.get(0, min(signatures.BYTES, file.size)))
            if not end and not number and other is not None:
                raise ArchiveError(
                    file.path, f"expected records of images, found {other.name}; {other.action}"
                ) from None
            problem = error if isinstance(error, DamageError) else f"it could not be read ({error})"
            cure = if_written_so if _is_whole(fd, at, end) else AGAIN
            raise ArchiveError(
                file.path, f"{problem}; {cure}", member=f"record {number}", offset=at
            ) from None
    if not number:
        raise ArchiveError(file.path, f"expected records of images, found an empty file; {AGAIN}")


def foreign(block: bytes) -> Signature | None:
    """What a file is that is no TFRecord file, or None where nothing is known.

    The length of a record may begin with any bytes, but ends in zeros, which no text has.

    Args:
        block: Its first `signatures.BYTES`, or all it has.
    """
    return None if 0 in block[: frame.HEAD_BYTES - frame.TAIL_BYTES] else recognise(block)


def _is_whole(fd: int, at: int, end: int) -> bool:
    """Whether the checksum of a record is right; `end` is 0 where its length is wrong."""
    try:
        record = os.pread(fd, max(0, end - at), at)
    except OSError:
        return False
    data, tail = record[frame.HEAD_BYTES : -frame.TAIL_BYTES], record[-frame.TAIL_BYTES :]
    return bool(record) and frame.data_damage(data, tail) is None


def _add(collected: _Collected, found: dict[bytes, Any], at: int, end: int, naming: Naming) -> None:
    """Adds the row of an example, once its features agree."""
    if _FILENAME not in found and _ENCODED in found:
        raise DamageError(
            "expected the feature 'image/filename', found none: records without file names make no "
            "examples, which have one each"
        )
    for feature in _NEEDED:
        if feature not in found:
            raise DamageError(f"expected the feature {feature.decode()!r}, found none")
    key = found[_FILENAME].rpartition(b"/")[2].decode("latin-1")
    try:
        key, label = naming.row_of(key)
    except ValueError as error:
        raise DamageError(f"expected the name of an image, found {key[:80]!r}: {error}") from None
    base = collected.base
    if base is None:
        base = collected.base = 0 if found[_LABEL] == (label,) else 1
    _check_class(found, key, label, base)
    offset, size = found[_ENCODED]
    if any(map(found.get, slim_boxes.WANTED)):
        boxes = slim_boxes.boxes_of(found, key, label, base)
        collected.corners.extend(boxes.corners)
        collected.box_labels.extend(boxes.labels)
        collected.boxed.append((len(collected.records), len(boxes.labels), boxes.odd))
    collected.records.append((key, label, offset, size, at, end - at))


@functools.cache
def _wnids() -> tuple[bytes, ...]:
    return tuple(wnid.encode() for wnid in labels.wnids("imagenet2012"))


def _check_class(found: dict[bytes, Any], key: str, label: int, base: int) -> None:
    """Checks that everything that says the class says that of the name."""
    if found[_LABEL] != (label + base,):
        raise DamageError(
            f"expected class {label + base} (of {base} to {CLASSES - 1 + base:,}), that of the "
            f"name {key}, found {listed(found[_LABEL])}"
        )
    wnid = _wnids()[label]
    if found.get(_SYNSET, wnid) != wnid:
        synset = found[_SYNSET].decode("latin-1")
        raise DamageError(
            f"expected the synset {wnid.decode()}, that of the name {key}, found {synset[:80]!r}"
        )
    kind = found.get(_FORMAT, _JPEG)
    if kind != _JPEG and kind.decode("latin-1").upper() != "JPEG":
        kind = kind.decode("latin-1")
        raise DamageError(f"expected the format JPEG of {key}, found {kind[:80]!r}")
