"""What an earlier build has left: the directory in which it put a dataset together.

Who may write the directory above can give the name of such a directory to anything. So it is
opened once, looked at, and used or removed through its descriptor: one that is this user's and
private is trusted, and of the others only those are removed that have nothing else in them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.files.ours import is_ours
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.plan.identity import difference
from imagenet_builders.publish import provenance
from imagenet_builders.words import counted
from imagenet_builders.write import build_dir, durable
from imagenet_builders.write.build_dir import BUILD, DONE, MARKS, SHARDS

PARTS = (MARKS, SHARDS)
"""The directories in it that a build goes on with."""

METADATA = "metadata"
"""Where TensorFlow Datasets writes, for a moment, what there is to say of the dataset."""

DOWNLOADS = "downloads"
"""What TensorFlow Datasets may have for a moment in the directory, though nothing is downloaded."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = 0o077

# What builds put there: the parts, what is being written or removed of them, what NFS keeps.
_OURS = re.compile(
    rf"\.?({MARKS}|{SHARDS}|{METADATA}|{re.escape(BUILD)})(\..*)?|{DOWNLOADS}|\.nfs.*"
)


@dataclasses.dataclass(frozen=True)
class Left:
    """What an earlier build has left.

    Attributes:
        path: Where.
        directory: It, open, if it is a directory that may be read.
        description: What was built in it, if it is this user's and private; None if it is of no
            use.
        finished: Names of its finished shards, as far as they can be seen.
        problem: Why it is of no use, if that has to be said.
        is_ours: Whether it is this user's.
        strange: Something in it that no build puts there, so that it may be anything, or None.
    """

    path: Path
    directory: PrivateDir | None = None
    description: Any = None
    finished: frozenset[str] = frozenset()
    problem: str = ""
    is_ours: bool = True
    strange: str | None = None

    def why_not(self, description: Mapping[str, Any] | None = None) -> list[str]:
        """What to say of it, in sentences, if it is not continued.

        Args:
            description: What is built now, if that is known.
        """
        count, path = len(self.finished), durable.shown(self.path)
        if self.strange is not None:
            return [
                f"{path} has the name of a build directory, but {ascii(self.strange)[1:-1]} "
                "in it is not a build's; it is left alone, look at it"
            ]
        if not self.is_ours:
            if self.problem:
                return [f"{path} is an unfinished build of another user; it is left alone"]
            if not count:
                return []
            return [
                f"{counted(count, 'finished shard')} of another user in {path} cannot be used here"
            ]
        if count and self.problem:
            return [
                f"removed {counted(count, 'finished shard')} in {path}, of no use because "
                f"{self.problem}"
            ]
        if count and self.description and description:
            return [
                f"removed {counted(count, 'finished shard')} of an earlier build, of no use "
                f"because {difference(self.description, description)}"
            ]
        return []

    @property
    def is_debris(self) -> bool:
        """Whether it is of no use to any build, and may be removed."""
        unreadable = self.directory is None and not self.is_ours
        return self.description is None and self.strange is None and not unreadable

    def remove(self) -> None:
        """Removes it, as far as this user may and it is a build's."""
        if self.strange is not None:
            return
        if self.directory is not None:
            remove(self.directory)
        elif self.is_ours:
            with contextlib.suppress(OSError):  # Its name only, wherever it may lead.
                os.unlink(self.path)


@contextlib.contextmanager
def look(path: Path) -> Iterator[Left]:
    """Looks at what an earlier build has left, without trusting it.

    Args:
        path: The incomplete dataset.

    Yields:
        What is there; its directory is open inside of the block.
    """
    try:
        directory = PrivateDir(path, os.open(path, _DIRECTORY))
    except PermissionError:
        yield Left(path, is_ours=False, problem="it may not be read")
        return
    except OSError as error:  # A file, or a link, which has its own name only.
        _raise_fault(error)
        yield Left(path)
        return
    with directory:
        yield _looked_at(directory)


def _looked_at(directory: PrivateDir) -> Left:
    path = directory.path
    try:
        names = directory.names_in(".")
        strange = next((name for name in names if not _OURS.fullmatch(name)), None)
        finished = frozenset(finished_in(directory))
        ours, mode = is_ours(directory.fd), os.fstat(directory.fd).st_mode
        if strange is not None or not ours:
            return Left(path, directory, None, finished, is_ours=ours, strange=strange)
        if mode & _PRIVATE:
            words = f"others could enter it (mode {stat.S_IMODE(mode):o})"
            return Left(path, directory, None, finished, words)
        description, problem = description_in(directory), ""
        if description is None and BUILD in names and not _is_published(directory):
            problem = "what says what they are of is damaged"
        return Left(path, directory, description, finished, problem)
    except OSError as error:
        _raise_fault(error)
        return Left(path, is_ours=False, problem=f"it cannot be read ({error.strerror})")


def remove(directory: PrivateDir) -> None:
    """Removes an incomplete dataset that is open."""
    for part in (BUILD, *PARTS):
        # A worker that still writes, for a shard that is finished already, then finds no directory,
        # and puts nothing into one that is being emptied. Nobody takes half of it for all.
        with contextlib.suppress(OSError):
            os.rename(
                part,
                f".{part}.{secrets.token_hex(4)}",
                src_dir_fd=directory.fd,
                dst_dir_fd=directory.fd,
            )
    directory.remove()


def description_in(directory: PrivateDir) -> Any:
    """What is built in an incomplete dataset; None if it is of no use any more.

    Raises:
        OSError: The storage fails, so that is not known.
    """
    said = _said(directory)
    if not said.get("published") or said["published"] == digest(directory):
        return said.get("description")
    return None


def _is_published(directory: PrivateDir) -> bool:
    """Whether an incomplete dataset is none any more, for it was published."""
    said = _said(directory)
    return bool(said.get("published")) and said["published"] != digest(directory)


def _said(directory: PrivateDir) -> dict[str, Any]:
    try:
        return build_dir.read_build(directory)
    except OSError as error:
        _raise_fault(error)
        return {}


def digest(directory: PrivateDir) -> str | None:
    """Tells the dataset in `shards/` from every other; None if there is none yet."""
    try:
        content = directory.read(build_dir.shard_name(provenance.FILE_NAME))
    except OSError as error:
        _raise_fault(error)
        return None
    return hashlib.sha256(content).hexdigest()


def _raise_fault(error: OSError) -> None:
    """Passes over what is not there or is something else, but not storage that fails."""
    if durable.is_fault(error):
        raise error


def finished_in(directory: PrivateDir) -> set[str]:
    """Names of the shards of an incomplete dataset that have their name and their mark."""
    try:
        marks, shards = directory.names_in(MARKS), directory.names_in(SHARDS)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return set()
    return {name.removesuffix(DONE) for name in marks if name.endswith(DONE)} & set(shards)
