"""Finds and makes the scratch directory; checks, before any work, that it can be written to.

Scratch space is for what a build can make again: indexes, unpacked archives, scratch copies. A
build does without an index that finds no room; room for the others is checked when their sizes are
known.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from imagenet_builders.errors import OptionError
from imagenet_builders.files.own_dir import enter_own, find_own_dir, own_dir
from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.options import BuildOptions
from imagenet_builders.words import logger, sizes_apart

_LOG = logger(__name__)

_PROBE_BYTES = 4096
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_REASONS = {
    errno.ENOSPC: "no space, or no file (inode), is left there",
    errno.EDQUOT: "your quota there is used up",
    errno.EROFS: "its file system is mounted read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "that is not allowed there",
}


def find_scratch(named: Path) -> Path:
    """The scratch directory that a build would use, as far as that is known before it.

    Args:
        named: The directory as it should be called; see `BuildOptions.scratch_for`.

    Returns:
        The directory. Where another one will be made, because somebody else has taken the name, it
        is the one above.
    """
    found = find_own_dir(named)
    if found is None:
        return named.parent if os.path.lexists(named) else named
    with found:
        return found.path


def check_choice(options: BuildOptions) -> None:
    """Makes sure that the directory that was chosen for scratch space, if any, can be one.

    Args:
        options: How to build; they say who chose it.

    Raises:
        OptionError: It is missing, as is the one above it, or is not a directory.
    """
    name, chosen = options.scratch_choice() or ("", "")
    if chosen:
        _check_chosen(name, chosen)


def make_scratch(named: Path, options: BuildOptions) -> Path:
    """Finds or makes the scratch directory, and makes sure that it can be used, if it was chosen.

    Only this user may write to it, because its content counts as our own work. Where somebody else
    has taken its name, it is another one beside that; see `files.own_dir`. If nobody chose one, it
    is beside the datasets, and what is wrong there is wrong for these too.

    Args:
        named: The directory as it should be called; see `BuildOptions.scratch_for`.
        options: How to build; they say who chose the directory.

    Returns:
        The directory. It may not be there, where it cannot be made: a build does without an index.

    Raises:
        OptionError: It is missing, is not a directory, or may not be written to; or its file system
            does not keep owners and modes.
    """
    name, chosen = options.scratch_choice() or ("", "")
    # With Beam, the scratch directory is not the one that the environment chooses.
    is_chosen = bool(chosen) and _is_same(Path(os.path.expanduser(chosen)), named.parent)
    if is_chosen:
        _check_chosen(name, chosen)
    name = name if is_chosen else "the default"
    used = named
    try:
        os.makedirs(named.parent, exist_ok=True)
        with own_dir(named) as made:
            used = made.path
            if used != named:
                _LOG.info(
                    f"{named} is another user's, or others may write to it; the scratch directory "
                    f"is {used}"
                )
            if is_chosen:
                _probe(made)
    except NotOursError as error:
        raise OptionError(
            f"scratch directory {named} ({name}) {error.found} once it is made, so that others may "
            "write there, and its file system keeps no owners or modes; choose one on another file "
            "system with --scratch-dir"
        ) from error
    except OSError as error:
        if is_chosen and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise _unusable(named, name, error) from error
    return used


def _probe(directory: PrivateDir) -> None:
    """Writes to a directory, as a test."""
    fd = directory.open_anonymous()
    try:
        os.write(fd, bytes(_PROBE_BYTES))
        os.fsync(fd)
    finally:
        os.close(fd)


def enter_scratch(scratch: Path, what_for: str) -> PrivateDir:
    """Opens the scratch directory to put there what a build cannot do without.

    Args:
        scratch: As `make_scratch` gives it.
        what_for: Its purpose, for messages.

    Raises:
        OptionError: It cannot be made or written to.
        NotOursError: It is not this user's alone.
    """
    try:
        entered = enter_own(scratch, make=True)
        _probe(entered)
        return entered
    except OSError as error:
        raise _unusable(scratch, what_for, error) from error


def _unusable(scratch: Path, name: str, error: OSError) -> OptionError:
    reason = _REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
    return OptionError(
        f"scratch directory {scratch} ({name}) cannot be written to: {reason}; choose another with "
        "--scratch-dir"
    )


def check_room(directory: PrivateDir, needed: int, what_for: str) -> int:
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
    free = shutil.disk_usage(directory.fd).free
    if needed > free:
        has, needs = sizes_apart(free, needed)
        raise OptionError(
            f"scratch directory {directory.path} has {has} free, but {needs} are needed "
            f"{what_for}; free some, or choose another with --scratch-dir"
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
