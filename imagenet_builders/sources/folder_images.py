"""Rows of images that are files of their own, in folders: what is left of an archive unpacked.

Names and sizes are all that is asked of the storage: one listing a folder, one `stat` a file. What
does not belong is an error, as in an archive: a copy that was interrupted, or that another program
left its own files in, is not what it is taken for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import SourceError
from imagenet_builders.sources.rows import WHOLE_FILE, Rows, SourceFile

if TYPE_CHECKING:
    import pyarrow as pa

WNID = re.compile(r"n[0-9]{8}")
"""The name of a class folder."""

# What is said of a file that a program left.
_LITTER = "it was left by another program, and "

_HINT = (
    "; ask its owner for the permission to read it (over NFS, only the first 16 of your groups may "
    "count: `id -G | wc -w` says how many you have)"
)

# A folder of more files is looked at by several threads.
_STATS_AT_A_TIME = 2048

# Network storage answers many at a time as fast as one.
_THREADS = 8


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """A folder of images of one class.

    Attributes:
        directory: The folder.
        position: Its position among the files of the index.
        label: The class of all images in it, or -1.
        pattern: Regular expression that the whole name of each file matches.
        expected: What the pattern wants, for messages: `images such as n01440764_1.JPEG`.
        names: The files in it, where a list says that; then the folder is not listed.
    """

    directory: SourceFile
    position: int
    label: int
    pattern: str
    expected: str
    names: tuple[str, ...] | None = None


def folder_images(folders: Sequence[ImageFolder], report: Callable[[int, int], None]) -> pa.Table:
    """The rows of folders; a job for the workers.

    Args:
        folders: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `row_schema()`, in the order of `folders`, in each by file name. Keys are file
        names, and every `offset` is `WHOLE_FILE`.

    Raises:
        SourceError: A folder is empty, cannot be read, changed, or holds something else.
    """
    rows = Rows()
    with ThreadPoolExecutor(_THREADS) as threads:
        listings = threads.map(
            lambda folder: list_files(folder.directory.path, folder.names), folders
        )
        for folder, files in zip(folders, listings, strict=True):
            _add_folder(rows, folder, files)
    return rows.table()


def _add_folder(rows: Rows, folder: ImageFolder, files: list[tuple[str, int]]) -> None:
    path = folder.directory.path
    if not files:
        raise SourceError(f"{path}: there is no image in this folder; copy or unpack it again")
    is_expected = re.compile(folder.pattern).fullmatch
    for name, size in files:
        if is_expected(name) is None:
            raise SourceError(
                f"{os.path.join(path, name)!r} does not belong in its folder: "
                f"{_LITTER if is_litter(name) else ''}only {folder.expected} belong there; remove "
                "it, or stage the original archive"
            )
        rows.add(name, folder.label, folder.position, WHOLE_FILE, size)


def list_files(
    directory: str | os.PathLike[str], names: Sequence[str] | None = None
) -> list[tuple[str, int]]:
    """Names and sizes of the files in a directory that holds nothing but plain files.

    A symbolic link to a plain file is one. A size costs a `stat`: no listing has it.

    Args:
        directory: The directory.
        names: The files, where they are known; then it is not listed.

    Returns:
        Names with sizes in bytes, sorted by name.

    Raises:
        SourceError: It cannot be read, or something in it is not a plain file.
    """
    path = os.fspath(directory)
    known = list_names(path) if names is None else sorted(names)
    is_listed = names is not None
    if len(known) <= _STATS_AT_A_TIME:
        return _with_sizes(path, known, is_listed)
    parts = [known[at : at + _STATS_AT_A_TIME] for at in range(0, len(known), _STATS_AT_A_TIME)]
    with ThreadPoolExecutor(_THREADS) as threads:
        return [
            each
            for part in threads.map(lambda p: _with_sizes(path, p, is_listed), parts)
            for each in part
        ]


def list_names(directory: str | os.PathLike[str]) -> list[str]:
    """The names of all that is in a directory, sorted.

    Raises:
        SourceError: It cannot be read.
    """
    return sorted(entry.name for entry in _entries(directory))


def _with_sizes(directory: str, names: Sequence[str], is_listed: bool) -> list[tuple[str, int]]:
    """Names of plain files with their sizes."""
    files = []
    for name in names:
        path = os.path.join(directory, name)
        try:
            status = os.stat(path)
        except OSError as error:
            if is_listed and isinstance(error, FileNotFoundError):
                raise SourceError(
                    f"{path!r} is in the list of the folder's files, but is not there; mend the "
                    "list, or move it away so that the folder is listed"
                ) from error
            raise unreadable(path, error) from error
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "neither file nor directory"
            raise SourceError(
                f"{path!r} is {kind} where only plain files belong; remove it, or stage the "
                "original archive"
            )
        files.append((name, status.st_size))
    return files


def is_litter(name: str) -> bool:
    """Whether a file is one that programs leave in folders, as their names tell."""
    return name.startswith(".") or name in ("Thumbs.db", "desktop.ini")


def list_folders(directory: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """The class folders in a directory, and what else is there.

    Args:
        directory: The directory.

    Returns:
        Sorted names of the folders that are named by a wnid, and of all other entries.

    Raises:
        SourceError: It cannot be read.
    """
    folders: list[str] = []
    others: list[str] = []
    for entry in _entries(directory):
        is_class = WNID.fullmatch(entry.name) is not None and _is_folder(entry)
        (folders if is_class else others).append(entry.name)
    return sorted(folders), sorted(others)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory; a link to one that is not there is no other thing."""
    try:
        if not entry.is_dir() and entry.is_symlink():
            entry.stat()
        return entry.is_dir()
    except OSError as error:
        raise unreadable(entry.path, error) from error


def source_files(paths: Iterable[Path]) -> list[SourceFile]:
    """Many files or directories as they are now, asked for several at a time.

    Args:
        paths: The files.

    Returns:
        One for each path, in their order.

    Raises:
        SourceError: One is not there or cannot be looked at.
    """

    def look(path: Path) -> SourceFile:
        try:
            return SourceFile.of(path)
        except OSError as error:
            raise unreadable(str(path), error) from error

    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(look, paths))


def in_batches(folders: Iterable[ImageFolder], count: int) -> Iterator[tuple[ImageFolder, ...]]:
    """Cuts folders into jobs of `count` each."""
    batch: list[ImageFolder] = []
    for folder in folders:
        batch.append(folder)
        if len(batch) == count:
            yield tuple(batch)
            batch = []
    if batch:
        yield tuple(batch)


def _entries(directory: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError as error:
        raise unreadable(os.fspath(directory), error) from error


@contextlib.contextmanager
def saying_why(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the system's error that something may not be read into `unreadable`.

    Args:
        path: What is read, in case the system does not say what may not be.

    Raises:
        SourceError: Something may not be read.
    """
    try:
        yield
    except PermissionError as error:
        raise unreadable(os.fspath(error.filename or path), error) from error
    except SourceError as error:
        cause = error.__cause__
        if isinstance(cause, PermissionError) and _HINT not in str(error):
            raise unreadable(os.fspath(cause.filename or path), cause) from cause
        raise


def unreadable(path: str, error: OSError) -> SourceError:
    """The error that something cannot be read, with the reason that is likely.

    Args:
        path: What cannot be read.
        error: What the system says.

    Returns:
        The error to raise.
    """
    hint = _HINT if isinstance(error, PermissionError) else ""
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        hint = f"; it is a link to {os.readlink(path)!r}, which is not there: copy that, or mend it"
    return SourceError(f"{path!r} cannot be read: {error.strerror}{hint}")
