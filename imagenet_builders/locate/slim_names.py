"""DOCSTRING of locate/slim_names."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from imagenet_builders.locate import shard_names
from imagenet_builders.locate.shard_names import ShardSet

SHARD = re.compile(r"(train|validation)-([0-9]{5,})-of-([0-9]{5,})")
"""The name of a shard; its groups are the split, the number, and how many there are."""


def shard_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards among the names in a directory.

    Args:
        names: File names; those that are not of shards are passed over.

    Returns:
        Split (`train`, `validation`) to its shards.

    >>> shard_sets(["train-00001-of-00002", "idx_dir"])["train"].problem
    'expected 2 shards, found 1: train-00000-of-00002 is missing; copy the missing files'
    """
    found: dict[str, list[tuple[int, str]]] = {}
    counts: dict[str, set[str]] = {}
    for name in names:
        match = SHARD.fullmatch(name)
        if match is not None:
            found.setdefault(match[1], []).append((int(match[2]), name))
            counts.setdefault(match[1], set()).add(match[3])
    result = {}
    for split, numbers in found.items():
        first, *others = sorted(counts[split])
        if others:
            ordered = tuple(name for _, name in sorted(numbers))
            problem = f"some are of {int(first):,} and others of {int(others[0]):,}; keep one set"
            result[split] = ShardSet(ordered, problem)
            continue
        name_of = functools.partial(_shard_name, split, first)
        result[split] = shard_names.numbered_set(numbers, name_of, int(first))
    return result


def _shard_name(split: str, count: str, number: int) -> str:
    return f"{split}-{number:05}-of-{count}"
