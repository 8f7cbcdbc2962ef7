"""Directories of what is named by class: what the names of all their entries say.

All names count, so the order in which a directory lists them does not.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from imagenet_builders.labels.image_names import ANNOTATION_FILE, NAMED_IMAGE, Naming
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.listing import COMPRESSED_TAR, LIST_ENDING, WNID, is_system_file
from imagenet_builders.locate.search import Place

CLASS_ARCHIVE = re.compile(rf"({WNID.pattern})\.tar", WNID.flags)
"""The name of the archive of a class; its group is the wnid."""

PACKED_CLASS_ARCHIVE = re.compile(rf"({WNID.pattern})(?:\.tar|{COMPRESSED_TAR})", WNID.flags)
"""The same, of one that may be compressed."""


# Folders with images inside that have no name of a class: there are a thousand at most.
_MAX_FOLDERS = 2_000

# Of class folders that somebody has begun to fill, some are empty.
_TRIED_FOLDERS = 16

_INSIDE = ("test", "val", "validation", "train")


@dataclasses.dataclass(frozen=True)
class Directory:
    """What is in a directory, by name.

    Attributes:
        path: The directory.
        folders: What is named like a class folder, sorted.
        archives: Class archives, sorted.
        images: Number of images that lie in it.
        image: The first of them by name, or empty.
        image_classes: Classes in their names, in small letters.
        has_annotations: Whether annotations lie in it.
        others: All else, sorted, without the files of operating systems.
    """

    path: Path
    folders: tuple[str, ...]
    archives: tuple[str, ...]
    images: int
    image: str
    image_classes: frozenset[str]
    has_annotations: bool
    others: tuple[str, ...]

    @property
    def holds_images(self) -> bool:
        """Whether it is named by class folders, or images lie in it."""
        return bool(self.folders or self.images)

    @property
    def only_annotations(self) -> bool:
        """Whether it holds annotations, and no images or folders of them."""
        return self.has_annotations and not (self.holds_images or self.others)

    def fewer_archives(self) -> str:
        """What to say of class archives where more classes are there in another way, or nothing.

        Class archives half of which are unpacked are neither whole as archives nor as folders.
        """
        if len(self.archives) < len(self.folders):
            return "there are fewer of them than class folders beside them"
        if len(self.archives) < len(self.image_classes):
            return "there are images of more classes beside them"
        return ""

    def fewer_images(self) -> str:
        """What to say of folders or images where more classes are there as archives, or nothing."""
        if len(self.archives) <= max(len(self.folders), len(self.image_classes)):
            return ""
        return "there are fewer of them than class archives beside them"

    def images_beside_archives(self, read: str) -> str | None:
        """What to say where images lie beside the archives of their classes, or None.

        Args:
            read: Which of the two is read: `archives` or `images`.
        """
        if not (self.archives and self.images):
            return None
        return (
            f"{self.path} holds images such as {self.image} and class archives such as "
            f"{self.archives[0]}; of the two, the {read} are read"
        )


def look(path: Path) -> Directory:
    """What is in a directory.

    Raises:
        SourceError: It cannot be read.
    """
    folders: list[str] = []
    archives: list[str] = []
    others: list[str] = []
    classes: set[str] = set()
    images, first, has_annotations = 0, "", False
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                image = NAMED_IMAGE.fullmatch(name)
                if image is not None:
                    images += 1
                    first = min(first or name, name)
                    if image[1]:
                        classes.add(image[1].lower())
                elif WNID.fullmatch(name):
                    folders.append(name)
                elif PACKED_CLASS_ARCHIVE.fullmatch(name):
                    archives.append(name)
                elif ANNOTATION_FILE.fullmatch(name):
                    has_annotations = True
                elif not is_system_file(name):
                    others.append(name)
    except OSError as error:
        raise unreadable(os.fspath(path), error) from error
    return Directory(
        path,
        tuple(sorted(folders)),
        tuple(sorted(archives)),
        images,
        first,
        frozenset(classes),
        has_annotations,
        tuple(sorted(others)),
    )


def folders_with_images(seen: Directory) -> tuple[str, ...]:
    """The folders in a directory that images lie in: class folders, or else others.

    Validation images may lie in one folder more (`images`, or any other), or in folders with the
    numbers of classes, which nobody knows the order of. Their own numbers say their classes.

    Returns:
        The names, sorted; empty where images lie in the directory itself.

    Raises:
        SourceError: A folder cannot be read.
    """
    if seen.folders or seen.images:
        return seen.folders
    return tuple(name for name in seen.others[:_MAX_FOLDERS] if _has_image(seen.path / name))


def deeper(path: Path) -> Directory | None:
    """The directory that holds the folders of images, where these lie deeper than in `path` itself.

    It is the only folder in it (`val/images/<wnid>/`), or `path` itself where several folders have
    such folders inside. Of many, some are looked into.

    Returns:
        The directory, or None where no official image lies in folders two deep.

    Raises:
        SourceError: A folder cannot be read.
    """
    seen = look(path)
    names = () if seen.holds_images else seen.others[:_MAX_FOLDERS]
    folders = [path / name for name in names if (path / name).is_dir()]
    holders = [each for each in map(look, folders[:_TRIED_FOLDERS]) if _folders_have_images(each)]
    if not holders:
        return None
    return holders[0] if len(folders) == 1 else seen


def _folders_have_images(seen: Directory) -> bool:
    return folders_hold(seen)[0] or any(
        _has_image(seen.path / name) for name in seen.others[:_TRIED_FOLDERS]
    )


def _has_image(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        with os.scandir(folder) as entries:
            return any(NAMED_IMAGE.fullmatch(entry.name) for entry in entries)
    except OSError as error:
        raise unreadable(os.fspath(folder), error) from error


def unknown_class(folder: Path, naming: Naming) -> str | None:
    """Why a class folder is refused for its class, or None.

    One that holds annotations alone may be of any class: those of ILSVRC2012 have a few of others.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        naming.label_of(folder.name)
    except ValueError as error:
        return None if look(folder).only_annotations else str(error)
    return None


