"""Which examples the text of a split means, such as `train[:10%]+validation`.

It is TensorFlow Datasets' language of splits, without its package, which takes seconds to import.
Source: `core/splits.py` and `core/subsplits_utils.py` of TensorFlow Datasets 4.9.10.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

from imagenet_builders.errors import OptionError
from imagenet_builders.words import counted

Lengths = Mapping[str, Sequence[int]]
"""Split to the number of examples in each of its shards."""

_PART = re.compile(r"(?P<split>[\w-]+)(\[(?P<slice>[\d\w%:.-]+)\])?")
_BOUND = re.compile(r"((?P<value>-?[\d_.]+)(?P<unit>%|shard)?)?")
_PLUS = re.compile(r"\s*\+\s*")


@dataclasses.dataclass(frozen=True)
class Interval:
    """Consecutive examples of a split.

    Attributes:
        split: Name of the split.
        start: The first one, counted from 0.
        stop: One more than the last one.
    """

    split: str
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class EvenSplit:
    """One of several parts of equal size; see `even_splits`."""

    split: Splits
    index: int
    count: int
    drop_remainder: bool

    def __add__(self, other: Splits) -> Together:
        """Both, one after the other."""
        return Together((self, other))

    def __radd__(self, other: Splits) -> Together:
        """Both, one after the other."""
        return Together((other, self))


@dataclasses.dataclass(frozen=True)
class Together:
    """Splits one after the other."""

    parts: tuple[Splits, ...]

    def __add__(self, other: Splits) -> Together:
        """All, one after the other."""
        return Together((*self.parts, other))

    def __radd__(self, other: Splits) -> Together:
        """All, one after the other."""
        return Together((other, *self.parts))


Splits = str | EvenSplit | Together
"""A split as TensorFlow Datasets writes it, or what `even_splits` gives, or a sum of these."""


def even_splits(split: Splits, n: int, *, drop_remainder: bool = False) -> list[EvenSplit]:
    """Parts of equal size that have no example in common, as `tfds.even_splits` makes them.

    Args:
        split: What to cut, such as `train[75%:]`.
        n: Number of parts.
        drop_remainder: Leave out the last examples that do not fill a part; otherwise the first
            parts have one more.

    Returns:
        The parts, for `data_source`; they can be added to each other and to texts.

    Raises:
        OptionError: `n` is not a number from 1.
    """
    if not isinstance(n, int) or n < 1:
        raise OptionError(f"the number of even splits must be at least 1, not {n!r}")
    return [EvenSplit(split, index, n, drop_remainder) for index in range(n)]


def names_in(split: Splits, known: Collection[str]) -> frozenset[str]:
    """The names of the splits that a split is made of.

    Args:
        split: What was asked for.
        known: Names of the splits that there may be.

    Returns:
        Their names.

    Raises:
        OptionError: There is no such split, or the text is no split.

    >>> sorted(names_in("train[:50%]+validation", ["train", "validation", "test"]))
    ['train', 'validation']
    """
    if isinstance(split, Together):
        return frozenset().union(*(names_in(part, known) for part in split.parts))
    if isinstance(split, EvenSplit):
        return names_in(split.split, known)
    names: set[str] = set()
    for text in _PLUS.split(str(split)):
        name = _match(text)["split"]
        _require(name, (*known, "all"), known)
        names.update(known if name == "all" else [name])
    return frozenset(names)


def intervals(split: Splits, lengths: Lengths) -> list[Interval]:
    """The examples that a split means.

    Args:
        split: What was asked for.
        lengths: The splits that there are.

    Returns:
        Intervals, in their order.

    Raises:
        OptionError: There is no such split, it has fewer examples, or the text is no split.

    >>> intervals("train[:50%]+validation[-2:]", {"train": [6, 5], "validation": [4]})
    [Interval(split='train', start=0, stop=6), Interval(split='validation', start=2, stop=4)]
    """
    if isinstance(split, Together):
        return [each for part in split.parts for each in intervals(part, lengths)]
    if isinstance(split, EvenSplit):
        return [_even(split, each) for each in intervals(split.split, lengths)]
    return [each for part in _PLUS.split(str(split)) for each in _of_text(part, lengths)]


def _even(split: EvenSplit, whole: Interval) -> Interval:
    size, rest = divmod(whole.stop - whole.start, split.count)
    start, stop = size * split.index, size * (split.index + 1)
    if not split.drop_remainder:
        start, stop = start + min(split.index, rest), stop + min(split.index + 1, rest)
    return Interval(whole.split, whole.start + start, whole.start + stop)


def _of_text(text: str, lengths: Lengths) -> list[Interval]:
    match = _match(text)
    name, sliced = match["split"], match["slice"]
    if name == "all" and name not in lengths:
        if sliced is not None:
            raise OptionError(
                f"{text}: all splits cannot be sliced at once; slice each, and add them"
            )
        return [Interval(each, 0, sum(lengths[each])) for each in lengths]
    _require(name, lengths, lengths)
    if sliced is None:
        return [Interval(name, 0, sum(lengths[name]))]
    return [_sliced(text, name, sliced, lengths[name])]


def _match(text: str) -> re.Match[str]:
    match = _PART.fullmatch(text)
    if match is None:
        raise _no_split(text)
    return match


def _require(name: str, allowed: Collection[str], there: Collection[str]) -> None:
    if name not in allowed:
        raise OptionError(f"there is no split {name!r}; there are {', '.join(there)}")


def _sliced(text: str, name: str, sliced: str, lengths: Sequence[int]) -> Interval:
    bounds = [_BOUND.fullmatch(each) for each in sliced.split(":")]
    found = [each for each in bounds if each is not None]
    if len(found) != len(bounds) or len(found) > 2 or not any(each[0] for each in found):
        raise _no_split(text)
    unit = next((each["unit"] for each in found if each["unit"]), "")
    texts = [each["value"] for each in found]
    total = sum(lengths)
    try:
        if len(texts) == 1:
            if unit != "shard":
                raise OptionError(
                    f"{text}: one shard can be asked for so, but examples need a colon, such as "
                    f"{name}[:10] or {name}[:10%]"
                )
            texts.append(str(int(texts[0]) + 1))
        start, stop = (
            default if each is None else _position(each, unit, lengths)
            for each, default in zip(texts, (0, total), strict=True)
        )
        if unit == "shard":
            # The bound after the last shard of all is 0 if it is counted from behind.
            stop = total if texts[1] is not None and int(texts[1]) == 0 else stop
    except ValueError as error:
        if isinstance(error, OptionError):
            raise
        raise _no_split(text) from None
    if abs(start) > total or abs(stop) > total:
        raise OptionError(f"{text}: split {name} has {counted(total, 'example')}, fewer than that")
    start = start + total if start < 0 else start
    stop = stop + total if stop < 0 else stop
    return Interval(name, start, max(start, stop))


def _position(value: str, unit: str, lengths: Sequence[int]) -> int:
    """An example's number, from the front or, below 0, from behind."""
    if unit == "shard":
        starts = [0, *accumulate(lengths)]
        return sum(lengths[: int(value)]) if abs(int(value)) < len(starts) else starts[-1] + 1
    if unit != "%":
        return int(value)
    percent = float(value)
    if abs(percent) > 100:
        raise OptionError(f"{value}% is not between -100% and 100%")
    return round(percent * sum(lengths) / 100.0)


def _no_split(text: str) -> OptionError:
    return OptionError(
        f"{text!r} is no split as TensorFlow Datasets writes it, such as train, train[:10%], "
        "train[1000:] or train+validation"
    )
