"""Looks below `manual_dir` for what a table of layouts names, listing each directory once.

Names are compared without regard to case, because sites spell `train_T3` and `Validation` as they
like. Finding looks at names only; what is inside is the sources' business. What a source of a kind
looks like in a directory, the kind says: it brings a `Recognise`.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.errors import StagingError
from imagenet_builders.labels.image_names import NAMED_IMAGE
from imagenet_builders.locate.access import saying_why, unreadable
from imagenet_builders.locate.found import Found


@dataclasses.dataclass(frozen=True)
class Layout:
    """A row of a table of layouts.

    Attributes:
        name: Whose layout, in words.
        kind: Name of the kind of source.
        places: Directories below `manual_dir` that are looked into; `.` for itself.
        names: Part of the dataset (`train`, ...) to regular expressions for the names of what
            provides it, the preferred one first.
        notes: Part of the dataset to what is worth saying of it in this layout.
        notes_of_others: The same, but not said of what this package has exported.
        folders: Part of the dataset to a regular expression for the path of its folder, in a source
            that has all parts.
        other_kinds: Ending of a name, in lower case, to the kind that a file so named is of.
        inside: Part of the dataset to the folder in an archive that has it, where one archive has
            several parts.
    """

    name: str
    kind: str
    places: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes_of_others: Mapping[str, str] = dataclasses.field(default_factory=dict)
    folders: Mapping[str, str] = dataclasses.field(default_factory=dict)
    other_kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    inside: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def kind_of(self, path: Path) -> str:
        """Name of the kind of a source, from what it is called."""
        name = path.name.lower()
        others = (kind for end, kind in self.other_kinds.items() if name.endswith(end))
        return next(others, self.kind)


PROVENANCE = "provenance.json"
"""The file that lies beside what this package has built or exported."""

ITSELF = r"\."
"""The name that means the directory itself, in `Layout.names` of folders."""


class Match(NamedTuple):
    """A source that was recognised in a directory.

    Attributes:
        paths: What is opened, as in `Found`.
        problem: Why it cannot be read, a sentence, or empty.
        odd: What is odd of it, so that others are preferred, or empty.
        where: Where it is, as in `Found`.
        inside: The folder in it that has the part, as in `Found`.
    """

    paths: tuple[Path, ...]
    problem: str = ""
    odd: str = ""
    where: str = ""
    inside: str = ""


class Place(NamedTuple):
    """Where a source is looked for.

    Attributes:
        tree: All directories.
        layout: Whose names are looked for.
        directory: The directory.
        part: The part of the dataset, as in `Layout.names`.
        what: `images` or `boxes`.
    """

    tree: Tree
    layout: Layout
    directory: Path
    part: str
    what: str


Recognise = Callable[[Place], Iterator[Match]]
"""Finds the sources of a kind in a place, the preferred one first."""


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

    Args:
        root: The directory.
        quiet: Names of directories that others report where they cannot be read, in small letters.

    Attributes:
        root: The directory.
        warnings: Directories that could not be read, in whole sentences.
    """

    def __init__(self, root: Path, quiet: Collection[str] = ()):
        self.root = root
        self._quiet = quiet
        self.warnings: list[str] = []
        self._listings: dict[Path, list[os.DirEntry[str]]] = {}
        self._by_lower: dict[Path, dict[str, list[os.DirEntry[str]]]] = {}

    def entries(self, directory: Path) -> list[os.DirEntry[str]]:
        """What is in a directory, sorted by name; nothing where it cannot be read.

        Images are left out: they are no source of their own, and a directory may hold a million.
        """
        if directory not in self._listings:
            try:
                with os.scandir(directory) as entries:
                    found = [each for each in entries if not NAMED_IMAGE.fullmatch(each.name)]
                    found.sort(key=lambda entry: entry.name)
            except OSError as error:
                found = []
                if directory.name.lower() not in self._quiet or directory == self.root:
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
                for entry in self._spelled(directory, part)
                if _is(entry, os.DirEntry.is_dir)
            ]
        return found

    def _spelled(self, directory: Path, name: str) -> Sequence[os.DirEntry[str]]:
        """The entries of a name in any case; a directory may have 20,000, and is asked often."""
        if directory not in self._by_lower:
            by_lower = self._by_lower.setdefault(directory, {})
            for entry in self.entries(directory):
                by_lower.setdefault(entry.name.lower(), []).append(entry)
        return self._by_lower[directory].get(name.lower(), ())

    def _warn(self, error: Exception) -> None:
        if str(error) not in self.warnings:
            self.warnings.append(str(error))


def find(
    tree: Tree,
    layouts: Sequence[Layout],
    part: str,
    recogniser: Callable[[str], Recognise],
    *,
    split: str,
    what: str = "images",
) -> tuple[Found, ...]:
    """All that provides a part of a dataset.

    Args:
        tree: Where to look.
        layouts: The table, the preferred layout first.
        part: The part, as in `Layout.names`.
        recogniser: From the name of a kind of source to what recognises it.
        split: Name of the split that it is.
        what: `images` or `boxes`.

    Returns:
        Everything that was found, the preferred one first.
    """
    found: dict[tuple[str, Path], tuple[bool, Found]] = {}
    for layout in (layout for layout in layouts if part in layout.names):
        recognise = recogniser(layout.kind)
        for directory in (each for place in layout.places for each in tree.directories(place)):
            for match in recognise(Place(tree, layout, directory, part, what)):
                first = match.paths[0]
                notes = [layout.notes.get(part), match.odd]
                if part in layout.notes_of_others and not _is_export(tree, first.parent):
                    notes.insert(0, layout.notes_of_others[part])
                each = Found(
                    split,
                    layout.kind_of(first),
                    layout.name,
                    match.paths,
                    what,
                    "; ".join(filter(None, notes)),
                    match.problem,
                    where=match.where,
                    inside=match.inside or layout.inside.get(part, ""),
                )
                # A directory may be class archives and class folders.
                found.setdefault((layout.kind, first), (bool(match.odd), each))
    # What is the lesser part of a directory comes after the rest of it.
    return tuple(each for _, each in sorted(found.values(), key=operator.itemgetter(0)))


def _is_export(tree: Tree, directory: Path) -> bool:
    """Whether this package has exported what is in a directory, as what lies beside it shows."""
    return any(entry.name == PROVENANCE for entry in tree.entries(directory))


def named_files(place: Place) -> Iterator[Match]:
    """Recognises files by their names alone."""
    for entry in _named(place):
        if _is(entry, _is_no_directory):
            yield Match((place.directory / entry.name,))


def named_directories(place: Place) -> Iterator[Path]:
    """The directories whose names a layout has."""
    for entry in _named(place):
        if _is(entry, os.DirEntry.is_dir):
            yield place.directory / entry.name
    if ITSELF in place.layout.names[place.part]:
        yield place.directory


def _named(place: Place) -> Iterator[os.DirEntry[str]]:
    for pattern in place.layout.names[place.part]:
        is_named = _compiled(pattern).fullmatch
        yield from (entry for entry in place.tree.entries(place.directory) if is_named(entry.name))


def _is_no_directory(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a FIFO or the like, which whoever reads it refuses."""
    return entry.is_file() or (not entry.is_dir() and os.path.exists(entry.path))


def _is(entry: os.DirEntry[str], what: Callable[[os.DirEntry[str]], bool]) -> bool:
    """Whether an entry is a file, or a directory; yes where only reading it will tell."""
    try:
        return what(entry)
    except OSError:
        return True


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