def folders_hold(seen: Directory) -> tuple[bool, bool]:
    """Whether images, and whether annotations lie in the class folders of a directory.

    The first folder that holds any of them tells it for all.

    Raises:
        SourceError: A folder cannot be read.
    """
    for name in seen.folders[:_TRIED_FOLDERS]:
        if os.path.isdir(seen.path / name):
            inside = look(seen.path / name)
            if inside.images or inside.has_annotations:
                return bool(inside.images), inside.has_annotations
    return False, False


def holding(path: Path, is_wanted: Callable[[Directory], bool]) -> Directory | None:
    """The directory at a path that holds what is wanted, or None.

    Args:
        path: The directory, or one that has it inside, as an archive with a folder of its own
            leaves it once it is unpacked.
        is_wanted: Says whether a directory is it.

    Raises:
        SourceError: A directory cannot be read.
    """
    return next(filter(is_wanted, _with_inside(path)), None)


def _with_inside(path: Path) -> Iterator[Directory]:
    yield look(path)
    yield from map(look, filter(Path.is_dir, (path / name for name in _INSIDE)))


def lists_of(place: Place, name: str, folder: Path) -> tuple[Path, ...]:
    """The list of the files in a folder, where there is one beside it or in it.

    Args:
        place: Where the folder was found.
        name: Its name there.
        folder: The folder, or one inside that has the images.
    """
    wanted = {f"{each}{LIST_ENDING}".lower() for each in (name, place.part)}
    if place.part == "validation":
        wanted.add(f"val{LIST_ENDING}")
    beside = (e.name for e in place.tree.entries(place.directory) if e.name.lower() in wanted)
    lists = [place.directory / each for each in beside]
    if not lists:  # The folder itself may be long, and is not listed for that.
        lists = [folder / each for each in sorted(wanted) if os.path.lexists(folder / each)]
    return tuple(lists[:1])
