"""Images in Parquet files, as Hugging Face's `datasets` writes them.

Column `image` is a struct of `bytes` and `path`, column `label` an integer. Pages are compressed
and hold several images each, so no row is a range of the file; all rows are read in order.

Source: the features `Image` and `ClassLabel` of `datasets` 2 and 3.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats import parquet_pages, signatures
from imagenet_builders.formats.gzip_stream import StreamError

MAGIC = b"PAR1"

MAX_ROWS = 1 << 21
"""Bound on the rows of a file."""

_COLUMNS = ["image.bytes", "image.path", "label"]
_ROWS_AT_A_TIME = 16

# A page may have one image of any size. Rows may have one value of a dictionary many times.
_MAX_PAGE_BYTES = 256 << 20
_BATCH_BYTES = 64 << 20
_BUFFER_BYTES = 1 << 20
# Images are compressed already; names shrink to less, but are few bytes.
_MAX_GROWTH = 3
_ALWAYS_ALLOWED = 64 << 20
_MAX_STRING_BYTES = 16 << 20
_MAX_CONTAINER_ITEMS = 1 << 20


class Image(NamedTuple):
    """A row.

    Attributes:
        path: What the file says of the image's path; its name, as a rule. None where it does not.
        label: The class, from 0; -1 for none.
        data: The image.
    """

    path: str | None
    label: int
    data: bytes


def rows_in(path: str) -> int:
    """The number of rows of a file, as its end says, once all that it says is found to agree.

    Args:
        path: The file.

    Raises:
        StreamError: It is no Parquet file, is cut off, or is not of images.
    """
    with _Opened(path) as file:
        return int(file.file.metadata.num_rows)


def first_path(path: str) -> str | None:
    """The path of the first image in a file, or None where there is none.

    Args:
        path: The file.

    Raises:
        StreamError: As `rows_in`.
    """
    with _Opened(path) as file:
        for batch in file.batches(["image.path"]):
            return _only(batch.column(0).field("path")[0].as_py())
    return None


def images(path: str) -> Iterator[Image]:
    """The images in a file, in its order.

    Args:
        path: The file.

    Yields:
        Each row. A few are in memory at a time.

    Raises:
        StreamError: As `rows_in`; or the data of a row are damaged.
    """
    with _Opened(path) as file:
        for batch in file.batches(_COLUMNS):
            image = batch.column(batch.schema.get_field_index("image"))
            labels = batch.column(batch.schema.get_field_index("label")).to_pylist()
            columns = (image.field("path").to_pylist(), labels, image.field("bytes").to_pylist())
            for name, label, data in zip(*columns, strict=True):
                if label is None or data is None:
                    raise StreamError(f"a row without an image or a label ({name!r})", 0)
                yield Image(_only(name), label, data)


def _only(name: object) -> str | None:
    return name if isinstance(name, str) else None


class _Opened:
    """A Parquet file whose end is sound; errors of Arrow become ours."""

    def __init__(self, path: str):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._errors = (OSError, pa.ArrowException, ValueError, OverflowError)
        self.file: Any = None
        self.is_open = False
        self.largest_page = 1
        with self:
            with os.fdopen(open_regular(path, follow=True), "rb") as beginning:
                block = beginning.read(signatures.BYTES)
            other = signatures.foreign(block, signatures.PARQUET)
            if other is not None or not block:
                found = f"{other.name}; {other.action}" if other else "an empty file; copy it again"
                raise StreamError(f"expected a Parquet file, found {found}", 0)
            self.file = pq.ParquetFile(
                path,
                buffer_size=_BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
                thrift_string_size_limit=_MAX_STRING_BYTES,
                thrift_container_size_limit=_MAX_CONTAINER_ITEMS,
            )
            fd = open_regular(path, follow=True)
            try:
                self._check(fd)
            finally:
                os.close(fd)
        self.is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self.is_open:
            self.file.close()
        if error is None or not isinstance(error, self._errors):
            return
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise StreamError(
            f"the Parquet data cannot be read ({detail}); copy the file again", 0
        ) from error

    def _check(self, fd: int) -> None:
        metadata, size = self.file.metadata, os.fstat(fd).st_size
        known = {
            metadata.schema.column(each).path: metadata.schema.column(each).physical_type
            for each in range(metadata.num_columns)
        }
        expected = {"image.bytes": "BYTE_ARRAY", "image.path": "BYTE_ARRAY", "label": "INT64"}
        lacking = [name for name, kind in expected.items() if known.get(name) != kind]
        if lacking:
            columns = (" ".join(each) for each in known.items())
            raise StreamError(
                f"expected columns {', '.join(' '.join(each) for each in expected.items())}, found "
                f"{', '.join(columns)[:200]}; this is not a file of imagenet-1k of Hugging Face",
                0,
            )
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        rows = sum(group.num_rows for group in groups)
        if rows != metadata.num_rows or rows > MAX_ROWS:
            raise StreamError(
                f"expected the {metadata.num_rows:,} rows that its end says, found {rows:,} in its "
                "parts; copy the file again",
                0,
            )
        for group in groups:
            for number in range(group.num_columns):
                chunk = group.column(number)
                first = chunk.dictionary_page_offset or chunk.data_page_offset
                packed = chunk.total_compressed_size
                if not 0 < first <= first + packed <= size:
                    raise StreamError(
                        f"column {chunk.path_in_schema} would lie outside of the file; copy it "
                        "again",
                        0,
                    )
                if chunk.path_in_schema not in expected:
                    continue
                unpacked, largest = parquet_pages.unpacked_sizes(fd, first, packed)
                self.largest_page = max(self.largest_page, largest)
                if largest > _MAX_PAGE_BYTES or unpacked > _ALWAYS_ALLOWED + _MAX_GROWTH * packed:
                    raise StreamError(
                        f"column {chunk.path_in_schema} says that {packed:,} of its bytes become "
                        f"{unpacked:,}, as those of no images do; check that this is the original "
                        "file",
                        first,
                    )

    def batches(self, columns: list[str]) -> Iterator[Any]:
        """Some columns, a few rows at a time, which together have a bounded size."""
        rows = max(1, min(_ROWS_AT_A_TIME, _BATCH_BYTES // self.largest_page))
        yield from self.file.iter_batches(rows, columns=columns, use_threads=False)
