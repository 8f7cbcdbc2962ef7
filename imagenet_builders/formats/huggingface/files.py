"""Writes the files of images: Arrow's stream format, which is mapped, and Parquet.

Source: `arrow_writer.py` and `io/parquet.py` of `datasets` 5.2.0. The bytes depend on the rows and
on the version of Arrow's library, on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from imagenet_builders.formats.huggingface.features import Row

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 100
"""Rows of a batch in Arrow, of a row group in Parquet; whoever reads one image reads no more."""

# The end of a stream: a message of no bytes.
_END = b"\xff\xff\xff\xff\0\0\0\0"

# Nor does a batch of larger images have more bytes, where it has more than one.
_BATCH_BYTES = 100_000_000


class Sink(Protocol):
    """A file that is being written."""

    def write(self, buffers: Sequence[Any], size: int) -> None:
        """Appends buffers, such as bytes or those of Arrow, whose bytes are `size` in all."""


def batches(rows: Iterable[Row], columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Puts rows into batches, in order.

    Args:
        rows: The rows.
        columns: The schema that `features.schema` makes.
    """
    batch: list[Row] = []
    size = 0
    for row in rows:
        if batch and (len(batch) == BATCH_ROWS or size + len(row.image) > _BATCH_BYTES):
            # What is in the batch is not kept here once more.
            full, batch, size = _batch(batch, columns), [], 0
            yield full
            del full
        batch.append(row)
        size += len(row.image)
    if batch:
        yield _batch(batch, columns)


def _batch(rows: Sequence[Row], columns: pa.Schema) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    images, names, labels = zip(*rows, strict=True)
    ends = np.cumsum([0, *map(len, images)], dtype=np.int64).astype(np.int32)
    data = pa.py_buffer(b"".join(images))  # Arrow's own way takes several times as much memory.
    binary = pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(ends), data])
    image = pa.StructArray.from_arrays(
        [binary, pa.array(names, pa.string())],
        fields=list(columns.field("image").type),
    )
    return pa.RecordBatch.from_arrays([image, pa.array(labels, pa.int64())], schema=columns)


class ArrowFile:
    """A file in Arrow's stream format, as `Dataset.save_to_disk` writes it.

    Args:
        sink: Where its bytes go.
        columns: The schema of its batches.
    """

    def __init__(self, sink: Sink, columns: pa.Schema):
        self._sink = sink
        self._append(columns.serialize())

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends a batch."""
        self._append(batch.serialize())

    def _append(self, message: pa.Buffer) -> None:
        self._sink.write([message], message.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._sink.write([_END], len(_END))


class ParquetFile:
    """A file in Parquet, as `Dataset.to_parquet` writes it; each batch is a row group.

    Images are compressed already, so nothing is compressed. Each page has its checksum.

    Args:
        sink: Where its bytes go.
        columns: The schema of its batches.
    """

    def __init__(self, sink: Sink, columns: pa.Schema):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(
            pa.PythonFile(_Stream(sink), "w"),
            columns,
            compression="none",
            use_dictionary=False,
            write_statistics=["label"],
            write_page_checksum=True,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends a batch."""
        self._writer.write_batch(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._writer.close()


class _Stream:
    """A sink as the file that Arrow's library writes to."""

    def __init__(self, sink: Sink):
        self._sink = sink
        self._size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        size = len(data)
        # What Arrow gives may be its own memory, which it uses again.
        self._sink.write([bytes(data)], size)
        self._size += size
        return size

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
