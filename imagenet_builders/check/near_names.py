"""Finds names that explain why an archive is not found: misspelled, unfinished, a folder away."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagenet_builders.locate.official import official_archives

_ENDINGS = (".tar.gz", ".tgz", ".taz", ".tar", ".zip")
# Endings that browsers, aria2, scripts of curl, rsync and file managers leave.
_UNFINISHED = re.compile(
    r"\.(?:part|partial|aria2|aria2__temp|crdownload|download|filepart|incomplete|!ut|tmp|temp)$",
    re.IGNORECASE,
)
_RSYNC = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}")
_COPY = re.compile(
    r"[ _.-]*\([0-9]+\)|[ _-]+copy(?: ?[0-9]+)?|\.[0-9]+$|\.(?:bak|old|orig)$", re.IGNORECASE
)
_WNID = re.compile(r"n[0-9]{8}")

# A directory with more entries is one of images, not of archives.
_MAX_ENTRIES = 20_000
_MAX_FOLDERS = 64


@dataclasses.dataclass(frozen=True)
class Unusual:
    """A file whose name is nearly that of an official archive.

    Attributes:
        path: The file.
        official: The name of that archive.
        unfinished: Whether the name says that the file is not whole.
        size: Its bytes, or None where that is not known.
    """

    path: Path
    official: str
    unfinished: bool
    size: int | None

    @property
    def sentence(self) -> str:
        """The likely cause, in words."""
        if self.unfinished:
            return f"{self.path} is a download or copy that is not done"
        if self.size == 0:
            return f"{self.path} has 0 bytes"
        return f"{self.path} is named in another way than {self.official}"

    @property
    def action(self) -> str:
        """The advice, in words."""
        if self.unfinished or self.size == 0:
            return f"finish it, or copy it again, as {self.official}"
        if self.path.name.lower().endswith((".gz", ".tgz")) and self.official.endswith(".tar"):
            return f"unpack it to {self.official}, or link {self.official} to it if it is no gzip"
        return f"rename it to {self.official}, or make a directory with a link of that name"


def unusual_names(directories: Iterable[Path], used: Iterable[Path]) -> list[Unusual]:
    """Files whose names are nearly those of official archives.

    Args:
        directories: The directories to list.
        used: Files that the surveys have found, whatever their names.

    Returns:
        The files, in the order of the directories and of their names.
    """
    taken = {os.path.abspath(path) for path in used}
    by_stem: dict[str, list[str]] = {}
    for name in official_archives():
        by_stem.setdefault(_plain(name), []).append(name)
    found = []
    for directory in dict.fromkeys(Path(os.path.abspath(each)) for each in directories):
        for name in sorted(_files(directory)):
            if str(directory / name) in taken or name in official_archives():
                continue
            rest, unfinished = _finished(name)
            officials = by_stem.get(_plain(rest))
            if officials:
                path = directory / name
                found.append(Unusual(path, officials[0], unfinished, _size(path)))
    return found


def near(manual_dir: Path) -> Iterator[Path]:
    """Directories that the user may mean: those in `manual_dir`, and the one above it."""
    for name in sorted(_folders(manual_dir))[:_MAX_FOLDERS]:
        yield manual_dir / name
    parent = Path(os.path.abspath(manual_dir)).parent
    if parent != Path(parent.anchor):
        yield parent


def similar(path: Path) -> list[Path]:
    """Existing paths that resemble a missing one."""
    missing = Path(os.path.abspath(path))
    there = next(parent for parent in missing.parents if os.path.isdir(parent))
    wanted = missing.relative_to(there).parts[0]
    names = {name.lower(): name for name in sorted(_folders(there))}
    close = difflib.get_close_matches(wanted.lower(), names, n=3, cutoff=0.6)
    return [there / names[name] for name in close]


def _finished(name: str) -> tuple[str, bool]:
    """A name without the ending of an unfinished file, and whether it had one."""
    rest = _UNFINISHED.sub("", name)
    if rest != name:
        return rest, True
    match = _RSYNC.fullmatch(name)
    return (match[1], True) if match else (name, False)


def _plain(name: str) -> str:
    """A name without case, separators, numbers of copies and ending."""
    plain = name.lower()
    while (shorter := _COPY.sub("", plain)) != plain:
        plain = shorter
    plain = plain.removeprefix("copy of ")
    ending = next((ending for ending in _ENDINGS if plain.endswith(ending)), "")
    return re.sub(r"[ .-]", "_", plain.removesuffix(ending))


def _files(directory: Path) -> list[str]:
    return [entry.name for entry in _entries(directory) if not _is_folder(entry)]


def _folders(directory: Path) -> list[str]:
    return [
        entry.name
        for entry in _entries(directory)
        if not entry.name.startswith(".") and not _WNID.fullmatch(entry.name) and _is_folder(entry)
    ]


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(itertools.islice(entries, _MAX_ENTRIES))
    except OSError:
        return []  # The survey reports a directory that cannot be read.


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
