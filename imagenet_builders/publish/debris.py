"""What builds that were killed have left beside a dataset, and what of it can be continued."""

from __future__ import annotations

import contextlib
from pathlib import Path

from imagenet_builders.publish import exchange, incomplete, lock
from imagenet_builders.publish.target import Target

# TensorFlow Datasets' own build writes all the time; one that did not for an hour has ended.
_STOCK_DEAD_SECONDS = 3600.0


def is_there(target: Target) -> bool:
    """Whether there is anything beside a dataset but incomplete ones that may be continued."""
    in_use = [path for path in target.incompletes() if incomplete.described(path) is not None]
    return bool(set(target.all_ours()) - set(in_use))


def resumable(target: Target) -> list[Path]:
    """The incomplete datasets that this process could continue."""
    return [
        path
        for path in target.incompletes()
        if incomplete.described(path) and incomplete.finished_in(path) and incomplete.is_ours(path)
    ]


def remove(target: Target) -> list[str]:
    """Removes what is of no use; only for the lock's holder. What can be continued stays.

    Args:
        target: What the builds were to make.

    Returns:
        What was removed that builds of another package had left, in whole sentences.

    Raises:
        TargetError: A dataset that was moved aside cannot be given its name back.
    """
    exchange.recover(target)
    lock.clean_up(target)
    for path in target.incompletes():
        if incomplete.described(path) is None:
            exchange.remove(path)
    for path in target.job_dirs():
        exchange.remove(path)
    removed = []
    for path in target.stock_incompletes():
        # By the clock of the file system: the lock's holder has just touched the lock.
        age = _age(path, target.lock().stat().st_mtime)
        if age > _STOCK_DEAD_SECONDS:
            exchange.remove(path)
            removed.append(
                f"removed {path}, left by a build of TensorFlow Datasets that was killed "
                f"(nothing in it changed for {age / 3600:.1f} hours)"
            )
    return removed


def _age(directory: Path, now: float) -> float:
    """Seconds since anything in a directory changed."""
    times = [0.0]
    for path in (directory, *directory.rglob("*")):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return now - max(times)
