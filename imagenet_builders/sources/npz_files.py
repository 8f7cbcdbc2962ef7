"""The kind of source `npz`: folders of NumPy's files of arrays, whose rows are pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from imagenet_builders.files.regular import open_regular
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import zip_inspection
from imagenet_builders.sources.inspection import ERROR, Counted, Inspection, Problem, Wrong
from imagenet_builders.sources.kind import Copies, Expected, Kind


def archives_in(folder: Path) -> list[Path]:
    """The files of arrays in a folder, sorted."""
    return sorted(folder.rglob("*.npz"))


def copies(found: Found) -> Copies:
    """What is copied: archives, and the files of arrays in folders; see `Kind.copies`."""
    files: list[Path] = []
    for path in found.paths:
        files += archives_in(path) if path.is_dir() else [path]
    return Copies(tuple(files))


def count(
    found: Found, inspected: Mapping[Path, Inspection], expected: Expected
) -> tuple[Counted, list[Problem]]:
    """Says which files of arrays lack, by their names; see `Kind.count`."""
    names: list[str] = []
    for path in found.paths:
        listed = inspected[path].names if path in inspected else None
        if listed is not None:
            names += (name.rpartition("/")[2] for name in listed)
        else:
            names += [each.name for each in archives_in(path)] or [path.name]
    problems = list(_damaged(found))
    there = len(set(expected.files).intersection(names))
    counted = Counted(unread=f"the arrays in {found.where or found.paths[0]}")
    if there == len(expected.files):
        return counted, problems
    return counted, [
        *problems,
        Problem(
            ERROR,
            " and ".join(map(str, found.paths)),
            f"{len(expected.files)} files such as {expected.files[0]}",
            f"{there}",
            "a copy or an unpacking that was not finished",
            "copy or unpack it again",
        ),
    ]


def _damaged(found: Found) -> Iterator[Problem]:
    """The problems of the files in folders; others are inspected by themselves."""
    for path in (each for folder in found.paths if folder.is_dir() for each in archives_in(folder)):
        fd = open_regular(path, follow=True)
        try:
            wrong, _ = inspect(path, fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)
        if wrong is not None:
            yield Problem(ERROR, str(path), wrong.expected, wrong.found, wrong.cause, wrong.action)


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, None]:
    """What is wrong with the ends of a file of arrays; see `Kind.inspect`."""
    return zip_inspection.inspect(path, fd, size)[0], None


KIND = Kind(
    name="npz",
    form="folder",
    copies=copies,
    archives_in=archives_in,
    inspect=inspect,
    count=count,
)
