"""Names that explain why something is not found: almost right, not done yet, or a folder away."""

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
# What browsers, aria2, curl's scripts, rsync and file managers leave.
_UNFINISHED = re.compile(
    r"\.(?:part|partial|aria2|aria2__temp|crdownload|download|filepart|incomplete|!ut|tmp|temp)$",
    re.IGNORECASE,
)
_RSYNC = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}")
_COPY = re.compile(
    r"[ _.-]*\([0-9]+\)|[ _-]+copy(?: ?[0-9]+)?|\.[0-9]+$|\.(?:bak|old|orig)$", re.IGNORECASE
)
_WNID = re.compile(r"n[0-9]{8}")

# Nobody looks for an archive among a hundred thousand images.
_MAX_ENTRIES = 20_000
_MAX_FOLDERS = 64


@dataclasses.dataclass(frozen=True)
class Unusual:
    """A file whose name is not that of an official archive, but nearly.

    Attributes:
        path: The file.
        official: The name that it nearly has.
        unfinished: Whether its name says that it is not whole.
        size: Its bytes, or None where that is not known.
    """

    path: Path
    official: str
    unfinished: bool
    size: int | None

    @property
    def sentence(self) -> str:
        """What it is, as a likely cause."""
        if self.unfinished:
            return f"{self.path} is a download or copy that is not done"
        if self.size == 0:
            return f"{self.path} has 0 bytes"
        return f"{self.path} is named in another way than {self.official}"

    @property
    def action(self) -> str:
        """What to do about it."""
        if self.unfinished or self.size == 0:
            return f"finish it, or copy it again, as {self.official}"
        if self.path.name.lower().endswith((".gz", ".tgz")) and self.official.endswith(".tar"):
            return f"unpack it to {self.official}, or link {self.official} to it if it is no gzip"
        return f"rename it to {self.official}, or make a directory with a link of that name"


def unusual_names(directories: Iterable[Path], used: Iterable[Path]) -> list[Unusual]:
    """Files that are nearly named as official archives.

    Args:
        directories: Where to look.
        used: Files that are found already, whatever their names.

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
    """Directories that may be meant instead: those in `manual_dir`, and the one above it."""
    for name in sorted(_folders(manual_dir))[:_MAX_FOLDERS]:
        yield manual_dir / name
    parent = Path(os.path.abspath(manual_dir)).parent
    if parent != Path(parent.anchor):
        yield parent


def similar(path: Path) -> list[Path]:
    """Paths that there are, for one that there is not."""
    missing = Path(os.path.abspath(path))
    there = next(parent for parent in missing.parents if os.path.isdir(parent))
    wanted = missing.relative_to(there).parts[0]
    names = {name.lower(): name for name in sorted(_folders(there))}
    close = difflib.get_close_matches(wanted.lower(), names, n=3, cutoff=0.6)
    return [there / names[name] for name in close]


def _finished(name: str) -> tuple[str, bool]:
    """A name without what says that the file is not whole, and whether it said so."""
    rest = _UNFINISHED.sub("", name)
    if rest != name:
        return rest, True
    match = _RSYNC.fullmatch(name)
    return (match[1], True) if match else (name, False)


def _plain(name: str) -> str:
    """A name without what may differ: case, separators, numbers of copies, the ending."""
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
        return []  # Said where the directory itself is looked at.


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
