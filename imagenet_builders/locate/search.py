"""Looks below `manual_dir` for what a table of layouts names, listing each directory once.

Names are compared without regard to case, because sites spell `train_T3` and `Validation` as they
like. Finding looks at names only; what is inside is the sources' business.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.locate import shard_names, slim_names
from imagenet_builders.locate.access import saying_why, unreadable
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import LIST_ENDING
from imagenet_builders.locate.shard_names import ShardSet

_SHARD_SETS: dict[str, Callable[[Iterable[str]], dict[str, ShardSet]]] = {
    "webdataset": shard_names.shard_sets,
    "tfrecord": slim_names.shard_sets,
}

_DIRECTORIES = ("folders", "class-tars")

# So many entries of a directory are looked at to see what it holds. Of images the first says it; of
# class folders there are a thousand, and some may not be unpacked yet, whichever comes first.
_PEEK = 10_000

# Names of which a directory has a thousand at most.
_IS_CLASS = re.compile(r"n[0-9]{8}(\.tar)?")
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


def peek(directory: Path) -> Mapping[str, int]:
    """What the first few entries of a directory are.

    Args:
        directory: The directory.

    Returns:
        How many of them are of each kind: `folders` for class folders or images, `class-tars`,
        `xml` for annotations. Of images and annotations, which are many, only the first counts.

    Raises:
        SourceError: It cannot be read.
    """
    found: Counter[str] = Counter()
    try:
        with os.scandir(directory) as entries:
            for entry in itertools.islice(entries, _PEEK):
                for what, pattern in _HOLDS:
                    if pattern.fullmatch(entry.name):
                        found[what] += 1
                        if not _IS_CLASS.fullmatch(entry.name):
                            return found
    except OSError as error:
        raise unreadable(str(directory), error) from error
    return found


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
    found: dict[tuple[str, Path], tuple[bool, Found]] = {}
    for layout in layouts:
        for place in layout.places if part in layout.names else ():
            for directory in tree.directories(place):
                for paths, problem, odd in _matching(tree, layout, directory, part, what):
                    note = "; ".join(filter(None, (layout.notes.get(part), odd)))
                    each = Found(split, layout.kind, layout.name, paths, what, note, problem)
                    # A directory may be class archives and class folders.
                    found.setdefault((layout.kind, paths[0]), (bool(odd), each))
    # What is the lesser part of a directory comes after the rest of it.
    return tuple(each for _, each in sorted(found.values(), key=operator.itemgetter(0)))


def _matching(
    tree: Tree, layout: Layout, directory: Path, part: str, what: str
) -> Iterator[tuple[tuple[Path, ...], str, str]]:
    """The paths of each source that a layout has in a directory, what is wrong, and what odd."""
    if layout.kind in _SHARD_SETS:
        names = (entry.name for entry in tree.entries(directory))
        shards = _SHARD_SETS[layout.kind](names).get(part)
        if shards is not None:
            problem = f"{directory}: {shards.problem}" if shards.problem else ""
            yield tuple(directory / name for name in shards.names), problem, ""
        return
    for pattern in layout.names[part]:
        is_named = _compiled(pattern).fullmatch
        for entry in filter(lambda entry: is_named(entry.name), tree.entries(directory)):
            path = directory / entry.name
            if layout.kind not in _DIRECTORIES:
                if _is(entry, os.DirEntry.is_file):
                    yield (path,), "", ""
            elif _is(entry, os.DirEntry.is_dir):
                wanted = ("xml", "folders") if what == "boxes" else (layout.kind,)
                try:
                    folder, holds = _holding(path, wanted)
                except SourceError as error:
                    if layout.kind == "folders":  # Whatever is in it; said once.
                        yield (path,), str(error), ""
                    continue
                if folder is not None and what == "boxes":
                    yield (folder,), "", ""
                elif folder is not None:
                    lists = _lists_of(tree, directory, entry.name, part, folder)
                    # Class archives are what is listed, not what they unpack to.
                    lists = lists if layout.kind == "folders" else ()
                    yield (folder, *lists), "", _fewer(layout.kind, holds)


def _holding(path: Path, wanted: Sequence[str]) -> tuple[Path | None, Mapping[str, int]]:
    """The folder at a path that holds what is wanted, or None, and what it holds."""
    for each in _inside(path):
        holds = peek(each)
        if any(kind in holds for kind in wanted):
            return each, holds
    return None, {}


def _fewer(kind: str, holds: Mapping[str, int]) -> str:
    """What to say of one of two kinds where the other has more, or an empty string.

    Class archives half of which are unpacked are neither whole as archives nor as folders.
    """
    other = {"folders": "class-tars", "class-tars": "folders"}[kind]
    if holds.get(other, 0) <= holds.get(kind, 0):
        return ""
    words = {"folders": "class folders", "class-tars": "class archives"}
    return f"there are fewer of them than {words[other]} beside them"


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


def _lists_of(tree: Tree, directory: Path, name: str, part: str, folder: Path) -> tuple[Path, ...]:
    """The list of the files in a folder, where there is one beside it or in it."""
    wanted = {f"{each}{LIST_ENDING}".lower() for each in (name, part)}
    if part == "validation":
        wanted.add(f"val{LIST_ENDING}")
    beside = (entry.name for entry in tree.entries(directory) if entry.name.lower() in wanted)
    lists = [directory / each for each in beside]
    if not lists:  # The folder itself may be long, and is not listed for that.
        lists = [folder / each for each in sorted(wanted) if os.path.lexists(folder / each)]
    return tuple(lists[:1])


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
