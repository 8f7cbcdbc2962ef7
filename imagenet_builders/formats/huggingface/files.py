"""Writes the files of images: Arrow's stream format, which is mapped, and Parquet.

Source: `arrow_writer.py` and `io/parquet.py` of `datasets` 5.2.0. The bytes depend on the rows and
on the version of Arrow's library, on nothing else.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from imagenet_builders.formats.huggingface.features import Row

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BATCH_ROWS = 100
"""Rows of a batch in Arrow, of a row group in Parquet; whoever reads one image reads no more."""

# Nor does a batch of larger images have more bytes, where it has more than one.
_BATCH_BYTES = 100_000_000


class Sink(Protocol):
    """A file that is being written."""

    def write(self, buffers: Sequence[Any], size: int) -> None:
        """Appends buffers, such as bytes or those of Arrow, whose bytes are `size` in all."""


class Batch:
    """Rows that are written together.

    Args:
        rows: The rows.
        columns: The schema that `features.schema` makes.

    Attributes:
        images: The images.
        outline: The rows as Arrow has them, with room for the images and not the images themselves.
    """

    def __init__(self, rows: Sequence[Row], columns: pa.Schema):
        self._rows, self._columns = rows, columns
        self.images: Sequence[bytes | np.ndarray] = [row.image for row in rows]
        size = sum(map(len, self.images))
        # Pages that nobody touches are addresses and no memory.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.outline = self._of(mmap.mmap(-1, max(1, size), flags), size)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Bytes of its columns."""
        size: int = self.outline.nbytes
        return size

    def filled(self) -> pa.RecordBatch:
        """The rows as Arrow has them, with a copy of the images."""
        data = b"".join(each if isinstance(each, bytes) else each.data for each in self.images)
        return self._of(data, len(data))

    def _of(self, data: mmap.mmap | bytes, size: int) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        ends = np.cumsum([0, *map(len, self.images)], dtype=np.int64).astype(np.int32)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(data).slice(0, size)]
        binary = pa.Array.from_buffers(pa.binary(), len(self), buffers)
        names = pa.array([row.name for row in self._rows], pa.string())
        image = pa.StructArray.from_arrays(
            [binary, names], fields=list(self._columns.field("image").type)
        )
        labels = pa.array([row.label for row in self._rows], pa.int64())
        return pa.RecordBatch.from_arrays([image, labels], schema=self._columns)


def batches(rows: Iterable[Row], columns: pa.Schema) -> Iterator[Batch]:
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
            full, batch, size = Batch(batch, columns), [], 0
            yield full
            del full
        batch.append(row)
        size += len(row.image)
    if batch:
        yield Batch(batch, columns)


class ArrowFile:
    """A file in Arrow's stream format, as `Dataset.save_to_disk` writes it.

    Images are not copied on their way: Arrow writes the outline of a batch, and in the place of the
    buffer that is room for images, these are handed to the sink one by one.

    Args:
        sink: Where its bytes go.
        columns: The schema of its batches.
    """

    def __init__(self, sink: Sink, columns: pa.Schema):
        import pyarrow as pa

        self._sink = sink
        self._pieces = _Pieces()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._pieces, "w"), columns)

    def write(self, batch: Batch) -> None:
        """Appends a batch."""
        room = batch.outline["image"].field("bytes").buffers()[2]
        self._writer.write_batch(batch.outline)
        if room.size and not self._pieces.put(room.address, room.size, batch.images):
            # Another version of Arrow may copy what it writes. First of all is the schema.
            message = batch.filled().serialize()
            before = b"".join(self._pieces.take())[: -message.size]
            self._sink.write([before, message], len(before) + message.size)
        self._append()

    def _append(self) -> None:
        # One by one, so that a sink can write some of them while they are in the processor's cache.
        for piece in self._pieces.take():
            self._sink.write([piece], len(piece))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._writer.close()
            self._append()


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

    def write(self, batch: Batch) -> None:
        """Appends a batch."""
        self._writer.write_batch(batch.filled())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._writer.close()


class _Written:
    """What Arrow's library asks of a file besides `write`, which counts in `_size`."""

    _size = 0
    closed = False

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class _Stream(_Written):
    """A sink as the file that Arrow's library writes to."""

    def __init__(self, sink: Sink):
        self._sink = sink

    def write(self, data: bytes) -> int:
        size = len(data)
        # What Arrow gives may be its own memory, which it uses again.
        self._sink.write([bytes(data)], size)
        self._size += size
        return size


class _Pieces(_Written):
    """What Arrow's library writes, in pieces, until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[Any] = []

    def write(self, data: Any) -> int:
        # A buffer of a batch comes as it is; what is small, as bytes of its own.
        self._pieces.append(data)
        self._size += len(data)
        return len(data)

    def put(self, address: int, size: int, instead: Sequence[bytes | np.ndarray]) -> bool:
        """Puts others in the place of the piece with an address; whether it is there."""
        for at, piece in enumerate(self._pieces):
            if getattr(piece, "address", None) == address and len(piece) == size:
                self._pieces[at : at + 1] = instead
                return True
        return False

    def take(self) -> list[Any]:
        """The pieces since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces
