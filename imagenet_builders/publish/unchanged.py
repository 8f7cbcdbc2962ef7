"""Says which of the options given change nothing, because what was asked for is there already."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from imagenet_builders.publish.access import Access
from imagenet_builders.words import counted, logger

_LOG = logger(__name__)


def warn_of_shards(path: Path, shards: Mapping[str, int], asked: int | None) -> None:
    """Warns where a dataset has other numbers of shards than were asked for.

    Args:
        path: The dataset.
        shards: Split to the number of its shards.
        asked: The number that was asked for, or None.
    """
    if _differs(shards, asked):
        _LOG.warning(
            f"{path} is there already, with {_of_splits(shards)}, so --num-shards {asked} changes "
            "nothing; build it anew with it and --overwrite, or into another --data-dir"
        )


def warn_of_exported_shards(path: Path, shards: Mapping[str, int], asked: int | None) -> None:
    """Warns where an export has other numbers of shards than were asked for; see there."""
    if _differs(shards, asked):
        _LOG.warning(
            f"{path} is there already, with {_of_splits(shards)}, so --num-shards {asked} changes "
            "nothing; export it to another --out"
        )


def warn_of_examples(path: Path, examples: Mapping[str, int], limit: int | None) -> None:
    """Warns where a dataset has more examples than a part of it would.

    Args:
        path: The dataset, which is whole.
        examples: Split to the number of its examples.
        limit: The `max_examples_per_split` that was asked for, or None.
    """
    if limit and max(examples.values(), default=0) > limit:
        _LOG.warning(
            f"{path} is there already, with all its examples, so --max-examples-per-split {limit} "
            "changes nothing; to try things out, build into another --data-dir"
        )


def warn_of_sizes(path: Path, shards: Mapping[str, int], is_asked: bool) -> None:
    """Warns where sizes of shards were asked for, whatever those are that are there.

    Args:
        path: The dataset.
        shards: Split to the number of its shards.
        is_asked: Whether `min_shard_size` or `max_shard_size` was given.
    """
    if is_asked:
        _LOG.warning(
            f"{path} is there already, with {_of_splits(shards)}, so --max-shard-size changes "
            "nothing; to build it anew with another number, give --num-shards and --overwrite"
        )


def warn_of_source(path: Path, layouts: Iterable[str], asked: str | None) -> None:
    """Warns where a dataset was built from another kind of source than was asked for.

    Args:
        path: The dataset.
        layouts: The layouts that its splits were built from, as `provenance.json` says them; none
            if that is not known.
        asked: The kind of source that was asked for, or None.
    """
    of_images = dict.fromkeys(each.partition("; boxes from ")[0] for each in layouts)
    if asked and any(f"({asked})" not in each for each in of_images):
        _LOG.warning(
            f"{path} is there already, from {', '.join(of_images)}, so --source {asked} changes "
            "nothing; build it anew with it and --overwrite, or into another --data-dir"
        )


def warn_of_classes(path: Path, is_known: bool, asked: str) -> None:
    """Warns where a dataset has the known list of classes, and that of the archive was asked for.

    Args:
        path: The dataset.
        is_known: Whether its list of classes is that of this package.
        asked: `archive` or `known`.
    """
    if is_known and asked == "archive":
        _LOG.warning(
            f"{path} is there already, with the class list of this package, so --classes archive "
            "changes nothing; build it anew with it and --overwrite, or into another --data-dir"
        )


def warn_of_access(path: Path, access: Access) -> None:
    """Warns where a dataset has another mode or group than was asked for.

    Args:
        path: The dataset.
        access: What was asked for.

    Raises:
        TargetError: The dataset cannot be looked at.
    """
    if access.is_of(path):
        return
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    if access.mode not in (None, mode):
        _LOG.warning(
            f"{path} is there already, with the mode {mode:o}, so --mode {access.mode:o} changes "
            "nothing; build it anew with it and --overwrite, or use chmod"
        )
    if access.group not in (None, status.st_gid):
        _LOG.warning(
            f"{path} is there already, of the group {status.st_gid}, so --group {access.group} "
            "changes nothing; build it anew with it and --overwrite, or use chgrp"
        )


def _differs(shards: Mapping[str, int], asked: int | None) -> bool:
    return asked is not None and any(number != asked for number in shards.values())


def _of_splits(shards: Mapping[str, int]) -> str:
    """The numbers of shards, in words.

    >>> _of_splits({"train": 8, "test": 1}), _of_splits({"train": 2, "test": 2})
    ('8 shards of train, 1 shard of test', '2 shards of each split')
    """
    numbers = set(shards.values())
    if len(numbers) == 1 and len(shards) > 1:
        return f"{counted(numbers.pop(), 'shard')} of each split"
    return ", ".join(f"{counted(number, 'shard')} of {name}" for name, number in shards.items())
