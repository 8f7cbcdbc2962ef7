"""What is in a directory by name: class folders, and what programs leave beside them."""

from __future__ import annotations

import os
import re

from imagenet_builders.locate.access import unreadable

WNID = re.compile(r"n[0-9]{8}", re.ASCII | re.IGNORECASE)
"""The name of a class folder."""

_SYSTEM_FILE = re.compile(
    r"(.*/)?(\._[^/]*|\.DS_Store|Thumbs\.db|ehthumbs\.db|desktop\.ini)|(.*/)?__MACOSX(/.*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
COMPRESSED_TAR = r"\.(tar\.(gz|bz2|xz|zst|zstd)|tgz|tbz2|txz|tzst)"
"""Regular expression of the endings of the names of compressed tars."""


def list_names(directory: str | os.PathLike[str]) -> list[str]:
    """The names of all that is in a directory, sorted.

    Raises:
        SourceError: It cannot be read.
    """
    return sorted(entry.name for entry in _entries(directory))


def list_names_and_links(directory: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """The names of all that is in a directory, sorted, and the paths of the links among it.

    Raises:
        SourceError: It cannot be read.
    """
    entries = _entries(directory)
    links = [entry.path for entry in entries if entry.is_symlink()]
    return sorted(entry.name for entry in entries), sorted(links)


def is_system_file(path: str) -> bool:
    """Whether a file is one that macOS or Windows leaves in folders and archives.

    Such a file says nothing of the images beside it, so it is passed over.

    >>> [is_system_file(path) for path in ("n01440764/._n01440764_1.JPEG", ".n01440764_1.JPEG.x1")]
    [True, False]
    """
    return _SYSTEM_FILE.fullmatch(path) is not None


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


def list_entries(directory: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """The folders in a directory, and all else.

    Args:
        directory: The directory.

    Returns:
        Sorted names of the folders, and of all other entries.

    Raises:
        SourceError: It cannot be read.
    """
    names: tuple[list[str], list[str]] = ([], [])
    for entry in _entries(directory):
        names[0 if _is_folder(entry) else 1].append(entry.name)
    return sorted(names[0]), sorted(names[1])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory; a link to one that is not there is no other thing."""
    try:
        if not entry.is_dir() and entry.is_symlink():
            entry.stat()
        return entry.is_dir()
    except OSError as error:
        raise unreadable(entry.path, error) from error


def _entries(directory: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError as error:
        raise unreadable(os.fspath(directory), error) from error


LIST_ENDING = "_files.txt"
"""How the name of a list of the files in a folder ends; it begins as the folder's."""
