"""Examples of images whose other features are columns of the index: two ways to have them.

The careful way makes an example of each row (`RowExamples.make`), for whatever output. The fast way
(`ImageRows`) is for an output that knows where each image will lie in its file: it has the images
put right there, and all else made of the columns. Images that are stored as they are found are
read to their places (`ImageExamples`, here); any of which there is something to say, such as a
repair, is left to the careful way. Images that are encoded anew are in `encoded_rows`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from imagenet_builders.images.checking import inspect_with_care
from imagenet_builders.images.plain_jpeg import size_in_buffer
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples, Note
from imagenet_builders.sources.columns import numbers_in, texts_in
from imagenet_builders.sources.reader import Reader

if TYPE_CHECKING:
    import pyarrow as pa

    from imagenet_builders.formats.tfrecord.around import Column
    from imagenet_builders.formats.tfrecord.example import FlatExample

IMAGE = "image"
"""The feature that has the image."""

# What surrounds the images of so many rows is made at once. A shard may have all images of a split.
_ROWS_AT_A_TIME = 1 << 12


class RowExamples(abc.ABC):
    """Makes examples of rows in two ways; its method `make` is a `MakeExamples`."""

    @staticmethod
    def of(make: MakeExamples) -> RowExamples | None:
        """The value whose `make` it is; None for whatever else makes examples."""
        own = getattr(make, "__self__", None)
        return own if isinstance(own, RowExamples) else None

    @abc.abstractmethod
    def make(
        self, rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
    ) -> Iterator[tuple[str, FlatExample]]:
        """Yields the examples of rows, in their order; see `MakeExamples`."""

    @abc.abstractmethod
    def has_fast_way(self, policy: ImagePolicy) -> bool:
        """Whether a policy leaves rows to `image_rows`."""

    @abc.abstractmethod
    def image_rows(
        self,
        rows: pa.Table,
        reader: Reader,
        policy: ImagePolicy,
        notes: list[Note],
        tell: Callable[[], None],
    ) -> ImageRows:
        """The fast way.

        Args:
            rows: The rows.
            reader: Reads the files that they point into.
            policy: How to look at images, and what to do with bad ones; one of `has_fast_way`.
            notes: Receives a note for each image that is repaired or skipped.
            tell: Called after each image.
        """


class ImageRows(abc.ABC):
    """Rows whose images are put one after the other to where they are to lie."""

    @abc.abstractmethod
    def surroundings(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yields of each row what is known before its image is put to its place.

        Yields:
            Bytes of the image, and what is `before` and `after` it in a TFRecord file; see
            `around`.
        """

    @abc.abstractmethod
    def read(self, buffer: memoryview) -> bool:
        """Puts the next image to its place.

        Args:
            buffer: Where to, of its size.

        Returns:
            Whether it is stored as it is there; if not, `example` tells what is.

        Raises:
            SourceError: A source changed, or cannot be read.
            OSError: It cannot be read.
        """

    @abc.abstractmethod
    def example(self, row: int) -> FlatExample | None:
        """The example of a row, made with care; None for one to leave out.

        Raises:
            BadImageError: Its image is bad and the policy is to fail.
            SourceError: A source changed, or cannot be read.
            OSError: It cannot be read.
        """

    def records(self) -> Iterator[bytes]:
        """Yields the record of each row that is not left out, for a file that is not laid out here.

        Raises:
            BadImageError: An image is bad and the policy is to fail.
            SourceError: A source changed, or cannot be read.
            OSError: It cannot be read.
        """
        import numpy as np

        from imagenet_builders.formats.tfrecord import frame
        from imagenet_builders.formats.tfrecord.example import serialize

        view = memoryview(b"")
        for row, (size, before, after) in enumerate(self.surroundings()):
            begin = len(before)
            end = begin + size
            tail = end + len(after)
            if tail > len(view):
                view = np.empty(tail, np.uint8).data
            if self.read(view[begin:end]):
                view[:begin] = before
                view[end:tail] = after
                yield bytes(view[frame.HEAD_BYTES : tail])
            elif (example := self.example(row)) is not None:
                yield b"".join(serialize(example))


