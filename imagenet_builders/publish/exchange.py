"""Publishing: gives a finished directory, in one step, the name that readers look for."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.files.at_once import at_once
from imagenet_builders.files.ours import is_ours
from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.publish.known import DIRECTORY, Known
from imagenet_builders.publish.target import Target
from imagenet_builders.words import logger
from imagenet_builders.write import durable
from imagenet_builders.write.build_dir import BUILD, SHARDS

_LOG = logger(__name__)

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
# EXDEV: overlayfs does not rename a directory of its lower layer.
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV)

# Other machines remember for so long which directory had the name (FUSE: a second, usually); those
# of NFS look again when it is gone.
REMEMBERED_SECONDS = 3.0

_BEING_REMOVED = ".being-removed"
_INFO = "dataset_info.json"

# In a private build directory: that `.old-TAG` beside it is a dataset which that build replaced.
_NOTE = f".{BUILD}.old-"
_IS_NOTE = re.compile(rf"{re.escape(_NOTE)}([0-9a-f]{{8}})")
# There, what is being removed; a name of what builds put there, as `left` knows them.
_TAKEN_AWAY = f".{SHARDS}."

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_THREADS = 8


def publish(
    finished: Path,
    target: Target,
    *,
    replace: bool,
    replaced: Known | None = None,
    last_check: Callable[[], None] = lambda: None,
    confirmed: Set[str] = frozenset(),
) -> None:
    """Flushes a finished directory to the storage and gives it its name.

    To replace a dataset, both directories are exchanged in one step where the file system can do
    that (on Linux: ext4, xfs, btrfs, tmpfs; not NFS); the old one is then where the finished one
    was. Elsewhere the old one is moved aside first, and if this process is killed on the way,
    `recover` puts it back. Where that is not possible either, because the old one lies in the lower
    layer of overlayfs, its files are removed first; if this process is killed on the way, the same
    build goes on with the finished shards.

    Args:
        finished: The directory, on the file system of `target`, in a private one.
        target: What is published.
        replace: Whether to replace a dataset that is there.
        replaced: The dataset to replace, as it was known before; None takes what is there now.
        last_check: Called right before the rename; to flush everything may take long.
        confirmed: Files in it that the storage has confirmed already, and that were not changed
            since; see `flush_all`.

    Raises:
        TargetError: It could not be published; what was there before is there still, unless its
            files had to be removed first.
        Exception: Whatever `last_check` raises.
    """
    path = target.path
    if replace and replaced is None:
        with durable.reading(path):
            replaced = Known.at(path)
    flush_all(finished, confirmed)
    last_check()
    identity = _identity(finished)
    with durable.writing(path):
        if not replace or replaced is None or not os.path.lexists(path):
            _rename(finished, path, identity)
        else:
            _make_movable(path)
            if not _exchange(finished, path):
                _replace_in_steps(finished, target, identity, replaced)
            elif not replaced.is_at(finished):
                _exchange(finished, path)
                raise _another(path)
    durable.flush(path.parent)


def recover(target: Target) -> list[str]:
    """Completes or undoes a `publish` that was killed.

    A dataset that it had moved aside gets its name back, unless another has it by now; then it is
    removed, if a private build directory has a note of it. Others may have given such a name to
    any directory.

    Returns:
        What is left alone, in sentences.

    Raises:
        TargetError: It cannot be given its name back.
    """
    _finish_emptying(target.path)
    for path in target.incompletes():
        with contextlib.suppress(OSError, NotOursError), PrivateDir.enter(path) as directory:
            for name in directory.names_in("."):
                note = _IS_NOTE.fullmatch(name)
                if note and (replaced := Known.from_bytes(directory.read(name))):
                    old = target.old(note[1])
                    if os.path.lexists(target.path):
                        _take_away(old, directory.place_of(f"{_TAKEN_AWAY}{note[1]}"), replaced)
                    elif replaced.is_at(old):
                        old.replace(target.path)
                    directory.unlink(name)
    said = []
    for old in target.olds():
        if not os.path.lexists(target.path) and _is_ours(old):
            with durable.writing(target.path):
                old.replace(target.path)
        else:
            said.append(old)
    return [
        f"{durable.shown(path)} has the name of a dataset that was replaced, but nothing tells "
        "that a build put it there; it is left alone, look at it"
        for path in said + target.removed()
    ]


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            return os.lstat(path).st_uid == os.geteuid()
        fd = os.open(path, DIRECTORY)
        try:
            return is_ours(fd)
        finally:
            os.close(fd)
    return False


def _take_away(old: Path, place: Path, replaced: Known) -> None:
    """Removes a dataset that was replaced; in a private directory, where nobody exchanges it.

    Args:
        old: The dataset.
        place: Its new name, in the private directory.
        replaced: What it is known by; anything else stays.
    """
    with contextlib.suppress(OSError):
        old.rename(place)
        if replaced.is_at(place):
            remove(place)
        else:
            place.rename(old)


def _finish_emptying(path: Path) -> None:
    """Removes what is left of a dataset whose files were being removed."""
    with contextlib.suppress(OSError), PrivateDir(path, os.open(path, DIRECTORY)) as directory:
        if directory.has(_BEING_REMOVED):
            directory.remove()


def _another(path: Path) -> TargetError:
    return TargetError(
        f"{durable.shown(path)} is not the dataset any more that was there when this build began, "
        "so it was not replaced; find out who gave another its name (all who may write in "
        f"{durable.shown(path.parent)} can), then run the same command again"
    )


def is_being_removed(path: Path) -> bool:
    """Whether a process was killed while it removed the files of a dataset to replace it.

    The mark of that lies among these files, so only who may remove them can make it.
    """
    return os.path.lexists(path / _BEING_REMOVED)


def remove(path: Path) -> None:
    """Removes a file, a symbolic link or a directory with its content, as far as possible."""
    if path.is_dir() and not path.is_symlink():
        with contextlib.suppress(RecursionError):  # Deeper than any build makes them.
            shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def flush_all(directory: Path, confirmed: Set[str] = frozenset()) -> None:
    """Flushes a directory and all in it to the storage.

    Args:
        directory: The directory.
        confirmed: Paths in it of files that need not be flushed once more. The directories that
            they are in are flushed, so that they have their names.

    Raises:
        TargetError: The storage could not.
    """
    paths = [path for path in _all_in(directory, "") if path not in confirmed]
    at_once(lambda path: durable.flush(directory / path), paths, threads=_THREADS, waits=True)
    durable.flush(directory)


def _all_in(directory: Path, folder: str) -> Iterator[str]:
    """The paths of all files and directories in it; to what links lead, nobody goes."""
    with durable.reading(directory / folder), os.scandir(directory / folder) as entries:
        for entry in entries:
            path = f"{folder}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _all_in(directory, f"{path}/")
            if entry.is_file() or entry.is_dir():
                yield path


def _make_movable(directory: Path) -> None:
    """Makes a read-only dataset writable for its owner; otherwise it cannot be moved or removed."""
    try:
        # Others may put a link in its place at any time.
        fd = os.open(directory, DIRECTORY)
    except OSError:
        return  # It is no directory, or not ours to change.
    try:
        _make_writable(fd)
        # What is in a folder is removed later, where it has no name that readers know.
        for name in os.listdir(fd):
            with contextlib.suppress(OSError):
                inner = os.open(name, DIRECTORY, dir_fd=fd)
                try:
                    _make_writable(inner)
                finally:
                    os.close(inner)
    finally:
        os.close(fd)


def _make_writable(fd: int) -> None:
    mode = os.fstat(fd).st_mode
    if not mode & stat.S_IWUSR and is_ours(fd):
        os.fchmod(fd, stat.S_IMODE(mode) | stat.S_IWUSR)


def _replace_in_steps(
    finished: Path, target: Target, identity: tuple[int, int], replaced: Known
) -> None:
    """Replaces a dataset where two directories cannot be exchanged in one step."""
    path, tag = target.path, secrets.token_hex(4)
    old, note = target.old(tag), finished.with_name(f"{_NOTE}{tag}")
    fd = os.open(note, _NEW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(replaced.to_bytes())
        file.flush()
        os.fsync(fd)
    start = time.monotonic()
    try:
        try:
            path.rename(old)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _empty(path, replaced)
        else:
            if not replaced.is_at(old):
                raise _another(path)
        _rename(finished, path, identity)
    except BaseException:
        # Readers need not wait for the next build to have the old one back.
        if os.path.lexists(old) and not os.path.lexists(path):
            old.rename(path)
        raise
    gap = time.monotonic() - start
    _LOG.info(
        f"{durable.shown(path)}: two directories cannot be exchanged in one step on this file "
        f"system, so readers found no dataset here for {gap * 1000:,.0f} ms"
    )
    if os.path.lexists(old):
        # Until then, it is whole for those who still find it.
        time.sleep(REMEMBERED_SECONDS)
        _take_away(old, finished.with_name(f"{_TAKEN_AWAY}{tag}"), replaced)


def _empty(path: Path, replaced: Known) -> None:
    """Removes the files of a dataset that cannot be renamed."""
    with PrivateDir(path, os.open(path, DIRECTORY)) as directory:
        if not replaced.is_same(Known.of(directory.fd)):
            raise _another(path)
        try:
            # From here on readers find no dataset, rather than half of one.
            directory.replace(_INFO, _BEING_REMOVED)
        except FileNotFoundError:
            os.close(directory.open_new(_BEING_REMOVED))
        for name in directory.names_in("."):
            if name != _BEING_REMOVED:
                directory.discard(name)
        directory.unlink(_BEING_REMOVED)


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
