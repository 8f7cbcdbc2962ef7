"""Checks, before any work, that the scratch directory is there, is writable, and has room.

Scratch space is for what a build can make again: indexes, unpacked archives, scratch copies. A
build does without an index that finds no room; room for the others is checked when their sizes are
known.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.words import sizes_apart

_PROBE_BYTES = 4096
_TRIES = 100
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_REASONS = {
    errno.ENOSPC: "no space, or no file (inode), is left there",
    errno.EDQUOT: "your quota there is used up",
    errno.EROFS: "its file system is mounted read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "that is not allowed there",
}


def check_scratch(scratch: Path, options: BuildOptions) -> None:
    """Makes the scratch directory, and makes sure that it can be used, if it was chosen.

    If nobody chose one, it is beside the datasets, and what is wrong there is wrong for these too.

    Args:
        scratch: The directory.
        options: How to build; they say who chose the directory.

    Raises:
        OptionError: It is missing, is not a directory, is another user's, or may not be written to.
    """
    name, chosen = options.scratch_choice() or ("", "")
    # With Beam, the scratch directory is not the one that the environment chooses.
    if chosen and _is_same(Path(os.path.expanduser(chosen)), scratch.parent):
        _check_chosen(name, chosen)
        make_scratch(scratch, name, may_be_full=True)


def make_scratch(
    directory: Path, name: str, *, parents: bool = False, may_be_full: bool = False
) -> None:
    """Makes a private directory in scratch space, unless it is there, and writes to it as a test.

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
            # Later, its content counts as our own work, so nobody else may write there.
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
            owner = os.lstat(directory).st_uid
            with tempfile.TemporaryFile(dir=directory, buffering=0) as probe:
                probe.write(bytes(_PROBE_BYTES))
                os.fsync(probe.fileno())
            return owner
        except FileNotFoundError:  # Another build has just removed it, because it was empty.
            if not left:
                raise
    raise AssertionError


def check_room(directory: Path, needed: int, what_for: str) -> int:
    """Makes sure that there is room in a directory, as far as its file system tells.

    Args:
        directory: The directory.
        needed: Bytes that will be written.
        what_for: Their purpose, such as `to copy the archives`.

    Returns:
        Bytes that are free.

    Raises:
        OptionError: There is too little space.
    """
    free = shutil.disk_usage(directory).free
    if needed > free:
        has, needs = sizes_apart(free, needed)
        raise OptionError(
            f"scratch directory {directory} has {has} free, but {needs} are needed {what_for}; "
            "free some, or choose another with --scratch-dir"
        )
    return free


def boot() -> str:
    """Identifies the time since the machine was started; if unknown, the time of this process."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"p{os.getpid()}"


def _is_same(path: Path, other: Path) -> bool:
    return os.path.abspath(path) == os.path.abspath(other)


def _check_chosen(name: str, chosen: str) -> None:
    """The chosen directory must exist, or the one above it: no typo becomes a directory."""
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
