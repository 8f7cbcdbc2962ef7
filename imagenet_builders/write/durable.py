"""Files that are either complete or absent: temporary names, flushing, and the errors of writing.

A file whose name ends in `PARTIAL_SUFFIX` is being written, or was when its writer ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from imagenet_builders.errors import TargetError
from imagenet_builders.files.ours import Refused, nearest, refused
from imagenet_builders.words import size_text

PARTIAL_SUFFIX = ".partial"

_FAILED = "the storage reported an error; check that it is healthy"
_LOST = "its file system or its server is not reached any more; mount it again"
_STALE = "the network file system has lost the file; check that its server is healthy"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_REASONS = {
    errno.ENOSPC: "the file system is full; free some space",
    errno.EDQUOT: (
        "your quota there is used up, of bytes or of files; remove what nobody needs, or ask for "
        "more"
    ),
    errno.EIO: _FAILED,
    errno.EFBIG: "the file is larger than this process may write; raise `ulimit -f`",
    errno.EROFS: "the file system is mounted read-only; choose another directory",
    errno.EACCES: "you may not write there; ask its owner, or choose another directory",
    errno.EPERM: "that is not allowed there; ask its owner, or choose another directory",
    errno.ESTALE: _STALE,
    errno.ENOTCONN: _LOST,
    errno.ECONNABORTED: _LOST,
    errno.ETIMEDOUT: _LOST,
    errno.EHOSTDOWN: _LOST,
    errno.ENODEV: _LOST,
    errno.ENXIO: _LOST,
    errno.EREMOTEIO: _FAILED,
    errno.ENOENT: "it or its directory was removed meanwhile; find out what did that",
    errno.EMFILE: "too many files are open; raise `ulimit -n`",
    errno.ENAMETOOLONG: "names there may not be so long; choose a shorter one",
    errno.ENOTDIR: "something else has its name, or that of a directory above it; look at it",
    errno.ELOOP: "a link is in its place; look at it, and find out who made it",
}

# A path that leads through a descriptor of this process, as `PrivateDir.place_of` gives it.
_PLACE = re.compile("/proc/self/fd/[0-9]+")


_FAULTS = {number for number, words in _REASONS.items() if words in (_FAILED, _LOST, _STALE)}


# Of inodes, and of bytes.
_FEW_FILES, _SOME_BYTES = 64, 1 << 20


def partial_path(path: Path) -> Path:
    """A temporary name beside `path` that no other process of any machine uses."""
    owner = f"{os.uname().nodename}-{os.getpid()}-{os.urandom(4).hex()}"
    return path.with_name(f".{path.name}.{owner}{PARTIAL_SUFFIX}")


def write_file(path: Path, data: bytes) -> None:
    """Writes a small file under a temporary name, flushes it, and renames it.

    Raises:
        TargetError: It cannot be written; a file that was there before is unchanged.
    """
    partial = partial_path(path)
    with writing(path):
        try:
            fd = os.open(partial, _NEW, 0o666)
            try:
                while data:
                    data = data[os.write(fd, data) :]
                os.fsync(fd)
            finally:
                os.close(fd)
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def flush(path: Path) -> None:
    """Flushes a file, or the entries of a directory, to the storage.

    Raises:
        TargetError: The storage cannot keep it.
    """
    with writing(path):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            # Some network file systems cannot flush a directory, and need not.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
                raise
        finally:
            os.close(fd)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError in the block into a `TargetError` about `path` that says what to do."""
    try:
        yield
    except OSError as error:
        raise target_error(path, error) from error


@contextlib.contextmanager
def writing_as_tensorflow(directory: Path) -> Iterator[None]:
    """Does the same as `writing`, also for the errors of TensorFlow."""
    with writing(directory):
        try:
            yield
        except Exception as error:
            # By its module's name, because a build need not import TensorFlow.
            if not type(error).__module__.startswith("tensorflow."):
                raise
            raise OSError(None, str(error)) from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """As `writing`, for what is read where datasets are written."""
    try:
        yield
    except OSError as error:
        raise TargetError(
            f"{shown(path)} cannot be read: {error.strerror or error}; "
            f"{_reason(error, read=True)}, then run the same command again"
        ) from error


def shown(path: Path) -> Path:
    """A path for people, where it leads through a descriptor of this process."""
    text = os.fspath(path)
    place = _PLACE.match(text)
    if place is None:
        return path
    try:
        return Path(os.readlink(place[0]) + text[place.end() :])
    except OSError:
        return path


def target_error(path: Path, error: OSError) -> TargetError:
    """Explains why a file or directory cannot be written."""
    why = _refused(shown(path)) if error.errno == errno.EACCES else None
    if why is not None:
        return TargetError(
            f"{why.directory} {why.whose}, so you may not write there; {why.ask}, or choose "
            "another directory, then run the same command again"
        )
    reason = _reason(error)
    if error.errno == errno.ENOSPC:
        reason = _inodes_used_up(path) or reason
    return TargetError(
        f"{shown(path)} cannot be written: {error.strerror or error}; {reason}, then run the same "
        "command again"
    )


def is_fault(error: OSError) -> bool:
    """Whether a storage says by an error that it fails, and not what is there."""
    return error.errno in _FAULTS


def _reason(error: OSError, *, read: bool = False) -> str:
    if read and isinstance(error, PermissionError):
        return "you may not read it; ask its owner"
    return _REASONS.get(error.errno or 0, "check that its file system is healthy")


def _refused(path: Path) -> Refused | None:
    """Which directory this user may not write in: a path itself, or the one that it is in."""
    there = dict.fromkeys((nearest(path), nearest(path.absolute().parent)))
    return next(filter(None, map(refused, there)), None)


def _inodes_used_up(path: Path) -> str | None:
    """What to say where files, not bytes, are used up; None where they are not."""
    try:
        # The nearest directory that is there; what could not be written may be gone with its own.
        there = next(each for each in path.absolute().parents if each.is_dir())
        system = os.statvfs(there)
    except (OSError, StopIteration):
        return None
    free = system.f_bavail * system.f_frsize
    # Some have become free since, with what could not be written.
    if not system.f_files or system.f_favail > _FEW_FILES or free < _SOME_BYTES:
        return None
    return (
        f"its file system is out of inodes, not of space: all but {system.f_favail:,} of "
        f"{system.f_files:,} are in use (`df -i`), and {size_text(free)} are free; remove files "
        "that nobody needs, of whatever size"
    )
