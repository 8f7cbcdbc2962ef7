"""Records of a dataset that was built, as rows: a source that is in its final order already.

A row is a record: its offset and size are those of its bytes in the shard, or, where only the
format's library finds a record, its number there and about its size. Its key is its number in the
split, and its label is not known before it is read.

    dataset = BuiltDataset.at(directory)
    index = index_split(dataset, "train", workers)
    plan = plan_in_order("train", index, shards=1024)
    examples = functools.partial(make_examples, dataset.features)

The checksum of each record is compared when it is read.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats.tfrecord import frame
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.plan import SplitPlan, shard_ends
from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.records.dataset import BuiltDataset
from imagenet_builders.records.values import Leaf, flat_of_record
from imagenet_builders.sources.columns import number_array
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.sources.indexing import Runner, in_batches, run_for_table
from imagenet_builders.sources.reader import Access, ImageRow, Reader, columns
from imagenet_builders.sources.rows import SourceFile, opened, row_schema
from imagenet_builders.words import counted
from imagenet_builders.write.outputs.output import Output, RecordFileError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# So many records are worth a process: to find one takes a few microseconds.
_BATCH_RECORDS = 1 << 17

# So many records are read at once by a library.
_READ_AT_ONCE = 16

_SEE = "`imagenet-builders verify` says what else is wrong with its dataset"


@dataclasses.dataclass(frozen=True)
class RecordsJob:
    """Shards whose records are looked for.

    Attributes:
        output: What wrote them.
        shards: The shards, each with its position among the files of the index, and the number of
            records that it must have.
    """

    output: Output
    shards: tuple[tuple[int, SourceFile, int], ...]


def index_split(dataset: BuiltDataset, split: str, workers: Runner) -> Index:
    """The rows of a split, in the order of its records.

    Args:
        dataset: The dataset.
        split: Name of the split.
        workers: Who reads where records are: twelve bytes of each.

    Raises:
        SourceError: A shard is missing or damaged, or has another number of records than its
            dataset says.
    """
    import numpy as np
    import pyarrow as pa

    lengths = dataset.lengths[split]
    files = _files([dataset.shard(split, number) for number in range(len(lengths))])
    shards = zip(range(len(files)), files, lengths, strict=True)
    batches = in_batches(shards, _BATCH_RECORDS, lambda shard: shard[2])
    jobs = (RecordsJob(dataset.output, batch) for batch in batches)
    table = run_for_table(workers, records_table, jobs, schema=_schema())
    numbers = number_array(np.arange(table.num_rows, dtype=np.int64), pa.int64())
    table = table.add_column(0, "key", numbers.cast(pa.string()))
    access = _FRAMED
    if dataset.output.index is None:
        access = Access(functools.partial(_read_numbered, dataset.output), _no_ranges)
    return Index(table, tuple(files), access)


def _files(shards: Sequence[Path]) -> list[SourceFile]:
    try:
        return source_files(shards)
    except SourceError:
        # What that says is for archives, of which one stages another copy.
        for shard in shards:
            try:
                os.close(open_regular(shard, follow=True))
            except OSError as error:
                raise _unreadable(str(shard), error) from error
        raise


def records_table(job: RecordsJob, report: Callable[[int, int], None]) -> pa.Table:
    """The rows of some shards, without their keys; a job for the workers.

    Args:
        job: Which.
        report: Not used; the signature is that of every job of the workers.

    Raises:
        SourceError: As `index_split`.
    """
    import numpy as np
    import pyarrow as pa

    assert job.output.open is not None
    tables = []
    for position, file, expected in job.shards:
        try:
            with opened(file):
                records = job.output.open(file.path, None)
        except (OSError, RecordFileError) as error:
            raise _unreadable(file.path, error) from error
        if len(records) != expected:
            raise _unreadable(
                file.path,
                RecordFileError(f"it has {counted(len(records), 'record')} and not {expected:,}"),
            )
        count, offsets = len(records), records.offsets
        if offsets is None:
            sizes = np.full(count, file.size // max(1, count), np.int64)
            places: np.ndarray = np.arange(count, dtype=np.int64)
        else:
            places, sizes = offsets.offsets.astype(np.int64), offsets.sizes.astype(np.int64)
        arrays = [
            number_array(np.full(count, -1, np.int32), pa.int32()),
            number_array(np.full(count, position, np.int32), pa.int32()),
            number_array(places, pa.int64()),
            number_array(sizes, pa.int64()),
        ]
        tables.append(pa.Table.from_arrays(arrays, schema=_schema()))
    return pa.concat_tables(tables)


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in row_schema() if field.name != "key"])


def plan_in_order(split: str, index: Index, shards: int) -> SplitPlan:
    """Cuts rows into shards in the order that they have.

    Args:
        split: Name of the split.
        index: Its rows.
        shards: Number of shards.

    Raises:
        SourceError: There are fewer rows than shards.
    """
    ends = shard_ends(len(index), shards)
    return SplitPlan(split, index.table, index.files, ends, index.access)


def make_examples(
    features: Sequence[Leaf], rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples in the records of rows, in their order.

    Args:
        features: The features that an example has.
        rows: A part of an index that `index_split` made.
        reader: Reads the shards.
        policy: Not used: images were looked at when the dataset was built.
        notes: Not used.

    Yields:
        Key and features, as `values` has them.

    Raises:
        ArchiveError: A record is damaged, or is no such example.
    """
    del policy, notes
    for row in reader.images(rows):
        try:
            yield row.key, flat_of_record(row.data, features)
        except SourceError as error:
            raise _damaged(row.path, row.key, row.offset, error) from error


