"""The directory in which a dataset is put together before it is published.

Its name, `.5.1.0.building-TOKEN`, has the token of the lock's holder (see `target`). In it are:

* `shards/`: finished shards, under their own names, and those that are kept of the dataset that
  splits are added to; one rename publishes it;
* `marks/`: for each finished shard a mark, and the shards that are being written;
* `build.json`: what is built.

A shard is finished when it has its name and its mark, and the length and checksum that the mark
says. A mark is written when the storage has confirmed the shard, and before the shard gets its
name.

A build that continues the work of another gives the directory its own name first: a process that
was suspended while its lock was taken over then finds its files gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.plan.identity import difference
from imagenet_builders.publish import exchange
from imagenet_builders.publish.target import Target
from imagenet_builders.write import durable

_BUILD = "build.json"
_DONE = ".done"
_PARTS = ("shards", "marks", _BUILD)


class IncompleteDir:
    """The incomplete dataset of the process that holds the lock.

    Args:
        target: What is built.
        token: The token of the lock's holder.

    Attributes:
        shards: The directory of the finished shards, which will be published.
    """

    def __init__(self, target: Target, token: str):
        self._target = target
        self._path = target.incomplete(token)
        self.shards = self._path / "shards"
        self._marks = self._path / "marks"

    def open(self, description: Mapping[str, Any]) -> str:
        """Makes the directories, or takes over those of an interrupted build of the same.

        Args:
            description: What is built, as JSON. Incomplete datasets of another description are
                removed.

        Returns:
            What was removed with finished shards in it, in words, or nothing.

        Raises:
            TargetError: The directories cannot be made.
        """
        said = ""
        for left in self._target.incompletes():
            before = described(left)
            theirs = not is_ours(left)
            if before and before == description and not theirs and not self._path.exists():
                left.rename(self._path)
                continue
            finished = len(finished_in(left))
            if before and finished and theirs:
                said = (
                    f"{finished:,} finished shards in {left} are another user's and of no use here"
                )
            elif before and finished:
                said = (
                    f"{finished:,} finished shards of an earlier build are of no use and are "
                    f"removed, because {difference(before, description)}"
                )
            exchange.remove(left)
        for directory in (self._path, self.shards, self._marks):
            with durable.writing(directory):
                directory.mkdir(exist_ok=True)
        self._remove_unfinished()
        content = {"description": description, "directory": self.shards.stat().st_ino}
        durable.write_file(self._path / _BUILD, json.dumps(content).encode())
        return said

    @property
    def file_mode(self) -> int:
        """The mode of files that are made here, by the umask or by an ACL."""
        return stat.S_IMODE((self._path / _BUILD).stat().st_mode)

    def mark_of(self, shard: Path) -> Path:
        """The path of a shard's mark."""
        return self._marks / f"{shard.name}{_DONE}"

    def abandon(self) -> int:
        """Leaves the finished shards to the next build and removes the rest.

        Returns:
            Number of finished shards; without any, nothing is left.
        """
        # After an exchange with a published dataset, its shards are here, not those of this build.
        finished = 0 if described(self._path) is None else len(finished_in(self._path))
        if finished:
            self._remove_unfinished()
        else:
            self.remove()
        return finished

    def remove(self) -> None:
        """Removes the directory."""
        # First its name: a worker that still writes, for a shard that is finished already, then
        # finds no directory, and puts nothing into one that is being emptied.
        removed = self._target.new_removed()
        with contextlib.suppress(OSError):
            self._path.rename(removed)
        exchange.remove(removed)
        exchange.remove(self._path)

    def _remove_unfinished(self) -> None:
        finished = finished_in(self._path)
        for path in [*self.shards.iterdir(), *self._marks.iterdir(), *self._path.iterdir()]:
            if path.name.removesuffix(_DONE) not in finished and path.name not in _PARTS:
                exchange.remove(path)


def is_ours(incomplete: Path) -> bool:
    """Whether this process may do with an incomplete dataset what its owner may."""
    try:
        for path in (incomplete, incomplete / "shards", incomplete / "marks"):
            status = path.stat()
            # Only the owner may set a time: asked of the server, this is right with NFS too.
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError:
        return False
    return True


def described(incomplete: Path) -> Any:
    """What is built in an incomplete dataset; None if it is of no use any more.

    Raises:
        OSError: The storage fails, so that is not known.
    """
    try:
        content = json.loads((incomplete / _BUILD).read_bytes())
        # After publishing by exchange, another directory has this name: that of the old dataset.
        if (incomplete / "shards").stat().st_ino == content["directory"]:
            return content["description"]
    except OSError as error:
        if durable.is_fault(error):
            raise
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def finished_in(incomplete: Path) -> set[str]:
    """Names of the shards of an incomplete dataset that have their name and their mark."""
    try:
        marks = os.listdir(incomplete / "marks")
        shards = set(os.listdir(incomplete / "shards"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return set()
    return shards & {name.removesuffix(_DONE) for name in marks if name.endswith(_DONE)}
