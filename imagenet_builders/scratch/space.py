"""Whether the scratch directory is there, may be written to, and has room; asked before any work.

Scratch space is for what a build can make again: indexes, unpacked archives, staged copies. An
index that finds no room is done without; the others are asked about when their sizes are known.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.words import sizes_apart

_PROBE_BYTES = 4096
_TRIES = 100

_REASONS = {
    errno.ENOSPC: "no space, or no file (inode), is left there",
    errno.EDQUOT: "your quota there is used up",
    errno.EROFS: "its file system is mounted read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "that is not allowed there",
}


def check_scratch(scratch: Path, options: BuildOptions) -> None:
    """Makes sure that the scratch directory that somebody chose can be used, and makes it.

    Where nobody did, it is beside the datasets, and what is wrong there is wrong for these too.

    Args:
        scratch: The directory.
        options: How to build; they say who chose the directory.

    Raises:
        OptionError: It is missing, is not a directory, is another user's, or may not be written to.
    """
    name, chosen = options.scratch_choice() or ("", "")
    # With Beam, what the environment chooses for this machine is not what is used.
    if chosen and _is_same(Path(os.path.expanduser(chosen)), scratch.parent):
        _check_chosen(name, chosen)
        make_scratch(scratch, name, may_be_full=True)


def make_scratch(
    directory: Path, name: str, *, parents: bool = False, may_be_full: bool = False
) -> None:
    """Makes a directory of ours in scratch space, unless it is there, and writes to it to see.

    Args:
        directory: The directory.
        name: Who chose where it is, for messages.
        parents: Whether to make the directories above it too.
        may_be_full: Whether it is no error that there is no room.

    Raises:
        OptionError: It cannot be made or written to, or is another user's.
    """
    try:
        directory.parent.mkdir(parents=parents, exist_ok=True)
        owner = _made(directory)
    except OSError as error:
        if may_be_full and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return
        reason = _REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
        raise OptionError(
            f"scratch directory {directory} ({name}) cannot be written to: {reason}; choose "
            "another with --scratch-dir"
        ) from error
    if owner != os.getuid():
        raise OptionError(
            f"scratch directory {directory} ({name}) belongs to user {owner}, not to you (user "
            f"{os.getuid()}); choose another with --scratch-dir"
        )


def _made(directory: Path) -> int:
    """Makes a directory and writes to it; returns its owner."""
    for left in reversed(range(_TRIES)):
        try:
            # What is there is taken for our own work later, so nobody else may put anything there.
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
            owner = os.lstat(directory).st_uid
            with tempfile.TemporaryFile(dir=directory, buffering=0) as probe:
                probe.write(bytes(_PROBE_BYTES))
                os.fsync(probe.fileno())
            return owner
        except FileNotFoundError:  # Another build has just removed it, as it was empty.
            if not left:
                raise
    raise AssertionError


def check_room(directory: Path, needed: int, what_for: str) -> int:
    """Makes sure that there is room in a directory, as far as its file system tells.

    Args:
        directory: The directory.
        needed: Bytes that will be written.
        what_for: What for, such as `to copy the archives`.

    Returns:
        Bytes that are free.

    Raises:
        OptionError: There is too little space.
    """
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        has, needs = sizes_apart(free, needed)
        raise OptionError(
            f"scratch directory {directory} has {has} free, but {needs} are needed {what_for}; "
            "free some, or choose another with --scratch-dir"
        )
    return free


def _is_same(path: Path, other: Path) -> bool:
    return os.path.abspath(path) == os.path.abspath(other)


def _check_chosen(name: str, chosen: str) -> None:
    """The directory chosen must be there, or the one above it: a typo is not to be made real."""
    directory = Path(os.path.expanduser(chosen))
    if directory.is_dir():
        return
    if os.path.lexists(directory):
        raise OptionError(f"scratch directory {directory} ({name}) is not a directory")
    if not directory.absolute().parent.is_dir():
        raise OptionError(
            f"scratch directory {directory} ({name}) does not exist, nor does "
            f"{directory.absolute().parent}; make it, or choose another with --scratch-dir"
        )
