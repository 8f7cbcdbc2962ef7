"""DOCSTRING of locate/shard_names."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Sequence

from imagenet_builders.locate import shard_names

# So many missing files are named; who lacks more knows what happened.
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """The shards of a split in a directory.

    Attributes:
        names: File names, in the order of their numbers.
        problem: Why they are of no use (some are missing, or there are two of one number), or None.
    """

    names: tuple[str, ...]
    problem: str | None


def numbered_set(
    numbers: Sequence[tuple[int, str]], name_of: Callable[[int], str], count: int | None = None
) -> ShardSet:
    """Puts the shards of a split in order and finds what is missing.

    Args:
        numbers: Number and name of each shard that is there; at least one.
        name_of: Gives the name of the shard of a number.
        count: How many shards there should be, where that is known; else the greatest number
            among them is taken for the last.

    Returns:
        The set.
    """
    ordered = sorted(numbers)
    names = tuple(name for _, name in ordered)
    for (number, name), (next_number, next_name) in itertools.pairwise(ordered):
        if number == next_number:
            return ShardSet(names, f"{name} and {next_name} are both shard {number}; keep one")
    there = {number for number, _ in ordered}
    last = ordered[-1][0]
    if count is not None and last >= count:
        problem = f"{names[-1]} is not one of {count:,} shards that are counted from 0"
        return ShardSet(names, f"{problem}; check where it comes from")
    expected = last + 1 if count is None else count
    lacking = expected - len(there)
    if not lacking:
        return ShardSet(names, None)
    # What a name claims may be huge, so that numbers are not gathered but looked through.
    absent = itertools.islice((n for n in range(expected) if n not in there), _NAMED)
    listed = ", ".join(map(name_of, absent))
    more = f" and {lacking - _NAMED:,} more" if lacking > _NAMED else ""
    verb = "is" if lacking == 1 else "are"
    return ShardSet(
        names,
        f"expected {expected:,} shards, found {len(there):,}: {listed}{more} {verb} missing; "
        "copy the missing files",
    )


SHARD = re.compile(r"imagenet1k-(train|validation)-([0-9]+)\.tar")
"""The name of a shard; its groups are the split and the number, of however many digits."""


def shard_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards among the names in a directory.

    Args:
        names: File names; those that are not of shards are passed over.

    Returns:
        Split (`train`, `validation`) to its shards. A set that lacks its last shards looks whole;
        `OFFICIAL_SHARDS` says how many were published, and `index_shards` counts images.

    >>> shard_sets(["imagenet1k-validation-02.tar", "imagenet1k-validation-00.tar", "info.json"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'validation': ShardSet(names=('imagenet1k-validation-00.tar', 'imagenet1k-validation-02.tar'),
      problem='expected 3 shards, found 2: imagenet1k-validation-01.tar is missing; copy the
      missing files')}
    """
    found: dict[str, list[tuple[int, str]]] = {}
    digits: dict[str, int] = {}
    for name in names:
        match = SHARD.fullmatch(name)
        if match is not None:
            found.setdefault(match[1], []).append((int(match[2]), name))
            digits[match[1]] = len(match[2])
    return {
        split: shard_names.numbered_set(
            numbers, functools.partial(_shard_name, split, digits[split])
        )
        for split, numbers in found.items()
    }


def _shard_name(split: str, digits: int, number: int) -> str:
    return f"imagenet1k-{split}-{number:0{digits}}.tar"
