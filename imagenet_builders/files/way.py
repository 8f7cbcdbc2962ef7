"""The way to a directory, on which no link is followed that somebody else may have put there.

Who may write a directory can put a link in it that leads anywhere, also to what only the user who
follows it may write. So a link counts if its owner is this user or root, or the owner of the
directory that holds it, or if nobody but that owner may write this directory. Linux has the same
rule for `/tmp` (`fs.protected_symlinks`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque
from pathlib import Path

from imagenet_builders.errors import TargetError

# Linux opens a directory in this way that may be passed through and not be listed.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC
_DIRECTORY = _PASS | os.O_DIRECTORY | os.O_NOFOLLOW
_LINK = _PASS | os.O_NOFOLLOW
_WRITE_BY_OTHERS = 0o022

# As in Linux.
_MAX_LINKS = 40


class ForeignLinkError(TargetError):
    """A link that somebody else may have put in the way."""


def open_way(path: Path) -> int:
    """Opens a directory to reach what is in it, following no link of somebody else's.

    Args:
        path: The directory.

    Returns:
        Its descriptor, good as the `dir_fd` of other calls.

    Raises:
        ForeignLinkError: Somebody else may have put a link in the way.
        OSError: It is not there, is no directory, or may not be entered.
    """
    left = deque(path.absolute().parts)
    fd = os.open(left.popleft(), _DIRECTORY)
    at, links = "/", 0
    try:
        while left:
            part = left.popleft()
            at = os.path.join(at, part)
            try:
                inner = os.open(part, _DIRECTORY, dir_fd=fd)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                links += 1
                if links > _MAX_LINKS:
                    raise
                leads_to = _followed(part, fd, at, path)
                if leads_to is None:
                    raise
                parts = deque(Path(leads_to).parts)
                if parts and parts[0].startswith("/"):
                    inner = os.open(parts.popleft(), _DIRECTORY)
                    at = "/"
                else:
                    inner = os.dup(fd)
                    at = os.path.dirname(at)
                left.extendleft(reversed(parts))
            os.close(fd)
            fd = inner
    except OSError as error:
        os.close(fd)
        error.filename = at
        raise
    except BaseException:
        os.close(fd)
        raise
    return fd


def _followed(name: str, dir_fd: int, at: str, path: Path) -> str | None:
    """Where a link leads that counts; None for what is no link."""
    link = os.open(name, _LINK, dir_fd=dir_fd)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, link)
        status = os.fstat(link)
        if not stat.S_ISLNK(status.st_mode):
            return None
        holder = os.fstat(dir_fd)
        if status.st_uid not in (os.geteuid(), 0, holder.st_uid) and (
            holder.st_mode & _WRITE_BY_OTHERS
        ):
            raise ForeignLinkError(
                f"{at}, on the way to {path}, is a link that user {status.st_uid} has made in a "
                "directory that others may write; look where it leads, then replace it with one "
                "of your own, or name the directory itself"
            )
        # Of the link that was looked at, whatever has its name by now.
        return os.readlink("", dir_fd=link)