@dataclasses.dataclass(frozen=True)
class ImageExamples(RowExamples):
    """Makes examples of rows whose images are stored as they are found.

    Attributes:
        careful: Makes them one by one, given the formats to repair besides.
        columns: The names of their features but `image`, and of the columns that have the values:
            texts, integers, or lists of numbers.
        also_repair: Formats to repair besides those that always are; see
            `images.inspect_and_repair`.
        size: Width and height of every image; one of another size is left to `careful`.
    """

    careful: Callable[
        [pa.Table, Reader, ImagePolicy, list[Note], frozenset[str]],
        Iterator[tuple[str, FlatExample]],
    ]
    columns: tuple[tuple[str, str], ...]
    also_repair: frozenset[str] = frozenset()
    size: tuple[int, int] | None = None

    def make(
        self, rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
    ) -> Iterator[tuple[str, FlatExample]]:
        """Yields the examples of rows, in their order; see `MakeExamples`."""
        return self.careful(rows, reader, policy, notes, self.also_repair)

    def has_fast_way(self, policy: ImagePolicy) -> bool:
        """Whether images are not decoded."""
        return not policy.decode

    def image_rows(
        self,
        rows: pa.Table,
        reader: Reader,
        policy: ImagePolicy,
        notes: list[Note],
        tell: Callable[[], None],
    ) -> ImageRows:
        """The fast way; see `RowExamples`."""
        return _StoredRows(self, rows, reader, policy, notes, tell)


class _StoredRows(ImageRows):
    """Rows whose images are read to where they are to lie; see `RowExamples.image_rows`."""

    def __init__(
        self,
        examples: ImageExamples,
        rows: pa.Table,
        reader: Reader,
        policy: ImagePolicy,
        notes: list[Note],
        tell: Callable[[], None],
    ):
        self._examples, self._rows, self._reader = examples, rows, reader
        self._policy, self._notes, self._tell = policy, notes, tell
        self._fill = reader.filling(rows)

    def surroundings(self) -> Iterator[tuple[int, bytes, bytes]]:
        """As they are for images of the sizes that they have in their source."""
        from imagenet_builders.formats.tfrecord.around import around

        for start in range(0, self._rows.num_rows, _ROWS_AT_A_TIME):
            some = self._rows.slice(start, _ROWS_AT_A_TIME)
            sizes = numbers_in(some["size"])
            features = columns_of(some, self._examples.columns)
            yield from zip(sizes.tolist(), *around(IMAGE, sizes, features), strict=True)

    def read(self, buffer: memoryview) -> bool:
        """Reads the next image; see `ImageRows`."""
        is_there = self._fill(buffer)
        self._tell()
        if not is_there:
            return False
        wanted = self._examples.size
        size = size_in_buffer(buffer)
        if size is None:
            image = inspect_with_care(bytes(buffer), self._examples.also_repair)
            if image.problem is not None or image.repair is not None:
                return False
            size = image.width, image.height
        return wanted is None or size == wanted

    def example(self, row: int) -> FlatExample | None:
        """Its example, made with care; see `ImageRows`."""
        rows = self._rows.slice(row, 1)
        made = self._examples.make(rows, self._reader, self._policy, self._notes)
        return next((example for _, example in made), None)


def columns_of(rows: pa.Table, names: Sequence[tuple[str, str]]) -> dict[str, Column]:
    """The features of rows that are columns of the index.

    Args:
        rows: The rows.
        names: Names of features, and of the columns that have their values.
    """
    return {name: _column(rows[column]) for name, column in names}


def _column(values: pa.ChunkedArray) -> Column:
    import pyarrow as pa

    from imagenet_builders.formats.tfrecord.around import Column, floats, integers

    kind = values.type
    if pa.types.is_string(kind):
        return Column("bytes", *texts_in(values))
    if not pa.types.is_list(kind) and not pa.types.is_fixed_size_list(kind):
        return integers(numbers_in(values))
    import pyarrow.compute as pc

    counts = numbers_in(pc.list_value_length(values))
    make = floats if pa.types.is_floating(kind.value_type) else integers
    return make(numbers_in(pc.list_flatten(values)), counts)
