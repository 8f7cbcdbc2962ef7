"""A dataset that is there is looked at before TensorFlow Datasets opens its files.

Whoever may write in its directory can put a FIFO or a device in the place of a file: libraries wait
for the one, and read the other until memory ends. Links that lead to files are followed, for a site
may keep shards elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

from imagenet_builders.errors import DatasetError, ImagenetBuildersError
from imagenet_builders.files.regular import NotAFileError, open_regular
from imagenet_builders.publish.target import Target
from imagenet_builders.words import logger

_LOG = logger(__name__)

INFO = "dataset_info.json"

MAX_BYTES = 1 << 24
"""Bound on a file of metadata that TensorFlow Datasets reads; a real one has about a megabyte."""

# What TensorFlow Datasets opens of a directory that may not be listed. Only this package reads
# `provenance.json`, with more care.
_METADATA = (INFO, "features.json")
_TEXT = re.compile(r"(?!provenance\.json).*\.(?:json|txt)")
_SHARD = re.compile(r".*-[0-9]{5,}-of-[0-9]{5,}")

# How long an exchange of two directories in two steps may take, and how long a network file system
# may show what was there before: the caches of attributes of sshfs last 20 s, those of NFS 60 s.
_EXCHANGE_SECONDS = 10.0
_CACHE_SECONDS = 70.0
_PAUSE_SECONDS = 0.05


def is_there(directory: Path) -> bool:
    """Whether there is a dataset in a directory.

    Raises:
        DatasetError: That may not be looked at.
        OSError: It cannot be looked at.
    """
    path = directory / INFO
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return os.path.islink(path)
    except PermissionError as error:
        raise not_allowed(path) from error
    return True


def check(directory: Path) -> None:
    """Makes sure that the files of a dataset can be opened without looking.

    Args:
        directory: Its directory.

    Raises:
        DatasetError: One of them is no file, too long, or may not be read.
        OSError: The storage fails.
    """
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if _is_of_interest(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return  # Nobody can read it, then.
    except PermissionError:
        names = list(_METADATA)
    for name in sorted(names):
        with contextlib.suppress(FileNotFoundError):
            _check_file(directory / name)


def _is_of_interest(entry: os.DirEntry[str]) -> bool:
    """Whether a file is metadata, or has a shard's name and is not simply a file."""
    if _TEXT.fullmatch(entry.name):
        return True
    return bool(_SHARD.fullmatch(entry.name)) and not entry.is_file(follow_symlinks=False)


def _check_file(path: Path) -> None:
    try:
        fd = open_regular(path, follow=True)
    except FileNotFoundError as error:
        if not os.path.islink(path):
            raise
        raise DatasetError(f"{path} cannot be read: it is a link to nothing; {_WHO}") from error
    except NotAFileError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; {_WHO}") from error
    except PermissionError as error:
        raise not_allowed(path) from error
    try:
        size = os.fstat(fd).st_size
    finally:
        os.close(fd)
    if size > MAX_BYTES and _TEXT.fullmatch(path.name):
        raise DatasetError(
            f"{path} cannot be read: it has {size:,} bytes, more than metadata have; {_WHO}"
        )


_WHO = (
    "find out who put it there; `imagenet-builders verify` says what else is wrong with this "
    "dataset"
)


def not_allowed(path: Path) -> DatasetError:
    """The error that a file of a dataset may not be read: whose it is, and what to ask for."""
    return DatasetError(f"{path} cannot be read: {whose(path)}")


def whose(path: Path) -> str:
    """Why a file may not be read: whose it or a directory above it is, and what to ask for."""
    for place in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            status = os.stat(place)
            break
    else:
        return "permission denied"
    what = "it" if place == path else str(place)
    return (
        f"{what} belongs to {_user(status.st_uid)} and has mode {stat.S_IMODE(status.st_mode):o}, "
        f"which does not let you read; ask them for `chmod -R g+rX {place}` (`a+rX` for people "
        "outside of its group), and to build with --mode 2775"
    )


def _user(number: int) -> str:
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


def reading(directory: Path, read: Callable[[], None]) -> None:
    """Reads what a dataset says of itself, again if it was replaced meanwhile.

    Args:
        directory: Its directory.
        read: Reads it.

    Raises:
        DatasetError: It cannot be read.
    """
    until = time.monotonic() + _EXCHANGE_SECONDS
    while True:
        wait_for_exchange(directory)
        before = identity(directory)
        try:
            check(directory)
            read()
            return
        except Exception as error:
            if before != identity(directory) and time.monotonic() < until:
                time.sleep(_PAUSE_SECONDS)
                continue
            if isinstance(error, ImagenetBuildersError):
                raise
            raise DatasetError(
                f"{directory} cannot be read as a dataset: {_first_line(error)}; "
                "`imagenet-builders verify` says more, and a build with --overwrite makes it anew"
            ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def identity(directory: Path) -> tuple[int, int] | None:
    """Identifies the directory that has this name at the moment; None where none has."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def wait_for_exchange(directory: Path) -> None:
    """Waits while a dataset is being replaced where that takes two steps: it is back in a moment.

    Args:
        directory: Its directory.
    """
    until = time.monotonic() + _EXCHANGE_SECONDS
    target = Target(directory)
    while not os.path.lexists(directory) and target.olds() and time.monotonic() < until:
        time.sleep(_PAUSE_SECONDS)


def wait_for_files(directory: Path) -> None:
    """Waits until a dataset that another process has just published is seen here, if it has.

    Network file systems may show a new directory before its files, as long as their caches last.

    Args:
        directory: Its directory.
    """
    until = time.monotonic() + _CACHE_SECONDS
    pause = _PAUSE_SECONDS
    while os.path.isdir(directory) and time.monotonic() < until:
        try:
            os.close(open_regular(directory / INFO, follow=True))
            return
        except (NotAFileError, PermissionError):
            return  # Which time does not change.
        except OSError:
            os.listdir(directory)  # Asks the server anew, with some.
        if pause > 1.0:
            _LOG.info(f"waiting for the files of {directory} to be seen on this machine")
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
