"""Locks on directories in scratch space, so that no build removes what another one reads."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

LOCK = "lock"
"""Name of the file in a directory that is locked."""


def lock_directory(
    directory: Path,
    make: Callable[[], None],
    *,
    shared: bool = False,
    tidy: Callable[[], None] = lambda: None,
) -> int:
    """Makes a directory and locks it. Without locks in its file system, nobody is kept away.

    Args:
        directory: The directory.
        make: Makes it, if it is not there.
        shared: Let other processes lock it in the same way.
        tidy: Called at first if no other process has the lock at that moment.

    Returns:
        A descriptor; to close it gives up the lock.

    Raises:
        BlockingIOError: Another process has the lock, and this one is not to share it.
        Exception: Whatever `make` or `tidy` raise.
    """
    path = directory / LOCK
    while True:
        make()
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # Another build has just removed the directory.
            continue
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                tidy()
            except BlockingIOError:
                if not shared:
                    raise
            except OSError:
                pass  # The file system has no locks.
            if shared:
                with contextlib.suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_SH)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def remove_unless_shared(directory: Path, lock: int) -> None:
    """Removes a directory unless another process shares a lock in it.

    Args:
        directory: The directory.
        lock: Descriptor of the lock.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError:
        pass  # The file system has no locks.
    shutil.rmtree(directory, ignore_errors=True)
