"""Locks on directories in scratch space, so that no build removes what another one reads."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable

from imagenet_builders.errors import OptionError
from imagenet_builders.files.private_dir import NotOursError, PrivateDir

LOCK = "lock"
"""Name of the file in a directory that is locked."""

_TRIES = 100
_NO_DIRECTORY = (errno.ENOTDIR, errno.ELOOP, errno.EACCES)


class LockedDir:
    """A directory in scratch space that is open and locked.

    Attributes:
        directory: The directory.
        lock: Descriptor of its lock; to close it gives up the lock.
    """

    def __init__(self, directory: PrivateDir, lock: int):
        self.directory = directory
        self.lock = lock

    def close(self) -> None:
        """Gives up the lock."""
        if self.lock >= 0:
            # On file systems of FUSE, an error of an earlier write may come now.
            with contextlib.suppress(OSError):
                os.close(self.lock)
            self.lock = -1
        self.directory.close()

    def remove_unless_shared(self) -> None:
        """Removes the directory unless another process shares the lock; the lock stays."""
        if self.lock < 0:
            return
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            pass  # The file system has no locks.
        self.directory.remove()


def open_inner(root: PrivateDir, names: tuple[str, ...]) -> PrivateDir:
    """Opens a directory below another one; all are made if need be.

    What others may write to counts for nothing, and is removed.

    Args:
        root: The scratch directory.
        names: The names on the way, the directory's own last.

    Raises:
        OSError: It cannot be made.
    """
    entered = root
    for name in names:
        above = entered
        try:
            try:
                entered = above.inner(name)
            except (NotOursError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in _NO_DIRECTORY:
                    raise
                above.discard(name)
                entered = above.inner(name)
        finally:
            if above is not root:
                above.close()
    return entered


def lock_directory(
    root: PrivateDir,
    names: tuple[str, ...],
    *,
    shared: bool = False,
    tidy: Callable[[PrivateDir], None] = lambda directory: None,
) -> LockedDir:
    """Makes a directory and locks it. Without locks in its file system, nobody is kept away.

    Args:
        root: The scratch directory.
        names: As for `open_inner`.
        shared: Let other processes lock it in the same way.
        tidy: Called at first if no other process has the lock at that moment.

    Returns:
        The directory, locked.

    Raises:
        BlockingIOError: Another process has the lock, and this one is not to share it.
        OptionError: Something removes it again and again.
        OSError: It cannot be made.
        Exception: Whatever `tidy` raises.
    """
    for left in reversed(range(_TRIES)):
        try:
            locked = _opened(root, names)
        except FileNotFoundError:  # Another build has just removed the directory.
            if left:
                continue
            break
        try:
            _take(locked, shared, tidy)
            if _is_current(locked, root, names):
                return locked
        except BaseException:
            locked.close()
            raise
        locked.close()
    raise OptionError(
        f"scratch directory {root.path.joinpath(*names)} is gone whenever it was made; find out "
        "what removes it, or choose another with --scratch-dir"
    )


def _opened(root: PrivateDir, names: tuple[str, ...]) -> LockedDir:
    directory = open_inner(root, names)
    try:
        return LockedDir(directory, directory.open_kept(LOCK))
    except BaseException:
        directory.close()
        raise


def _take(locked: LockedDir, shared: bool, tidy: Callable[[PrivateDir], None]) -> None:
    lock = locked.lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tidy(locked.directory)
    except BlockingIOError:
        if not shared:
            raise
    except OSError:
        pass  # The file system has no locks.
    if shared:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)


def _is_current(locked: LockedDir, root: PrivateDir, names: tuple[str, ...]) -> bool:
    """Whether the directory and its lock still have their names."""
    try:
        with open_inner(root, names) as now:
            status = os.stat(LOCK, dir_fd=now.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(locked.lock), status)
