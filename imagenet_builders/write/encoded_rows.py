"""Examples whose images are encoded anew, so that their sizes are known only then.

As in `image_rows`, there is a careful way and a fast one. The fast one encodes the images of a
thousand rows, and has what surrounds them made at once when their sizes are known.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from imagenet_builders.plan.recipe import ImagePolicy, Note
from imagenet_builders.sources.reader import Reader
from imagenet_builders.write.image_rows import IMAGE, ImageRows, RowExamples, columns_of

if TYPE_CHECKING:
    import pyarrow as pa

    from imagenet_builders.formats.tfrecord.example import FlatExample

# Images that are encoded before their records are put together: enough that what NumPy takes for
# each call does not matter, few enough to be small in memory.
_ROWS_AT_A_TIME = 1024


@dataclasses.dataclass(frozen=True)
class EncodedExamples(RowExamples):
    """Makes examples of rows whose images are encoded anew.

    Attributes:
        encode: Yields the image of each row, in the order of the rows. It raises SourceError or
            OSError where a source changed or cannot be read.
        columns: The names of their features but `image`, and of the columns that have the values:
            texts or integers.
    """

    encode: Callable[[pa.Table, Reader], Iterator[bytes]]
    columns: tuple[tuple[str, str], ...]

    def make(
        self, rows: pa.Table, reader: Reader, policy: ImagePolicy, notes: list[Note]
    ) -> Iterator[tuple[str, FlatExample]]:
        """Yields the examples of rows, in their order; see `MakeExamples`."""
        del policy, notes
        names = [IMAGE, *(name for name, _ in self.columns)]
        values = (rows[column].to_pylist() for _, column in self.columns)
        features = zip(self.encode(rows, reader), *values, strict=True)
        for key, example in zip(rows["key"].to_pylist(), features, strict=True):
            yield key, dict(zip(names, example, strict=True))

    def has_fast_way(self, policy: ImagePolicy) -> bool:
        """Always: there is nothing to be looked at with care."""
        del policy
        return True

    def image_rows(
        self,
        rows: pa.Table,
        reader: Reader,
        policy: ImagePolicy,
        notes: list[Note],
        tell: Callable[[], None],
    ) -> ImageRows:
        """The fast way; see `RowExamples`."""
        del policy, notes
        return _EncodedRows(self, rows, reader, tell)


class _EncodedRows(ImageRows):
    """Rows whose images are encoded before they are put to their places."""

    def __init__(
        self, examples: EncodedExamples, rows: pa.Table, reader: Reader, tell: Callable[[], None]
    ):
        self._examples, self._rows, self._tell = examples, rows, tell
        self._encoded = examples.encode(rows, reader)
        self._images: Iterator[bytes] = iter(())

    def surroundings(self) -> Iterator[tuple[int, bytes, bytes]]:
        """As they are for images of the sizes that they have once they are encoded."""
        import numpy as np

        from imagenet_builders.formats.tfrecord.around import around

        for start in range(0, self._rows.num_rows, _ROWS_AT_A_TIME):
            some = self._rows.slice(start, _ROWS_AT_A_TIME)
            images = list(itertools.islice(self._encoded, some.num_rows))
            self._images = iter(images)
            sizes = list(map(len, images))
            features = columns_of(some, self._examples.columns)
            surroundings = around(IMAGE, np.array(sizes, np.int64), features)
            yield from zip(sizes, *surroundings, strict=True)

    def read(self, buffer: memoryview) -> bool:
        """Puts the next image there; see `ImageRows`."""
        buffer[:] = next(self._images)
        self._tell()
        return True

    def example(self, row: int) -> FlatExample | None:
        """Is never asked for, as every image is stored as it was encoded."""
        raise AssertionError(row)
