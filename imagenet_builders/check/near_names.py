"""Finds names that explain why an archive is not found: misspelled, unfinished, a folder away."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagenet_builders.check import parts
from imagenet_builders.check.first_bytes import first_bytes
from imagenet_builders.check.parts import Parts
from imagenet_builders.formats import signatures
from imagenet_builders.labels.image_names import NAMED_IMAGE
from imagenet_builders.locate.official import official_archives

_BEGIN = {
    ".gz": signatures.GZIP,
    ".tgz": signatures.GZIP,
    ".tar": signatures.TAR,
    ".zip": signatures.ZIP,
}
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

_MAX_FOLDERS = 64


@dataclasses.dataclass(frozen=True)
class Unusual:
    """A file whose name is nearly that of an official archive, or the parts of one.

    Attributes:
        path: The file; the first of the parts.
        official: The name of that archive.
        sentence: What it is, in words.
        action: The advice, in words.
        unfinished: Whether the name says that the file is not whole.
        others: Names of the other parts.
    """

    path: Path
    official: str
    sentence: str
    action: str
    unfinished: bool = False
    others: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """The file, or all parts."""
        return [self.path, *(self.path.with_name(name) for name in self.others)]


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
        names = sorted(name for name in _files(directory) if str(directory / name) not in taken)
        in_parts: set[str] = set()
        for split in parts.find(names):
            officials = by_stem.get(_plain(split.whole))
            if officials:
                official = split.whole if split.whole in officials else officials[0]
                found.append(_of_parts(directory, split, official))
                in_parts.update(split.names)
        for name in names:
            if name in official_archives() or name in in_parts:
                continue
            rest, unfinished = _finished(name)
            officials = by_stem.get(_plain(rest))
            if officials:
                official = rest if rest in officials else officials[0]
                found.append(_named_otherwise(directory / name, official, unfinished=unfinished))
    return found


def _of_parts(directory: Path, split: Parts, official: str) -> Unusual:
    first, *rest = split.names
    begins = [first_bytes(directory / name).signature for name in split.names[:2]]
    if len(begins) == 2 and parts.are_archives(*begins):
        sentence = f"{directory / first} and {', '.join(rest)} are archives of their own"
        action = "unpack all of them into one folder, and check that"
        return Unusual(directory / first, official, sentence, action, others=tuple(rest))
    sentence = f"in {directory}, {split.sentence}"
    known = official_archives()[official].size
    sizes = [_size(directory / name) for name in split.names]
    there = sum(size for size in sizes if size is not None)
    if known is not None and there < known:
        sentence += f", and there are {there:,} of its {known:,} bytes"
    return Unusual(directory / first, official, sentence, split.action, others=tuple(rest))


def _named_otherwise(path: Path, official: str, *, unfinished: bool) -> Unusual:
    begins = first_bytes(path)
    expected = next((of for end, of in _BEGIN.items() if official.endswith(end)), None)
    found = begins.signature
    if unfinished:
        sentence = f"{path} is a download or copy that is not done"
        action = f"finish it, as {official}"
    elif begins.size == 0:
        sentence, action = f"{path} has 0 bytes", f"get it anew, as {official}"
    elif begins.words:
        sentence, action = f"{path} is {begins.words}", begins.action
    elif found == expected:
        sentence = f"{path} is named in another way than {official}"
        action = f"a link to it with the name {official} is enough (ln -s)"
    elif found == signatures.ZIP:
        sentence = f"{path} is {found.name}, not {official}"
        action = "unpack it into a folder (unzip -d), and check that"
    elif found == signatures.GZIP:
        sentence = f"{path} is {found.name}, not {official}"
        action = f"decompress it: gunzip -c {path.name} > {official}"
    elif found is not None:
        sentence, action = f"{path} is {found.name}, not {official}", found.action
    else:
        sentence = f"{path} is named in another way than {official}, and does not begin as one does"
        action = "see what it is (file)"
    return Unusual(path, official, sentence, action, unfinished)


def near(manual_dir: Path) -> Iterator[Path]:
    """Directories that the user may mean: those in `manual_dir`, some below, the one above it."""
    for name in sorted(_folders(manual_dir))[:_MAX_FOLDERS]:
        yield manual_dir / name
    manual = manual_dir / "downloads" / "manual"  # Where TFDS looks in a data_dir.
    if manual.is_dir():
        yield manual
    snapshots = manual_dir / "snapshots"  # The revisions in a cache of Hugging Face.
    yield from (snapshots / name for name in sorted(_folders(snapshots))[:_MAX_FOLDERS])
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


def is_unfinished(name: str) -> bool:
    """Whether a name says that the file is not whole."""
    return _finished(name)[1]


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
            # A directory of images may have a million.
            return [entry for entry in entries if not NAMED_IMAGE.fullmatch(entry.name)]
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
