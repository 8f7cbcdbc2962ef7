"""Examples whose images were not read yet, for a form that knows where each will lie in its file.

An image is read to where it is written from, and not into memory of its own, which costs more to be
given by the system and taken back than to be read. That is for images that are stored as they are
and have the shape of most JPEGs (`images.plain_jpeg`). Of any other, the example is made with care.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imagenet_builders.images.plain_jpeg import size_in_buffer
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples, Note
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.image_rows import IMAGE, ImageExamples, RowExamples
from imagenet_builders.write.source_errors import source_error

if TYPE_CHECKING:
    import pyarrow as pa

    from imagenet_builders.formats.tfrecord.example import FlatExample


class Unread:
    """An image that was not read yet.

    Whoever is given it calls `put` or `example`, or one after the other, before asking for the next
    example: images are read in the order of the rows.

    Args:
        rows: The rows.
        row: Which of them it is.
        size: Bytes that it has.

    Attributes:
        size: Bytes that it has.
    """

    __slots__ = ("_is_read", "_row", "_rows", "size")

    def __init__(self, rows: _Rows, row: int, size: int):
        self._rows, self._row, self.size = rows, row, size
        self._is_read = False

    def put(self, buffer: memoryview) -> tuple[int, int] | None:
        """Reads it.

        Args:
            buffer: Where to, of its size.

        Returns:
            Width and height, if it is there now and is stored as it is. If None, `example` has what
            is stored.

        Raises:
            SourceError: A source changed, or cannot be read.
        """
        self._is_read = True
        return self._rows.put(buffer)

    def example(self) -> FlatExample | None:
        """Its example, made with care; None for one to leave out.

        Raises:
            BadImageError: It is bad and the policy is to fail.
            SourceError: A source changed, or cannot be read.
        """
        if not self._is_read:
            self.put(memoryview(bytearray(self.size)))
        return self._rows.example(self._row)


class _Rows:
    """Rows whose images are read one after another."""

    def __init__(
        self,
        examples: ImageExamples,
        rows: pa.Table,
        reader: Reader,
        policy: ImagePolicy,
        notes: list[Note],
    ):
        self._examples, self._rows, self._reader = examples, rows, reader
        self._policy, self._notes = policy, notes
        self._wanted = examples.size
        self._fill = reader.filling(rows)

    def put(self, buffer: memoryview) -> tuple[int, int] | None:
        try:
            is_there = self._fill(buffer)
        except OSError as error:
            raise source_error(error, self._reader) from error
        size = size_in_buffer(buffer) if is_there else None
        return size if self._wanted is None or size == self._wanted else None

    def example(self, row: int) -> FlatExample | None:
        rows = self._rows.slice(row, 1)
        made = self._examples.make(rows, self._reader, self._policy, self._notes)
        try:
            return next((example for _, example in made), None)
        except OSError as error:
            raise source_error(error, self._reader) from error


def unread_examples(
    make: MakeExamples, rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
) -> Iterator[tuple[str, dict[str, Any]]] | None:
    """The examples of rows, each of which has an `Unread` as its image.

    Args:
        make: Makes the examples with care.
        rows: The rows; see `MakeExamples` for them and for the others.
        reader: See there.
        policy: See there.
        notes: See there.

    Returns:
        Key and example of every row, in order; None where they cannot be had so.
    """
    examples = RowExamples.of(make)
    if not isinstance(examples, ImageExamples) or not examples.has_fast_way(policy):
        return None
    return _made(examples, rows, _Rows(examples, rows, reader, policy, notes))


def examples_or_unread(
    make: MakeExamples, rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
) -> Iterator[tuple[str, FlatExample]]:
    """The examples of rows, whose images are `Unread` where that can be; a `MakeExamples`."""
    yield from unread_examples(make, rows, reader, policy, notes) or make(
        rows, reader, policy, notes
    )


def _made(
    examples: ImageExamples, table: pa.Table, rows: _Rows
) -> Iterator[tuple[str, dict[str, Any]]]:
    names = [IMAGE, *(name for name, _ in examples.columns)]
    sizes = enumerate(table["size"].to_pylist())
    images = (Unread(rows, row, size) for row, size in sizes)
    values = (_values(table[column]) for _, column in examples.columns)
    for key, *example in zip(table["key"].to_pylist(), images, *values, strict=True):
        yield key, dict(zip(names, example, strict=True))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Values of a feature; lists of numbers as arrays."""
    import numpy as np
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    kind = column.type
    if not pa.types.is_list(kind) and not pa.types.is_fixed_size_list(kind):
        return values
    dtype = np.float32 if pa.types.is_floating(kind.value_type) else np.int64
    return [np.array(numbers, dtype) for numbers in values]


def unread_image(example: FlatExample) -> Unread | None:
    """The image of an example that was not read yet; None for one that has an image."""
    image: object = example.get(IMAGE)
    return image if isinstance(image, Unread) else None
