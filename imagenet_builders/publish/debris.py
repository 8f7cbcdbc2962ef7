"""What builds that were killed have left beside a dataset, and what of it can be continued."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from imagenet_builders.files.ours import is_ours
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.publish import exchange, lock
from imagenet_builders.publish.left import look
from imagenet_builders.publish.target import Target
from imagenet_builders.write import durable

# TensorFlow Datasets' own build writes all the time; one that did not for an hour has ended.
_STOCK_DEAD_SECONDS = 3600.0
_DEPTH = 8

# What Beam's workers have in a directory of jobs: one for each list, and an error.
_OF_JOBS = re.compile(r"[a-z_]+-[0-9a-f]{16}|pipeline\.error(\..*)?|downloads|extracted|\.nfs.*")


def is_there(target: Target) -> bool:
    """Whether there is anything beside a dataset but incomplete ones that may be continued."""
    stays = set()
    for path in target.incompletes():
        with look(path) as left:
            if not left.is_debris:
                stays.add(path)
    return bool(set(target.all_ours()) - stays)


def resumable(target: Target) -> list[Path]:
    """The incomplete datasets that this process could continue."""
    found = []
    for path in target.incompletes():
        with look(path) as left:
            if left.description and left.finished:
                found.append(path)
    return found


def remove(target: Target) -> list[str]:
    """Removes what is of no use; only for the lock's holder. What can be continued stays.

    Args:
        target: What the builds were to make.

    Returns:
        What was removed that is worth to be told, in whole sentences.

    Raises:
        TargetError: A dataset that was moved aside cannot be given its name back.
    """
    removed = exchange.recover(target)
    lock.clean_up(target)
    for path in target.incompletes():
        with look(path) as left:
            if left.is_debris:
                removed += left.why_not()
                left.remove()
                if left.is_ours and os.path.lexists(path):
                    removed.append(_still_there(path))
    for path in target.job_dirs():
        _remove_jobs(path)
    for path in target.stock_incompletes():
        # By the clock of the file system: the lock's holder has just touched the lock.
        age = _age(path, target.lock().stat().st_mtime)
        # A dataset of another version may have been given that name, by who cannot remove it.
        if age > _STOCK_DEAD_SECONDS and not os.path.lexists(path / "dataset_info.json"):
            exchange.remove(path)
            if os.path.lexists(path):
                removed.append(_still_there(path))
                continue
            removed.append(
                f"removed {durable.shown(path)}, left by a build of TensorFlow Datasets that was "
                f"killed (nothing in it changed for {age / 3600:.1f} hours)"
            )
    return removed


def _still_there(path: Path) -> str:
    return f"{durable.shown(path)} was left by an earlier build and cannot be removed; look at it"


def _remove_jobs(path: Path) -> None:
    """Removes a directory of jobs, if it is one: others may have given its name to anything."""
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with PrivateDir(path, fd) as directory:
            if is_ours(fd) and all(map(_OF_JOBS.fullmatch, directory.names_in("."))):
                directory.remove()


def _age(directory: Path, now: float) -> float:
    """Seconds since anything in a directory changed."""
    newest = 0.0
    for path in itertools.chain((directory,), _all_in(directory)):
        with contextlib.suppress(OSError):
            newest = max(newest, path.lstat().st_mtime)
    return now - newest


def _all_in(directory: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """What is in a directory, as deep as TensorFlow Datasets goes; links are not followed."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            path = directory / entry.name
            yield path
            if depth and entry.is_dir(follow_symlinks=False):
                yield from _all_in(path, depth - 1)