def as_places(index: Index, size: int) -> Index:
    """Rows for `places`: those of records that are not read.

    Args:
        index: An index that `index_split` made.
        size: Bytes that are written of each record.
    """
    import numpy as np
    import pyarrow as pa

    table = index.table.rename_columns(
        ["record_size" if name == "size" else name for name in index.table.column_names]
    )
    sizes = number_array(np.full(len(index), size, np.int64), pa.int64())
    return Index(table.append_column("size", sizes), index.files, Access(_read_framed, _no_ranges))


def places(
    rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
) -> Iterator[tuple[str, FlatExample]]:
    """Yields where the records of rows are, without reading them; see `make_examples`.

    Yields:
        Key, and the name of the `shard`, and `offset` and `size` of the record in it.
    """
    del policy, notes
    names = [os.path.basename(file.path) for file in reader.files]
    for key, file, offset, size in columns(rows, "key", "file", "offset", "record_size"):
        yield key, {"shard": names[file], "offset": offset, "size": size}


def _read_framed(reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    """Reads records that have their checksum behind them; see `Access.read`."""
    for key, label, file, offset, size in columns(rows, "key", "label", "file", "offset", "size"):
        record = reader.read(file, offset, size + frame.TAIL_BYTES)
        data = record[:size]
        damage = frame.data_damage(data, record[size:])
        path = reader.files[file].path
        if damage is not None:
            raise _damaged(path, key, offset, damage)
        yield ImageRow(key, label, path, offset, data)


def _framed_ranges(reader: Reader, rows: pa.Table) -> Iterable[tuple[int, int, int]]:
    """Where records lie; see `Access.ranges`."""
    del reader
    return columns(rows, "file", "offset", "size")


def _read_numbered(output: Output, reader: Reader, rows: pa.Table) -> Iterator[ImageRow]:
    """Reads records that a library finds by their numbers; see `Access.read`."""
    assert output.open is not None
    numbered = columns(rows, "key", "label", "file", "offset", "size")
    for file, group in itertools.groupby(numbered, lambda row: row[2]):
        path = reader.files[file].path
        reader.open(file)
        try:
            records = output.open(path, None)
            for some in in_batches(group, _READ_AT_ONCE):
                found = records.read([number for _, _, _, number, _ in some])
                for (key, label, _, number, size), data in zip(some, found, strict=True):
                    reader.bytes_read += size
                    yield ImageRow(key, label, path, number, data)
        except RecordFileError as error:
            raise _unreadable(path, error) from error


def _no_ranges(reader: Reader, rows: pa.Table) -> Iterable[tuple[int, int, int]]:
    del reader, rows
    return ()


_FRAMED = Access(_read_framed, _framed_ranges)


def _unreadable(path: str, error: Any) -> SourceError:
    what = getattr(error, "strerror", None) or error
    return SourceError(f"{path} cannot be read: {what}; {_SEE}")


def _damaged(path: str, key: str, offset: int, error: Exception) -> ArchiveError:
    return ArchiveError(path, f"{error}; {_SEE}", member=f"record {key}", offset=offset)
