"""What names alone show of a source of images: its classes, and the names of some of its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.errors import SourceError
from imagenet_builders.locate.listing import list_folders, list_names

_CLASS_ARCHIVE = re.compile(r"(n[0-9]{8})\.tar(\.gz)?")

_ENDINGS = (".jpeg", ".jpg", ".png")

# Class folders that are listed: the first, the last, and some between.
_SAMPLED = 4


class Glimpse(NamedTuple):
    """What names show of a source.

    Attributes:
        path: The archive, or the folder.
        classes: The wnids of its class folders or class archives; empty where it has none.
        names: The files in it, or in some of its class folders, by their paths from it.
    """

    path: Path
    classes: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    @property
    def paths_of_images(self) -> tuple[str, ...]:
        """Those of `names` that end as images do."""
        return tuple(name for name in self.names if name.lower().endswith(_ENDINGS))

    @property
    def images(self) -> tuple[str, ...]:
        """Those of `names` that end as images do, without their folders."""
        return tuple(name.rpartition("/")[2] for name in self.paths_of_images)


def of_folder(path: Path, inside: str = "") -> Glimpse:
    """A glimpse of a folder of images or of class folders; what cannot be read shows nothing."""
    path = path / inside
    try:
        classes, others = list_folders(path)
    except SourceError:  # Indexing it says so.
        return Glimpse(path)
    if not classes:
        return Glimpse(path, names=tuple(others))
    last = len(classes) - 1
    sampled = sorted({classes[last * part // (_SAMPLED - 1)] for part in range(_SAMPLED)})
    names = (name for wnid in sampled for name in _names_in(path, wnid))
    return Glimpse(path, frozenset(classes), tuple(names))


def of_class_archives(path: Path, inside: str = "") -> Glimpse:
    """A glimpse of a folder of class archives."""
    path = path / inside
    try:
        matches = map(_CLASS_ARCHIVE.fullmatch, list_names(path))
    except SourceError:
        return Glimpse(path)
    return Glimpse(path, frozenset(match[1] for match in matches if match is not None))


def _names_in(path: Path, folder: str) -> list[str]:
    """The files in a class folder, and in the folder `images` in it, as Tiny ImageNet has them."""
    found: list[str] = []
    for inside in (folder, f"{folder}/images"):
        try:
            found += [f"{inside}/{name}" for name in list_names(path / inside)]
        except SourceError:
            continue
    return found
