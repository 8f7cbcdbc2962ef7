"""Publishing: gives a finished directory, in one step, the name that readers look for."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.files.ours import is_ours
from imagenet_builders.publish.target import Target
from imagenet_builders.words import logger
from imagenet_builders.write import durable

_LOG = logger(__name__)

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# EXDEV: overlayfs does not rename a directory of its lower layer.
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV)

# Other machines remember for so long which directory had the name (FUSE: a second, usually); those
# of NFS look again when it is gone.
REMEMBERED_SECONDS = 3.0

_BEING_REMOVED = ".being-removed"
_INFO = "dataset_info.json"

_THREADS = 8


def publish(
    finished: Path,
    target: Target,
    *,
    replace: bool,
    last_check: Callable[[], None] = lambda: None,
) -> None:
    """Flushes a finished directory to the storage and gives it its name.

    To replace a dataset, both directories are exchanged in one step where the file system can do
    that (on Linux: ext4, xfs, btrfs, tmpfs; not NFS); the old one is then where the finished one
    was. Elsewhere the old one is moved aside first, and if this process is killed on the way,
    `recover` puts it back. Where that is not possible either, because the old one lies in the lower
    layer of overlayfs, its files are removed first; if this process is killed on the way, the same
    build goes on with the finished shards.

    Args:
        finished: The directory, on the file system of `target`.
        target: What is published.
        replace: Whether to replace a dataset that is there.
        last_check: Called right before the rename; to flush everything may take long.

    Raises:
        TargetError: It could not be published; what was there before is there still, unless its
            files had to be removed first.
        Exception: Whatever `last_check` raises.
    """
    flush_all(finished)
    last_check()
    path = target.path
    identity = _identity(finished)
    if replace and os.path.lexists(path):
        with durable.writing(path):
            _make_movable(path)
            if not _exchange(finished, path):
                _replace_in_steps(finished, target, identity)
        durable.flush(path.parent)
        recover(target)
        return
    with durable.writing(path):
        _rename(finished, path, identity)
    durable.flush(path.parent)


def recover(target: Target) -> None:
    """Completes or undoes a `publish` that was killed.

    A dataset that it had moved aside gets its name back, unless another has it by now; then it is
    removed. So is one whose files were being removed.

    Raises:
        TargetError: It cannot be given its name back.
    """
    if is_being_removed(target.path):
        remove(target.path)
    for old in target.olds():
        with durable.writing(target.path):
            if os.path.lexists(target.path):
                # First under this name: a process that is killed here leaves half of it.
                old.replace(target.new_removed())
            else:
                old.replace(target.path)
    for removed in target.removed():
        remove(removed)


def is_being_removed(path: Path) -> bool:
    """Whether a process was killed while it removed the files of a dataset to replace it.

    The mark of that lies among these files, so only who may remove them can make it.
    """
    return os.path.lexists(path / _BEING_REMOVED)


def remove(path: Path) -> None:
    """Removes a file, a symbolic link or a directory with its content, as far as possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def flush_all(directory: Path) -> None:
    """Flushes a directory and all files in it to the storage.

    Raises:
        TargetError: The storage could not.
    """
    paths = [path for path in directory.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(durable.flush, paths):
            pass
    durable.flush(directory)


def _make_movable(directory: Path) -> None:
    """Makes a read-only dataset writable for its owner; otherwise it cannot be moved or removed."""
    try:
        # Others may put a link in its place at any time.
        fd = os.open(directory, _DIRECTORY)
    except OSError:
        return  # It is no directory, or not ours to change.
    try:
        mode = os.fstat(fd).st_mode
        if not mode & stat.S_IWUSR and is_ours(fd):
            os.fchmod(fd, stat.S_IMODE(mode) | stat.S_IWUSR)
    finally:
        os.close(fd)


def _replace_in_steps(finished: Path, target: Target, identity: tuple[int, int]) -> None:
    """Replaces a dataset where two directories cannot be exchanged in one step."""
    path, old = target.path, target.new_old()
    start = time.monotonic()
    try:
        try:
            path.rename(old)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _empty(path)
        _rename(finished, path, identity)
    except BaseException:
        # Readers need not wait for the next build to have the old one back.
        recover(target)
        raise
    gap = time.monotonic() - start
    _LOG.info(
        f"{path}: two directories cannot be exchanged in one step on this file system, so readers "
        f"found no dataset here for {gap * 1000:,.0f} ms"
    )
    if os.path.lexists(old):
        # Until then, it is whole for those who still find it.
        time.sleep(REMEMBERED_SECONDS)


def _empty(directory: Path) -> None:
    """Removes the files of a dataset that cannot be renamed."""
    mark = directory / _BEING_REMOVED
    try:
        # From here on readers find no dataset, rather than half of one.
        (directory / _INFO).rename(mark)
    except FileNotFoundError:
        durable.write_file(mark, b"")
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != mark:
            path.unlink()
    mark.unlink()


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _rename(finished: Path, target: Path, identity: tuple[int, int]) -> None:
    try:
        finished.rename(target)
    except OSError as error:
        # A server's reply to a request that it carried out can be lost; sent again, it fails.
        with contextlib.suppress(OSError):
            if _identity(target) == identity:
                return
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise TargetError(
                f"{durable.shown(target)} appeared while this dataset was built, made by another "
                "program; nothing was changed; look at it, then move it elsewhere or run the same "
                "command with --overwrite"
            ) from error
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two directories in one step; False where the system cannot do that."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(
        _AT_FDCWD,
        ctypes.c_char_p(os.fsencode(one)),
        _AT_FDCWD,
        ctypes.c_char_p(os.fsencode(other)),
        ctypes.c_uint(_RENAME_EXCHANGE),
    )
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), os.fspath(other))
