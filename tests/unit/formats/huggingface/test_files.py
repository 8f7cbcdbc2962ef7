"""Arrow and Parquet of Hugging Face: read back by Arrow's own library, and by our source."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagenet_builders.formats import parquet
from imagenet_builders.formats.huggingface import files
from imagenet_builders.formats.huggingface.features import Row, schema

CLASSES = ("n01440764", "n01443537")
COLUMNS = schema(CLASSES)
ROWS = [
    Row(random.Random(n).randbytes(n + 500), f"n01440764_{n}.JPEG", n % 3 - 1) for n in range(250)
]


class Bytes:
    """A sink that keeps its bytes."""

    def __init__(self) -> None:
        self.file = io.BytesIO()

    def write(self, buffers: Sequence[bytes], size: int) -> None:
        assert sum(map(len, buffers)) == size
        self.file.writelines(buffers)


def written(kind: type[files.ArrowFile] | type[files.ParquetFile]) -> bytes:
    sink = Bytes()
    with kind(sink, COLUMNS) as file:
        for batch in files.batches(ROWS, COLUMNS):
            file.write(batch)
    return sink.file.getvalue()


def rows_of(table: pa.Table) -> list[Row]:
    return [
        Row(row["image"]["bytes"], row["image"]["path"], row["label"]) for row in table.to_pylist()
    ]


def test_arrow_is_a_stream_of_batches_with_the_features() -> None:
    with pa.ipc.open_stream(written(files.ArrowFile)) as stream:
        batches = list(stream)
    assert [len(batch) for batch in batches] == [100, 100, 50]
    table = pa.Table.from_batches(batches)
    assert rows_of(table) == ROWS
    said = json.loads(table.schema.metadata[b"huggingface"])
    label = {"names": list(CLASSES), "_type": "ClassLabel"}
    assert said == {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}


@pytest.mark.parametrize("copies", [False, True], ids=["no-copy", "arrow-copies"])
def test_arrow_has_the_bytes_of_its_own_writer(
    copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if copies:  # As a version of Arrow may that does not hand over the very buffers of a batch.
        write = files._Pieces.write
        monkeypatch.setattr(files._Pieces, "write", lambda self, data: write(self, bytes(data)))
    expected = io.BytesIO()
    with pa.ipc.new_stream(expected, COLUMNS) as stream:
        for start in (0, 100, 200):
            some = ROWS[start : start + 100]
            images = [{"bytes": row.image, "path": row.name} for row in some]
            stream.write_batch(
                pa.RecordBatch.from_arrays(
                    [
                        pa.array(images, COLUMNS.field("image").type),
                        pa.array([row.label for row in some], pa.int64()),
                    ],
                    schema=COLUMNS,
                )
            )
    assert written(files.ArrowFile) == expected.getvalue()


def test_images_go_to_the_file_without_a_copy() -> None:
    class Counting(Bytes):
        seen = 0

        def write(self, buffers: Sequence[bytes], size: int) -> None:
            images = {id(row.image) for row in ROWS}
            self.seen += sum(id(buffer) in images for buffer in buffers)

    sink = Counting()
    with files.ArrowFile(sink, COLUMNS) as file:
        for batch in files.batches(ROWS, COLUMNS):
            file.write(batch)
    assert sink.seen == len(ROWS)


def test_parquet_has_the_features_and_a_row_group_for_each_batch(tmp_path: Path) -> None:
    data = written(files.ParquetFile)
    file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    assert file.schema_arrow.equals(COLUMNS, check_metadata=True)
    assert file.metadata.metadata[b"huggingface"] == COLUMNS.metadata[b"huggingface"]
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [100, 100, 50]
    assert rows_of(file.read()) == ROWS
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_bytes(data)
    assert [Row(row.data, row.path or "", row.label) for row in parquet.images(str(path))] == ROWS


@pytest.mark.parametrize("kind", [files.ArrowFile, files.ParquetFile], ids=["arrow", "parquet"])
def test_the_same_rows_give_the_same_bytes(
    kind: type[files.ArrowFile] | type[files.ParquetFile],
) -> None:
    assert written(kind) == written(kind)


def test_a_batch_of_large_images_has_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BATCH_BYTES", 1000)
    rows = [Row(bytes(size), "x.JPEG", 0) for size in (400, 600, 1, 2000, 3)]
    assert [len(batch) for batch in files.batches(rows, COLUMNS)] == [2, 1, 1, 1]


@pytest.mark.parametrize("kind", [files.ArrowFile, files.ParquetFile], ids=["arrow", "parquet"])
def test_the_error_of_a_file_comes_through_arrow_as_it_is(
    kind: type[files.ArrowFile] | type[files.ParquetFile],
) -> None:
    class FullDiskError(Exception):
        pass

    class Full:
        def write(self, buffers: Sequence[bytes], size: int) -> None:
            raise FullDiskError("no space")

    def write() -> None:
        with kind(Full(), COLUMNS) as file:
            for batch in files.batches(ROWS, COLUMNS):
                file.write(batch)

    with pytest.raises(FullDiskError, match="no space"):
        write()
