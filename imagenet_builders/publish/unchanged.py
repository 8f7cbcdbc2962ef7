"""Says which of the options given change nothing, because what was asked for is there already."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
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
