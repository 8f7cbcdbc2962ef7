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
import math
import os
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imagenet_builders import labels
from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import signatures, voc
from imagenet_builders.formats.signatures import Signature, recognise
from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.example_window import Features, Kind, Window
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources.columns import number_array
from imagenet_builders.sources.rows import (
    Rows,
    SourceFile,
    check_not_too_many,
    opened,
    row_schema,
)
from imagenet_builders.sources.shard_sets import ShardsJob

if TYPE_CHECKING:
    import pyarrow as pa


_FILENAME = b"image/filename"
_ENCODED = b"image/encoded"
_FORMAT = b"image/format"
_SYNSET = b"image/class/synset"
_LABEL = b"image/class/label"
_CORNERS = tuple(b"image/object/bbox/" + name for name in (b"xmin", b"ymin", b"xmax", b"ymax"))
_BOX_LABELS = b"image/object/bbox/label"
_WANTED = {
    _FILENAME: Kind.TEXT,
    _ENCODED: Kind.PLACE,
    _FORMAT: Kind.TEXT,
    _SYNSET: Kind.TEXT,
    _LABEL: Kind.INTS,
    **dict.fromkeys(_CORNERS, Kind.FLOATS),
    _BOX_LABELS: Kind.INTS,
}

_CLASSES = 1000

AGAIN = "the file was damaged, copy it again"
"""What to do about a file whose records are wrong."""

_AS_WRITTEN = (
    "its checksum is right, so this is how it was written; stage the official archives, or records "
    "by the scripts of slim"
)


class _Collected:
    """Rows of records, with what `slim_schema` adds to them."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.base: int | None = None  # What classes are counted from.
        self.record_offsets = array("q")
        self.record_sizes = array("q")
        self.corners = array("f")
        self.box_labels = array("i")
        self.boxes_so_far = array("i", [0])
        self.odd = {name: array("i") for name in ("swapped", "clamped", "empty")}

    def table(self) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        def numbers(values: array[int] | array[float], kind: pa.DataType) -> pa.Array:
            return number_array(np.frombuffer(values, values.typecode), kind)

        ends = np.frombuffer(self.boxes_so_far, np.int32)
        table = self.rows.table()
        lists = (
            (ends * 4, numbers(self.corners, pa.float32())),
            (ends, numbers(self.box_labels, pa.int32())),
        )
        columns = [
            *table.columns,
            numbers(self.record_offsets, pa.int64()),
            numbers(self.record_sizes, pa.int64()),
            *(pa.ListArray.from_arrays(number_array(e, pa.int32()), v) for e, v in lists),
            *(numbers(column, pa.int32()) for column in self.odd.values()),
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
    collected = _Collected()
    features = Features(_WANTED, repeating=frozenset((_FORMAT, _SYNSET, _LABEL)))

    def add(found: dict[bytes, Any], at: int, end: int) -> None:
        _add(collected, position, found, naming)
        collected.record_offsets.append(at)
        collected.record_sizes.append(end - at)

    read_records(file, features, add, if_written_so=_AS_WRITTEN, most=most)
    return collected


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


def _add(collected: _Collected, position: int, found: dict[bytes, Any], naming: Naming) -> None:
    """Adds the row of an example, once its features agree."""
    if _FILENAME not in found and _ENCODED in found:
        raise DamageError(
            "expected the feature 'image/filename', found none: records without file names make no "
            "examples, which have one each"
        )
    for feature in (_FILENAME, _ENCODED, _LABEL):
        if feature not in found:
            raise DamageError(f"expected the feature {feature.decode()!r}, found none")
    key = found[_FILENAME].rpartition(b"/")[2].decode("latin-1")
    try:
        key, label = naming.row_of(key)
    except ValueError as error:
        raise DamageError(f"expected the name of an image, found {key[:80]!r}: {error}") from None
    if collected.base is None:
        collected.base = 0 if found[_LABEL] == (label,) else 1
    _check_class(found, key, label, collected.base)
    offset, size = found[_ENCODED]
    collected.rows.add(key, label, position, offset, size)
    boxes = _boxes(found, key, label, collected.base)
    collected.corners.extend(boxes.corners)
    collected.box_labels.extend(map(int, boxes.names))
    collected.boxes_so_far.append(len(collected.box_labels))
    for name, column in collected.odd.items():
        column.append(getattr(boxes, name))


def _check_class(found: dict[bytes, Any], key: str, label: int, base: int) -> None:
    """Checks that everything that says the class says that of the name."""
    if found[_LABEL] != (label + base,):
        raise DamageError(
            f"expected class {label + base} (of {base} to {_CLASSES - 1 + base:,}), that of the "
            f"name {key}, found {_listed(found[_LABEL])}"
        )
    wnid = labels.wnids("imagenet2012")[label]
    if found.get(_SYNSET, wnid.encode()) != wnid.encode():
        synset = found[_SYNSET].decode("latin-1")
        raise DamageError(
            f"expected the synset {wnid}, that of the name {key}, found {synset[:80]!r}"
        )
    kind = found.get(_FORMAT, b"JPEG").decode("latin-1")
    if kind.upper() != "JPEG":
        raise DamageError(f"expected the format JPEG of {key}, found {kind[:80]!r}")


def _boxes(found: dict[bytes, Any], key: str, label: int, base: int) -> voc.Boxes:
    """The boxes of an image, each with its label for a name."""
    xmin, ymin, xmax, ymax = (found.get(name, ()) for name in _CORNERS)
    own = (label + base,) * len(xmin)
    box_labels = found.get(_BOX_LABELS, own)
    if not len(xmin) == len(ymin) == len(xmax) == len(ymax) == len(box_labels):
        raise DamageError(f"expected as many of each side and label of the boxes of {key}")
    if not xmin:
        return _NO_BOXES
    if not all(map(math.isfinite, xmin + ymin + xmax + ymax)):
        raise DamageError(f"expected boxes of {key} relative to it, found what is not a number")
    if not all(base <= number < _CLASSES + base for number in box_labels):
        raise DamageError(
            f"expected classes from {base} to {_CLASSES - 1 + base:,} of the boxes of {key}, "
            f"found {_listed(box_labels)}"
        )
    names = (str(number - base) for number in box_labels)
    objects = map(voc.VocObject, names, xmin, ymin, xmax, ymax)
    return voc.relative(voc.Annotation(1.0, 1.0, tuple(objects)))


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:5])) or "none"


_NO_BOXES = voc.Boxes(array("f"), (), 0, 0, 0)
