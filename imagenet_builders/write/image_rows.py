"""Examples of images whose other features are columns of the index: two ways to have them.

The careful way makes an example of each row (`ImageExamples.careful`), for whatever output. The
fast way (`ImageRows`) is for an output that knows where each image will lie in its file: it has the
images read right there, and all else made of the columns. Any image of which there is something to
say, such as a repair, is left to the careful way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from imagenet_builders.images.checking import inspect_with_care
from imagenet_builders.images.plain_jpeg import plain_size
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


@dataclasses.dataclass(frozen=True)
class ImageExamples:
    """Makes examples of rows by its method `make`, which is a `MakeExamples`.

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

    @staticmethod
    def of(make: MakeExamples) -> ImageExamples | None:
        """The value whose `make` it is; None for whatever else makes examples."""
        own = getattr(make, "__self__", None)
        return own if isinstance(own, ImageExamples) else None

    def make(
        self, rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
    ) -> Iterator[tuple[str, FlatExample]]:
        """Yields the examples of rows, in their order; see `MakeExamples`."""
        return self.careful(rows, reader, policy, notes, self.also_repair)


class ImageRows:
    """Rows whose images are read one after the other to where they are to lie.

    Args:
        examples: What examples are made of them.
        rows: The rows.
        reader: Reads the files that they point into.
        policy: How to look at images, and what to do with bad ones; it does not decode.
        notes: Receives a note for each image that is repaired or skipped.
        tell: Called after each image.
    """

    def __init__(
        self,
        examples: ImageExamples,
        rows: pa.Table,
        reader: Reader,
        policy: ImagePolicy,
        notes: list[Note],
        tell: Callable[[], None],
    ):
        assert not policy.decode
        self._examples, self._rows, self._reader = examples, rows, reader
        self._policy, self._notes, self._tell = policy, notes, tell
        self._fill = reader.filling(rows)

    def surroundings(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yields of each row what does not depend on the image's bytes.

        Yields:
            Bytes of the image as it lies in its source, and what is `before` and `after` it in a
            TFRecord file if it is stored as it is; see `around`.
        """
        from imagenet_builders.formats.tfrecord.around import around

        for start in range(0, self._rows.num_rows, _ROWS_AT_A_TIME):
            some = self._rows.slice(start, _ROWS_AT_A_TIME)
            sizes = numbers_in(some["size"])
            features = {name: _column(some[column]) for name, column in self._examples.columns}
            yield from zip(sizes.tolist(), *around(IMAGE, sizes, features), strict=True)

    def read(self, buffer: memoryview) -> bool:
        """Reads the next image.

        Args:
            buffer: Where to, of its size.

        Returns:
            Whether it is stored as it is; if not, `example` tells what is.

        Raises:
            SourceError: A source changed, or cannot be read.
            OSError: It cannot be read.
        """
        is_there = self._fill(buffer)
        self._tell()
        if not is_there:
            return False
        wanted = self._examples.size
        size = plain_size(buffer)
        if size is None:
            image = inspect_with_care(bytes(buffer), self._examples.also_repair)
            if image.problem is not None or image.repair is not None:
                return False
            size = image.width, image.height
        return wanted is None or size == wanted

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

    def example(self, row: int) -> FlatExample | None:
        """The example of a row, made with care; None for one to leave out.

        Raises:
            BadImageError: Its image is bad and the policy is to fail.
            SourceError: A source changed, or cannot be read.
            OSError: It cannot be read.
        """
        rows = self._rows.slice(row, 1)
        made = self._examples.make(rows, self._reader, self._policy, self._notes)
        return next((example for _, example in made), None)


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
