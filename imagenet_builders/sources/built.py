"""The kind of source `built`: a dataset of ILSVRC2012's images that was built as TFRecord.

It is the dataset of this package or of TensorFlow Datasets, from which others are derived without
the archives. A record has the features `file_name`, `image` and `label`, the shards lie beside a
`dataset_info.json`, which says how many records each of them has, and rows are like those of slim's
TFRecords: the image where it lies within its record, and the record, whose checksum is compared
when the image is read. Images that were repaired are what the dataset has of them.
"""

from __future__ import annotations

import functools
import json
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.files.regular import read_regular
from imagenet_builders.formats.tfrecord.example_values import Kind as Read
from imagenet_builders.formats.tfrecord.example_window import Features
from imagenet_builders.formats.tfrecord.wire import DamageError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.search import Match, Place, named_files
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources import tfrecord
from imagenet_builders.sources.columns import number_array, numbers_in
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.indexing import Prepared, Runner
from imagenet_builders.sources.inspection import WARNING, Counted, Inspection, Problem, refused
from imagenet_builders.sources.kind import Expected, Kind
from imagenet_builders.sources.rows import Rows, SourceFile, row_schema
from imagenet_builders.sources.shard_sets import ShardSet, ShardsJob
from imagenet_builders.sources.slim_tfrecords import read_records
from imagenet_builders.sources.unpacking import Means
from imagenet_builders.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

INFO = "dataset_info.json"
"""What lies beside the shards, and says how many records each has."""

SHARD = re.compile(r"[\w.+]+-(train|validation|test)\.tfrecord-([0-9]{5,})-of-([0-9]{5,})")
"""The name of a shard; its groups are the split, the number, and how many there are."""

_NAME, _IMAGE, _LABEL = b"file_name", b"image", b"label"
_WANTED = {_NAME: Read.TEXT, _IMAGE: Read.PLACE, _LABEL: Read.INTS}
_MAX_INFO_BYTES = 64 << 20

_AS_WRITTEN = (
    "its checksum is right, so this is how it was written; build from the archives, or from "
    "another build"
)


