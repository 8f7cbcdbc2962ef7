"""Whose a file or a directory is, as the file system says, and who may write to it."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

_WRITE_BY_OTHERS = 0o022


def is_ours(fd: int) -> bool:
    """Whether an open file or directory is this user's.

    File systems may show another owner than this process's user: NFS without a map of names, sshfs.
    Only its owner may set a file's times, so these file systems are asked that. Root may do it
    whosever a file is, so to root only root's own is ours.

    Args:
        fd: Its descriptor.
    """
    status = os.fstat(fd)
    if status.st_uid == os.geteuid():
        return True
    if os.geteuid() == 0:
        return False
    try:
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError:
        return False
    return True


def is_ours_alone(fd: int) -> bool:
    """Whether an open file or directory is this user's, and nobody else may write to it.

    Args:
        fd: Its descriptor.
    """
    return not os.fstat(fd).st_mode & _WRITE_BY_OTHERS and is_ours(fd)


def owner_and_mode(fd: int) -> str:
    """Owner and mode of an open file or directory, in words, for messages."""
    return _owner_and_mode(os.fstat(fd))


@dataclasses.dataclass(frozen=True)
class Refused:
    """Why this user may not write in a directory, in words.

    Attributes:
        directory: The directory.
        whose: Its owner and its mode.
        ask: What to do.
    """

    directory: Path
    whose: str
    ask: str


def refused(directory: Path) -> Refused | None:
    """Why this user may not write in a directory.

    Args:
        directory: The directory.

    Returns:
        The reason; None if they may, or if it is not its owner and mode that are in the way.
    """
    if os.access(directory, os.W_OK | os.X_OK):
        return None
    try:
        status = os.stat(directory)
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            return None
    except OSError:
        return None
    ask = "ask them for the permission"
    if status.st_uid == os.geteuid():
        ask = "give yourself the permission (`chmod u+wx`)"
    elif status.st_gid in (os.getegid(), *os.getgroups()) and not status.st_mode & stat.S_IWGRP:
        ask = f"ask them for `chmod g+w{'' if status.st_mode & stat.S_IXGRP else 'x'}`"
    return Refused(directory, _owner_and_mode(status), ask)


def nearest(path: Path) -> Path:
    """A directory itself, or the nearest one above a path that is there."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if os.path.isdir(each))


def _owner_and_mode(status: os.stat_result) -> str:
    return f"belongs to user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):o}"
