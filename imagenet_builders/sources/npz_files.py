"""The kind of source `npz`: folders of NumPy's files of arrays, whose rows are pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imagenet_builders.locate.found import Found
from imagenet_builders.sources.inspection import ERROR, Counted, Inspection, Problem
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
    there = len(set(expected.files).intersection(names))
    if there == len(expected.files):
        return Counted(), []
    return Counted(), [
        Problem(
            ERROR,
            " and ".join(map(str, found.paths)),
            f"{len(expected.files)} files such as {expected.files[0]}",
            f"{there}",
            "a copy or an unpacking that was not finished",
            "copy or unpack it again",
        )
    ]


KIND = Kind(name="npz", form="folder", copies=copies, archives_in=archives_in, count=count)
