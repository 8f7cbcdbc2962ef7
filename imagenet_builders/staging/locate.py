"""Looks below `manual_dir` for what a table of layouts names, listing each directory once.

Names are compared without regard to case, because sites spell `train_T3` and `Validation` as they
like. Finding looks at names only; what is inside is the sources' business.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.sources import slim_tfrecords, webdataset
from imagenet_builders.sources.folder_images import saying_why, unreadable
from imagenet_builders.sources.shard_sets import ShardSet
from imagenet_builders.staging.found import Found

_SHARD_SETS: dict[str, Callable[[Iterable[str]], dict[str, ShardSet]]] = {
    "webdataset": webdataset.shard_sets,
    "tfrecord": slim_tfrecords.shard_sets,
}

LIST_ENDING = "_files.txt"
"""How the name of a list of the files in a folder ends; it begins as the folder's."""

_DIRECTORIES = ("folders", "class-tars")

# So many entries of a directory are looked at to see what it holds; as a rule the first says it.
_PEEK = 10_000

_HOLDS = (
    ("folders", re.compile(r"n[0-9]{8}")),
    ("folders", re.compile(r"(n[0-9]{8}_[0-9]+|ILSVRC2012_(val|test)_[0-9]{8})\.(?i:jpe?g|png)")),
    ("class-tars", re.compile(r"n[0-9]{8}\.tar")),
    ("xml", re.compile(r"(n[0-9]{8}_[0-9]+|ILSVRC2012_val_[0-9]{8})\.xml")),
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A row of a table of layouts.

    Attributes:
        name: Whose layout, in words.
        kind: One of `found.KINDS`.
        places: Directories below `manual_dir` that are looked into; `.` for itself.
        names: Part of the dataset (`train`, ...) to regular expressions for the names of what
            provides it, the preferred one first.
        notes: Part of the dataset to what is worth saying of it in this layout.
    """

    name: str
    kind: str
    places: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)


def require_directory(dataset: str, manual_dir: Path) -> None:
    """Raises StagingError where `manual_dir` is not a directory."""
    with saying_why(manual_dir):
        is_directory = manual_dir.is_dir()
    if not is_directory:
        what = "is a file" if manual_dir.exists() else "does not exist"
        raise StagingError(
            f"manual_dir {manual_dir} {what}; it must be the directory that holds the archives "
            f"of {dataset}"
        )


class Tree:
    """A directory and what is below it; each directory is listed once.

    Attributes:
        root: The directory.
        warnings: Directories that could not be read, in whole sentences.
    """

    def __init__(self, root: Path):
        self.root = root
        self.warnings: list[str] = []
        self._listings: dict[Path, list[os.DirEntry[str]]] = {}

    def entries(self, directory: Path) -> list[os.DirEntry[str]]:
        """What is in a directory, sorted by name; nothing where it cannot be read."""
        if directory not in self._listings:
            try:
                with os.scandir(directory) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                found = []
                self._warn(unreadable(str(directory), error))
            self._listings[directory] = found
        return self._listings[directory]

    def directories(self, place: str) -> list[Path]:
        """The directories at a path below the root, in whatever case they are written."""
        found = [self.root]
        for part in place.split("/") if place != "." else ():
            found = [
                directory / entry.name
                for directory in found
                for entry in self.entries(directory)
                if entry.name.lower() == part.lower() and _is(entry, os.DirEntry.is_dir)
            ]
        return found

    def _warn(self, error: Exception) -> None:
        if str(error) not in self.warnings:
            self.warnings.append(str(error))


def peek(directory: Path) -> str:
    """What the first few entries of a directory are.

    Args:
        directory: The directory.

    Returns:
        `folders` for class folders or images, `class-tars`, `xml` for annotations, or an empty
        string for none of these.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        with os.scandir(directory) as entries:
            for entry in itertools.islice(entries, _PEEK):
                for what, pattern in _HOLDS:
                    if pattern.fullmatch(entry.name):
                        return what
    except OSError as error:
        raise unreadable(str(directory), error) from error
    return ""


def find(
    tree: Tree, layouts: Sequence[Layout], part: str, *, split: str, what: str = "images"
) -> tuple[Found, ...]:
    """All that provides a part of a dataset.

    Args:
        tree: Where to look.
        layouts: The table, the preferred layout first.
        part: The part, as in `Layout.names`.
        split: Name of the split that it is.
        what: `images` or `boxes`.

    Returns:
        Everything that was found, the preferred one first.
    """
    found: dict[tuple[Path, ...], Found] = {}
    for layout in layouts:
        for place in layout.places if part in layout.names else ():
            for directory in tree.directories(place):
                for paths, problem in _matching(tree, layout, directory, part, what):
                    note = layout.notes.get(part, "")
                    each = Found(split, layout.kind, layout.name, paths, what, note, problem)
                    found.setdefault(paths, each)
    return tuple(found.values())


def _matching(
    tree: Tree, layout: Layout, directory: Path, part: str, what: str
) -> Iterator[tuple[tuple[Path, ...], str]]:
    """The paths of each source that a layout has in a directory, and what is wrong with them."""
    if layout.kind in _SHARD_SETS:
        names = (entry.name for entry in tree.entries(directory))
        shards = _SHARD_SETS[layout.kind](names).get(part)
        if shards is not None:
            problem = f"{directory}: {shards.problem}" if shards.problem else ""
            yield tuple(directory / name for name in shards.names), problem
        return
    for pattern in layout.names[part]:
        is_named = _compiled(pattern).fullmatch
        for entry in filter(lambda entry: is_named(entry.name), tree.entries(directory)):
            path = directory / entry.name
            if layout.kind not in _DIRECTORIES:
                if _is(entry, os.DirEntry.is_file):
                    yield (path,), ""
            elif _is(entry, os.DirEntry.is_dir):
                wanted = ("xml", "folders") if what == "boxes" else (layout.kind,)
                try:
                    folder = next((each for each in _inside(path) if peek(each) in wanted), None)
                except SourceError as error:
                    yield (path,), str(error)
                    continue
                if folder is not None and what == "boxes":
                    yield (folder,), ""
                elif folder is not None:
                    yield (folder, *_lists_of(tree, directory, entry.name, part)), ""


def _is(entry: os.DirEntry[str], what: Callable[[os.DirEntry[str]], bool]) -> bool:
    """Whether an entry is a file, or a directory; yes where only reading it will tell."""
    try:
        return what(entry)
    except OSError:
        return True


def _inside(path: Path) -> Iterator[Path]:
    """A folder, and the one in it where an archive that has one of its own was unpacked."""
    yield path
    for name in ("test", "val", "validation", "train"):
        if os.path.isdir(path / name):
            yield path / name


def _lists_of(tree: Tree, directory: Path, folder: str, part: str) -> tuple[Path, ...]:
    """The list of the files in a folder, where there is one beside it."""
    wanted = {f"{name}{LIST_ENDING}".lower() for name in (folder, part)}
    if part == "validation":
        wanted.add(f"val{LIST_ENDING}")
    names = (entry.name for entry in tree.entries(directory) if entry.name.lower() in wanted)
    return tuple(directory / name for name in itertools.islice(names, 1))


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
