"""Publishing: a finished directory gets the name under which readers look for it, all at once."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.write import durable

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

_THREADS = 8

TAG = "[0-9a-f]" * 8
"""Pattern of what ends the names that a dataset gets on its way out."""


def publish(
    finished: Path,
    target: Path,
    *,
    replace: bool,
    last_check: Callable[[], None] = lambda: None,
) -> None:
    """Gives a finished directory its name.

    Everything in it is flushed first. Where there is a dataset under that name already and it is to
    be replaced, both are exchanged in one step where the file system can do that (on Linux: ext4,
    xfs, btrfs, tmpfs; not NFS), and the old one is then where the finished one was. Elsewhere the
    old one is moved aside first, and `recover` ends that if this process is killed on the way.

    Args:
        finished: The directory, beside `target`.
        target: The name.
        replace: Whether a dataset that is there may be replaced.
        last_check: Called when everything is flushed, which may take long.

    Raises:
        TargetError: It could not be published; what was there before is there still.
        Exception: Whatever `last_check` raises.
    """
    flush_all(finished)
    last_check()
    identity = _identity(finished)
    if replace and os.path.lexists(target):
        with durable.writing(target):
            _make_movable(target)
            if not _exchange(finished, target):
                try:
                    target.replace(beside(target, "old"))
                    _rename(finished, target, identity)
                except BaseException:
                    # Readers need not wait for the next build to have the old one back.
                    recover(target)
                    raise
        durable.flush(target.parent)
        recover(target)
        return
    with durable.writing(target):
        _rename(finished, target, identity)
    durable.flush(target.parent)


def recover(target: Path) -> None:
    """Ends what a `publish` that was killed has begun.

    The dataset that it had moved aside comes back if there is no new one, and is removed if there
    is.

    Raises:
        TargetError: It cannot be given its name back.
    """
    for aside in sorted(target.parent.glob(f".{target.name}.old-{TAG}")):
        with durable.writing(target):
            if os.path.lexists(target):
                # Under a name that says that it may be there by halves.
                aside.replace(beside(target, "removed"))
            else:
                aside.replace(target)
    for removed in target.parent.glob(f".{target.name}.removed-{TAG}"):
        remove(removed)


def remove(path: Path) -> None:
    """Removes a file, a symbolic link or a directory with all that is in it, if it can."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def flush_all(directory: Path) -> None:
    """Has the storage keep a directory with all its files.

    Raises:
        TargetError: The storage could not.
    """
    paths = [path for path in directory.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(durable.flush, paths):
            pass
    durable.flush(directory)


def make_parents(directory: Path, mode: int | None, group: int | None) -> list[Path]:
    """Makes a directory and those above it that are missing, with the modes wanted of a dataset.

    Args:
        directory: The directory.
        mode: Mode of those that are made; None leaves it to the umask.
        group: Their group; None leaves it to the system (which gives a directory with the setgid
            bit's own group to what is made in it).

    Returns:
        Those that were made, the innermost first.

    Raises:
        TargetError: One cannot be made.
    """
    missing = []
    for path in (directory, *directory.parents):
        if path.is_dir():
            break
        missing.append(path)
    for path in reversed(missing):
        with durable.writing(path):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
            set_access([path], mode, group)
    return missing


def set_access(paths: Iterable[Path], mode: int | None, group: int | None) -> None:
    """Gives directories a mode and a group, and files the same without the right to execute.

    Raises:
        TargetError: That is not allowed.
    """
    for path in paths:
        with durable.writing(path):
            if group is not None:
                os.chown(path, -1, group)
            if mode is not None:
                os.chmod(path, mode if path.is_dir() else mode & 0o666)


def beside(target: Path, what: str) -> Path:
    """A name beside `target` for what is on its way out: `old`, or `removed`; see `recover`."""
    return target.with_name(f".{target.name}.{what}-{secrets.token_hex(4)}")


def _make_movable(directory: Path) -> None:
    """Lets its owner write to a directory that is made read-only once it is built.

    Otherwise it could neither be moved into another directory nor be removed there.
    """
    mode = directory.lstat().st_mode
    if stat.S_ISDIR(mode) and not mode & stat.S_IWUSR:
        directory.chmod(stat.S_IMODE(mode) | stat.S_IWUSR)


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _rename(finished: Path, target: Path, identity: tuple[int, int]) -> None:
    try:
        finished.rename(target)
    except OSError as error:
        # Of a request that the server did, the reply can be lost; sent again, it fails.
        with contextlib.suppress(OSError):
            if _identity(target) == identity:
                return
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise TargetError(
                f"{target} appeared while this dataset was built, made by another program; nothing "
                "was changed; look at it, then remove it or run the same command with --overwrite"
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
