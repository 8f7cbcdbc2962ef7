"""Whose a file or a directory is, as the file system says, and who may write to it."""

from __future__ import annotations

import os
import stat

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
    status = os.fstat(fd)
    return f"belongs to user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):o}"