def shard_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards among the names in a directory; see `tfrecord.shard_sets`.

    >>> shard_sets(["photos-test.tfrecord-00000-of-00002"])["test"].problem[:44]
    'expected 2 shards, found 1: photos-test.tfre'
    """
    return sets.counted_sets(SHARD, names)


def recognise(place: Place) -> Iterator[Match]:
    """Recognises the shards of a part by the names of a layout; see `search.Recognise`."""
    names = [match.paths[0].name for match in named_files(place)]
    shards = shard_sets(names).get(place.part)
    if shards is not None:
        yield sets.match_of(place, shards)


def prepare(found: Found, naming: Naming, workers: Means, *, strict: bool) -> Prepared:
    """Prepares the shards of a split to be indexed; see `PrepareImages`."""
    del strict  # Nothing is passed over.
    files = tuple(source_files(found.paths, found.copies))
    path = found.paths[0].with_name(INFO)
    try:
        info = SourceFile.of(path)
    except OSError as error:
        raise _says_no_lengths(path, error.strerror) from None
    return Prepared(
        files,
        functools.partial(index_shards, naming.part, files, workers),
        also_read=(info,),
    )


def index_shards(split: str, files: Sequence[SourceFile], workers: Runner) -> pa.Table:
    """The rows of a split.

    Args:
        split: Its name.
        files: All its shards, in the order of `ShardSet.names`; the files of the index.
        workers: Who reads them: what is around the images.

    Returns:
        A table of `built_schema()`, in the order of the records.

    Raises:
        SourceError: A shard is missing, changed, or cannot be opened; or the dataset does not say
            how many records there are.
        ArchiveError: A shard is damaged, has another number of records than its dataset says, or a
            record is no image of ILSVRC2012 with its label.
    """
    import numpy as np

    sets.check_complete(split, files, shard_sets)
    lengths = shard_lengths(Path(files[0].path), split)
    table = sets.index(shards_table, split, files, workers)
    counts = np.bincount(numbers_in(table["file"]), minlength=len(files)).tolist()
    if len(lengths) != len(files):
        raise SourceError(
            f"{os.path.dirname(files[0].path)}: expected {counted(len(lengths), 'shard')} of "
            f"{split}, as {INFO} says, found {len(files):,}; build from a dataset that "
            "`imagenet-builders verify` finds whole"
        )
    for file, expected, count in zip(files, lengths, counts, strict=True):
        if count != expected:
            raise ArchiveError(
                file.path,
                f"expected {counted(expected, 'record')}, as {INFO} says, found {count:,}; see "
                "what `imagenet-builders verify` says of the dataset",
            )
    return table


def shard_lengths(shard: Path, split: str) -> list[int]:
    """How many records each shard of a split has, as its dataset says.

    Args:
        shard: One of the shards.
        split: Name of the split.

    Raises:
        SourceError: It does not say that.
    """
    path = shard.with_name(INFO)
    try:
        document = json.loads(read_regular(path, _MAX_INFO_BYTES, follow=True))
        [lengths] = [each["shardLengths"] for each in document["splits"] if each["name"] == split]
        return [int(each) for each in lengths]
    except OSError as error:
        why = error.strerror
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        why = f"it does not say how many records the shards of {split} have"
    raise _says_no_lengths(path, why) from None


def _says_no_lengths(path: Path, why: str | None) -> SourceError:
    return SourceError(f"{path} cannot be read: {why}; build from the whole directory of a dataset")


def built_schema() -> pa.Schema:
    """The columns of the rows: `record_offset` and `record_size` beside those of every index."""
    import pyarrow as pa

    return row_schema(("record_offset", pa.int64()), ("record_size", pa.int64()))


def shards_table(job: ShardsJob, report: Callable[[int, int], None]) -> pa.Table:
    """The rows of some shards; a job for the workers.

    Args:
        job: Which.
        report: Not used; the signature is that of every job of the workers.

    Raises:
        SourceError: As `index_shards`.
    """
    import pyarrow as pa

    rows_of = functools.partial(_shard_rows, Naming(job.split))
    return pa.concat_tables(list(sets.each_shard(job, rows_of)))


def _shard_rows(
    naming: Naming, position: int, file: SourceFile, most: int | None = None
) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    rows, offsets, sizes = Rows(), array("q"), array("q")

    def add(found: dict[bytes, Any], at: int, end: int) -> None:
        key, label = _row_of(found, naming)
        rows.add(key, label, position, *found[_IMAGE])
        offsets.append(at)
        sizes.append(end - at)

    features = Features(_WANTED, repeating=frozenset((_LABEL,)))
    if file.size:  # All images of a shard may have been left out.
        read_records(file, features, add, if_written_so=_AS_WRITTEN, most=most)
    places = (number_array(np.frombuffer(each, np.int64), pa.int64()) for each in (offsets, sizes))
    return pa.Table.from_arrays([*rows.table().columns, *places], schema=built_schema())


def _row_of(found: Mapping[bytes, Any], naming: Naming) -> tuple[str, int]:
    """Key and label of a record whose features agree."""
    for feature in _WANTED:
        if feature not in found:
            raise DamageError(f"expected the feature {feature.decode()!r}, found none")
    name = found[_NAME].decode("latin-1")
    try:
        key, label = naming.row_of(name)
    except ValueError as error:
        raise DamageError(f"expected the name of an image, found {name[:80]!r}: {error}") from None
    if found[_LABEL] != (label,):
        there = ", ".join(map(str, found[_LABEL][:5])) or "none"
        raise DamageError(f"expected the label {label}, that of the name {key}, found {there}")
    return key, label


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Counts the records as the dataset does, and reads the first; see `Kind.count`."""
    del inspected
    path = found.paths[0]
    try:
        images = sum(shard_lengths(path, found.split))
        if expected.naming is not None:
            _shard_rows(expected.naming, 0, SourceFile.of(path), most=1)
    except SourceError as error:
        return Counted(unread=f"the records in {found.where or path}"), [refused(error, path)]
    counted = Counted(images, unread=f"the records of {found.where or path} but the first")
    if images == expected.images:
        return counted, []
    return counted, [
        Problem(
            WARNING,
            str(path.parent),
            f"{expected.images:,} images of {found.split}",
            f"{images:,}",
            "it was built from a subset",
            "build from the archives, or without the others",
        )
    ]


KIND = Kind(
    name="built",
    recognise=recognise,
    access=tfrecord.KIND.access,
    images=prepare,
    inspect=tfrecord.inspect,
    count=count,
    not_whole=sets.not_whole,
)
