"""Where a dataset is put together before it is published, and what of it is finished.

Beside the directory of the version, `5.1.0`, there is `.5.1.0.building-TOKEN` while it is built:

* `shards/`: finished shards, under their own names, and nothing else; it is what will be published,
  by one rename;
* `marks/`: for each finished shard a mark, and the shards being written;
* `build.json`: what is built.

A shard is finished when it has its name and its mark, is as long as the mark says and has the
checksum that the mark says. A mark is written when the storage has confirmed the shard, and before
the shard gets its name.

The token is that of the lock's holder. Who goes on with what another left gives it another name
first: a process that was asleep while its lock was taken over then finds its files gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.plan.identity import _difference
from imagenet_builders.publish import exchange as publish
from imagenet_builders.publish import lock
from imagenet_builders.write import durable

_BUILD = "build.json"
_DONE = ".done"
_PARTS = ("shards", "marks", _BUILD)

_TOKEN = "[0-9a-f]" * 16

# TensorFlow Datasets' own build writes all the time; one that did not for an hour has ended.
_INCOMPLETE_DEAD_SECONDS = 3600.0


class IncompleteDir:
    """The place of one build of a dataset; only for whoever holds its lock.

    Args:
        target: The directory of the version, where it will be published.
        token: Tells this build from every other.

    Attributes:
        target: As given.
        directory: Where shards are put together.
    """

    def __init__(self, target: Path, token: str):
        self.target = target
        # Absolute, because a worker on another machine is in another directory.
        self._place = target.absolute().with_name(f"{_place_prefix(target)}{token}")
        self.directory = self._place / "shards"
        self._marks = self._place / "marks"

    def open(self, description: Mapping[str, Any]) -> str:
        """Makes the place ready for a build; what an earlier one left stays if it is of use.

        Args:
            description: What is built, as JSON; shards of any other description are of no use.

        Returns:
            What there is to say of it, or nothing.

        Raises:
            TargetError: The directories cannot be made.
        """
        said = ""
        for left in _places(self.target):
            before = _described(left)
            theirs = not _is_ours(left)
            if before and before == description and not theirs and not self._place.exists():
                left.rename(self._place)
                continue
            finished = len(_finished(left))
            if before and finished and theirs:
                said = (
                    f"{finished:,} finished shards in {left} are another user's and of no use here"
                )
            elif before and finished:
                said = (
                    f"{finished:,} finished shards of an earlier build are of no use and are "
                    f"removed, because {_difference(before, description)}"
                )
            publish.remove(left)
        for directory in (self._place, self.directory, self._marks):
            with durable.writing(directory):
                directory.mkdir(exist_ok=True)
        self._remove_unfinished()
        content = {"description": description, "directory": self.directory.stat().st_ino}
        durable.write_file(self._place / _BUILD, json.dumps(content).encode())
        return said

    @property
    def file_mode(self) -> int:
        """The mode that files get that are made here, be it by the umask or by an ACL."""
        return stat.S_IMODE((self._place / _BUILD).stat().st_mode)

    def mark_of(self, shard: Path) -> Path:
        """Where the mark of a shard is."""
        return self._marks / f"{shard.name}.done"

    def abandon(self) -> int:
        """Leaves the place to the next build: what is finished stays, the rest is removed.

        Returns:
            Number of finished shards; if there is none, nothing is left.
        """
        # What was exchanged with a published dataset is not what was built here.
        finished = 0 if _described(self._place) is None else len(_finished(self._place))
        if finished:
            self._remove_unfinished()
        else:
            self.close()
        return finished

    def close(self) -> None:
        """Removes the place."""
        # First its name: who still writes there, for a shard that is done, then finds no directory,
        # and puts nothing into one that is being emptied.
        removed = publish.beside(self.target, "removed")
        with contextlib.suppress(OSError):
            self._place.rename(removed)
        publish.remove(removed)
        publish.remove(self._place)

    def _remove_unfinished(self) -> None:
        finished = _finished(self._place)
        for path in [*self.directory.iterdir(), *self._marks.iterdir(), *self._place.iterdir()]:
            if path.name.removesuffix(_DONE) not in finished and path.name not in _PARTS:
                publish.remove(path)


def is_debris_there(target: Path) -> bool:
    """Whether builds of the dataset at `target` that have ended left what is of no use."""
    beside = [path.name for path in target.parent.glob(f".{target.name}.*")]
    beside += [path.name for path in target.parent.glob(f"..{target.name}.*")]
    in_use = {place.name for place in _places(target) if _described(place) is not None}
    return bool(set(beside) - in_use)


def resumable(target: Path) -> list[Path]:
    """Places of builds of the dataset at `target` that have ended, that we can go on with."""
    places = [place for place in _places(target) if _described(place) and _finished(place)]
    return [place for place in places if _is_ours(place)]


def remove_debris(target: Path, lock_path: Path) -> list[str]:
    """Removes what builds that have ended left beside the dataset; for the holder of its lock.

    What can be gone on with stays.

    Args:
        target: The directory of the version.
        lock_path: The lock.

    Returns:
        What was removed that was not of this package, in whole sentences.
    """
    publish.recover(target)
    lock.clean_up(lock_path)
    for place in _places(target):
        if _described(place) is None:
            publish.remove(place)
    for exchange in target.parent.glob(exchange_of(target, _TOKEN).name):
        publish.remove(exchange)
    said = []
    # Source: `_get_incomplete_dir` in TensorFlow Datasets' core/utils/file_utils.py.
    for left in target.parent.glob(f"incomplete.{'[A-Z0-9]' * 6}_{target.name}"):
        # By the clock of the file system, which the holder of a lock touches it with.
        age = _age(left, lock_path.stat().st_mtime)
        if age > _INCOMPLETE_DEAD_SECONDS:
            publish.remove(left)
            said.append(
                f"removed {left}, left by a build of TensorFlow Datasets that was killed "
                f"(nothing in it changed for {age / 3600:.1f} hours)"
            )
    return said


def exchange_of(target: Path, token: str) -> Path:
    """Where the workers of one build on other machines exchange what they need."""
    return target.with_name(f".{target.name}.exchange-{token}")


def _place_prefix(target: Path) -> str:
    return f".{target.name}.building-"


def _places(target: Path) -> list[Path]:
    return sorted(target.parent.glob(f"{_place_prefix(target)}{_TOKEN}"))


def _is_ours(place: Path) -> bool:
    """Whether we may do all with a place that its owner may."""
    try:
        for path in (place, place / "shards", place / "marks"):
            status = path.stat()
            # Only the owner may set a time: asked of the server, this is right with NFS too.
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError:
        return False
    return True


def _described(place: Path) -> Any:
    """What was built there; None where it is of no use any more."""
    try:
        content = json.loads((place / _BUILD).read_bytes())
        # After publishing by exchange, another directory has this name: that of the old dataset.
        if (place / "shards").stat().st_ino == content["directory"]:
            return content["description"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _finished(place: Path) -> set[str]:
    """Names of the shards that have their name and their mark."""
    marked = {path.name.removesuffix(_DONE) for path in (place / "marks").glob(f"*{_DONE}")}
    return {name for name in marked if (place / "shards" / name).exists()}


def _age(directory: Path, now: float) -> float:
    """Seconds since anything in a directory changed."""
    times = [0.0]
    for path in (directory, *directory.rglob("*")):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return now - max(times)
