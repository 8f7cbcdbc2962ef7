"""Parquet files of images: right, cut off, flipped, and made to deceive."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagenet_builders.formats import parquet, parquet_pages
from imagenet_builders.formats.gzip_stream import StreamError

ROWS = [(f"n01440764_{n}_n01440764.JPEG", 0, random.Random(n).randbytes(900)) for n in range(40)]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(rows: list[tuple[str, int, bytes]] = ROWS) -> pa.Table:
    images = [{"bytes": data, "path": path} for path, _, data in rows]
    return pa.table(
        {
            "image": pa.array(images, IMAGE),
            "label": pa.array([label for _, label, _ in rows], pa.int64()),
        }
    )


def written(content: pa.Table | None = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    options = {"row_group_size": 7, "data_page_size": 2000, **options}
    pq.write_table(content if content is not None else table(), sink, **options)
    return sink.getvalue()


def read(path: Path) -> list[tuple[str | None, int, bytes]]:
    return [tuple(image) for image in parquet.images(str(path))]  # type: ignore[misc]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"row_group_size": 1000}])
def test_rows_are_read_whatever_the_writer_chose(
    tmp_path: Path, compression: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(written(compression=compression, **options))
    assert read(path) == ROWS
    assert parquet.rows_in(str(path)) == len(ROWS)
    assert parquet.first_path(str(path)) == ROWS[0][0]


def test_the_columns_may_be_in_any_order_and_have_others_beside_them(tmp_path: Path) -> None:
    content = table().select(["label", "image"]).append_column("more", pa.array(range(len(ROWS))))
    path = tmp_path / "x.parquet"
    path.write_bytes(written(content))
    assert read(path) == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            table().select(["image"]),
            "expected columns image.bytes BYTE_ARRAY, image.path BYTE_ARRAY, label INT64, found",
        ),
        (pa.table({"label": [1], "image": ["x"]}), "expected columns image.bytes"),
        (table().set_column(1, "label", pa.array([None] * 40, pa.int64())), "without an image or"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, content: pa.Table, message: str) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(written(content))
    with pytest.raises(StreamError, match=message):
        read(path)


@pytest.mark.parametrize("left", [0, 3, 4, 8, 500, -1, -4, -9, -300])
def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path, left: int) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(written()[:left])
    with pytest.raises(StreamError, match=r"the Parquet data cannot be read|found an empty file"):
        read(path)


def test_a_flipped_byte_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    """Where pages have checksums; statistics in the end of a file are not read."""
    data = written(write_page_checksum=True)
    path = tmp_path / "x.parquet"
    rng = random.Random(0)
    found = 0
    for _ in range(250):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        try:
            rows = read(path)
        except StreamError:
            found += 1
        else:
            assert rows == ROWS
    assert found > 100


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_ALWAYS_ALLOWED", 1 << 10)
    path = tmp_path / "x.parquet"
    path.write_bytes(written(table([("a", 0, bytes(1 << 20))]), compression="zstd"))
    with pytest.raises(StreamError, match=r"says that [0-9,]+ of its bytes become 1,048,"):
        read(path)


def test_the_pages_of_a_column_say_their_sizes(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(written(use_dictionary=False, compression="none"))
    group = pq.read_metadata(path).row_group(0)
    with open(path, "rb") as file:
        for number in range(group.num_columns):
            chunk = group.column(number)
            place = (chunk.data_page_offset, chunk.total_compressed_size)
            size, largest = parquet_pages.unpacked_sizes(file.fileno(), *place)
            assert 0 < largest <= size
            headers = chunk.total_uncompressed_size - size
            assert 0 < headers < 5000
            with pytest.raises(parquet_pages.PageError):
                parquet_pages.unpacked_sizes(file.fileno(), place[0], place[1] - 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b"\x15", b"\x1c", 1),
        lambda data: b"\xff" * 20 + data[20:],
        lambda data: b"\x0f" + data,
        lambda data: b"\x1c" * 40,
    ],
)
def test_page_headers_that_are_no_headers_are_errors(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "pages"
    path.write_bytes(spoil(written()[4:600]))
    with open(path, "rb") as file, pytest.raises(parquet_pages.PageError):
        parquet_pages.unpacked_sizes(file.fileno(), 0, 590)
