"""Data sources: sequences of examples in any order, for PyTorch, Grain, and plain Python."""

from __future__ import annotations

import functools
import operator
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol, SupportsIndex

from imagenet_builders.errors import OptionError
from imagenet_builders.images.pixels import pixels
from imagenet_builders.reading.split_text import Splits, intervals
from imagenet_builders.records.values import nested


class Examples(Protocol):
    """Where examples come from; see `BuiltExamples` and `StagedExamples`."""

    @property
    def name(self) -> str:
        """Full name of the dataset."""

    @property
    def lengths(self) -> Mapping[str, Sequence[int]]:
        """Split to the number of examples in each of its shards."""

    def flat(self, split: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Examples of a split, by their numbers."""


class DataSource(Sequence[dict[str, Any]]):
    """The examples of a split, each as a dictionary of its features.

    It can be given to `torch.utils.data.DataLoader` and `grain.MapDataset.source` as it is: it can
    be pickled, and used by any number of threads and processes, however these are started.

    Features have the types that `tfds.data_source` gives them: `image` is uint8 of shape (height,
    width, 3), `label` an int, a text is bytes, and boxes are float32 of shape (boxes, 4) with
    ymin, xmin, ymax, xmax from 0 to 1.

    Args:
        examples: Where they come from.
        split: Which of them.
        decode: Whether images are pixels, or the bytes of their files.
        decode_at_least: Height and width that are needed of each image; see `data_source`.

    Raises:
        OptionError: There is no such split, or `decode_at_least` cannot be used.
    """

    def __init__(
        self,
        examples: Examples,
        split: Splits,
        *,
        decode: bool = True,
        decode_at_least: tuple[int, int] | None = None,
    ):
        self._examples = examples
        self._split = split
        self._decode: Callable[[bytes], Any] | None = pixels if decode else None
        self._at_least = decode_at_least
        if decode_at_least is not None:
            _check_at_least(decode_at_least, decode)
            self._decode = functools.partial(pixels, at_least=decode_at_least)
        self._intervals = intervals(split, examples.lengths)
        self._ends = list(accumulate(each.stop - each.start for each in self._intervals))

    def __len__(self) -> int:
        """Number of examples."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:  # type: ignore[override]
        """An example by its number, from the front or, below 0, from behind.

        Raises:
            IndexError: There is none.
            SourceError: It cannot be read.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[dict[str, Any]]:
        """Examples by their numbers, in the order asked for, which a batch is read by at once."""
        wanted: dict[str, list[tuple[int, int]]] = {}
        for place, index in enumerate(indices):
            split, number = self._find(operator.index(index))
            wanted.setdefault(split, []).append((place, number))
        found: list[dict[str, Any]] = [{} for _ in indices]
        for split, pairs in wanted.items():
            flat = self._examples.flat(split, [number for _, number in pairs])
            for (place, _), each in zip(pairs, flat, strict=True):
                found[place] = nested(each, self._decode)
        return found

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All examples, in their order."""
        for index in range(len(self)):
            yield self[index]

    def __repr__(self) -> str:
        """Such as `DataSource(imagenet2012/5.1.0, split='train', 1281167 examples)`."""
        decoded = "" if self._decode else ", decode=False"
        if self._at_least is not None:
            decoded = f", decode_at_least={self._at_least}"
        return (
            f"{type(self).__name__}({self._examples.name}, split={self._split!r}{decoded}, "
            f"{len(self)} examples)"
        )

    def _find(self, index: int) -> tuple[str, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self):,}")
        index %= len(self)
        which = bisect_right(self._ends, index)
        interval = self._intervals[which]
        return interval.split, interval.stop - (self._ends[which] - index)


def _check_at_least(size: tuple[int, int], decode: bool) -> None:
    if not decode:
        raise OptionError("decode_at_least is for images that are decoded; leave out decode=False")
    whole = isinstance(size, (tuple, list)) and len(size) == 2
    if not whole or not all(type(side) is int and side > 0 for side in size):
        raise OptionError(
            f"decode_at_least must be a height and a width in pixels, such as (224, 224), not "
            f"{size!r}"
        )
