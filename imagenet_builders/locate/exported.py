"""What this package has exported, as the `provenance.json` beside the files says."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.files.json_object import json_object
from imagenet_builders.files.regular import read_regular
from imagenet_builders.locate.search import PROVENANCE
from imagenet_builders.words import printable

# That of 19,167 class archives has 4 MB. What is read takes memory many times as large.
_MAX_BYTES = 1 << 24
# Of a dataset or a form; so that what shows it stays short.
_MAX_NAME = 256
# Exports have their files in folders, or beside these.
_MAX_FOLDERS = 4
# So many directories are known at a time; each is asked of for every split.
_KEPT = 16


@dataclasses.dataclass(frozen=True)
class Exported:
    """An export, as it says of itself.

    Attributes:
        directory: Its directory.
        dataset: Full name of the dataset, with its version.
        form: The form.
        files: Each file, and each folder that has some of them, to the splits that it is of; none
            for one that tells of all of them. Names are relative, with slashes.
        has_images: Whether the images of a split are files of their own, which are not in `files`.
    """

    directory: Path
    dataset: str
    form: str
    files: Mapping[str, frozenset[str]]
    has_images: bool

    @property
    def of_all(self) -> frozenset[str]:
        """The files that tell of all splits, its provenance among them."""
        return frozenset(name for name, of in self.files.items() if not of) | {PROVENANCE}

    def holds(self, path: Path) -> bool:
        """Whether a file or a folder of images is of the export."""
        try:
            name = path.relative_to(self.directory).as_posix()
        except ValueError:
            return False
        return name in self.files or (self.has_images and "/" not in name and path.is_dir())

    def number_beside(self, name: str) -> int:
        """How many files of the same splits have the same ending as one of them; 0 if it is none.

        Args:
            name: One of `files`.
        """
        splits, ending = self.files.get(name), Path(name).suffix
        if not splits:
            return 0
        folder = os.path.dirname(name)
        return sum(
            Path(other).suffix == ending and os.path.dirname(other) == folder
            for other, of_other in self.files.items()
            if of_other == splits
        )


def exported(directory: Path) -> Exported | None:
    """The export in a directory; None where there is none.

    Args:
        directory: The directory; nothing in it is opened but its provenance.
    """
    try:
        status = os.stat(directory / PROVENANCE, follow_symlinks=False)
    except OSError:
        return None
    return _read(directory, (status.st_ino, status.st_size, status.st_mtime_ns))


def around(path: Path) -> Exported | None:
    """The export that a file or a folder of images is of; None where it is of none.

    Args:
        path: The file or folder. Files of exports lie in folders of these at most.
    """
    for directory in path.parents[:2]:
        export = exported(directory)
        if export is not None:
            return export if export.holds(path) else None
    return None


@functools.lru_cache(maxsize=_KEPT)
def _read(directory: Path, _: tuple[int, int, int]) -> Exported | None:
    try:
        document = json_object(read_regular(directory / PROVENANCE, _MAX_BYTES))
    except OSError:
        return None
    dataset, form = (document.get(name) if document else None for name in ("dataset", "form"))
    if document is None or not isinstance(dataset, str) or not isinstance(form, str):
        return None
    if max(len(dataset), len(form)) > _MAX_NAME:
        return None
    found: dict[str, set[str]] = {}
    of_all, splits = document.get("files"), document.get("splits")
    for name in of_all if isinstance(of_all, dict) else ():
        _add(found, name, None)
    has_images = False
    for split, entry in splits.items() if isinstance(splits, dict) else ():
        listed = entry.get("files") if isinstance(entry, dict) else None
        has_images = has_images or listed is None
        for file in listed if isinstance(listed, list) else ():
            _add(found, file[0] if isinstance(file, list) and file else None, split)
    files = {name: frozenset(of) for name, of in found.items()}
    return Exported(directory, printable(dataset), printable(form), files, has_images)


def _add(found: dict[str, set[str]], name: Any, split: str | None) -> None:
    """Adds a file, and the folders above it; a path through a thousand is none of an export."""
    if not isinstance(name, str) or name.count("/") > _MAX_FOLDERS:
        return
    while name:
        of = found.setdefault(name, set())
        if split is not None:
            of.add(split)
        name = name.rpartition("/")[0]
