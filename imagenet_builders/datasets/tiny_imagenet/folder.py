"""Tiny ImageNet as a folder: the archive unpacked, and perhaps sorted by a script since."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from imagenet_builders import labels
from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet.contents import NO_LABEL, TWICE, Contents, Images
from imagenet_builders.datasets.tiny_imagenet.layouts import CLASS_LIST, NAME, SPLITS
from imagenet_builders.datasets.tiny_imagenet.names import (
    ANNOTATIONS,
    expected_at,
    key_of,
    role_of,
    role_of_folder,
)
from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.locate import listing
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.exported import exported
from imagenet_builders.sources import folder_images
from imagenet_builders.sources.rows import WHOLE_FILE, Rows, SourceFile

# Network storage answers many at a time as fast as one.
_THREADS = 8


class _Directory(NamedTuple):
    """A directory that images lie in.

    Attributes:
        name: Its path below the root.
        label: The class of all images, or `NO_LABEL`.
        images: How many there are.
        beside: The names of all else in it that belongs there.
    """

    name: str
    label: int
    images: int
    beside: frozenset[str]


class Folder(Contents):
    """`tiny-imagenet-200/`.

    Args:
        path: The folder.
        label_of: Gives the label of a wnid; raises ValueError for one that is not a class.

    Raises:
        SourceError: A file in it does not belong, or a folder cannot be read.
    """

    def __init__(self, path: Path, label_of: Callable[[str], int]):
        super().__init__(path, label_of)
        self._texts: set[str] = set()
        self._first: dict[str, str] = {}
        self._directories: dict[str, list[_Directory]] = {split: [] for split in SPLITS}
        export = exported(path)
        self._of_export = export.of_all if export is not None else frozenset[str]()
        self._walk("")
        for directories in self._directories.values():
            directories.sort()

    @property
    def texts(self) -> Collection[str]:
        """The paths of all text files, below the root."""
        return self._texts

    def image_sources(self, split: str) -> list[SourceFile]:
        """The directories of the images."""
        names = (directory.name for directory in self._directories[split])
        return folder_images.source_files(map(self.path.joinpath, names))

    def text_sources(self, split: str) -> list[SourceFile]:
        """The class list, and the existing files with boxes."""
        names = {CLASS_LIST}
        if split == "train":
            names |= {name for name in self._texts if name.startswith("train/")}
        elif split == "validation":
            names.add(ANNOTATIONS)
        return folder_images.source_files(
            map(self.path.joinpath, sorted(names.intersection(self._texts)))
        )

    def images(self, split: str) -> Images:
        """The images of a split, folder by folder, in each by name."""
        directories = self._directories[split]
        images = Images(Rows(), [], [], [])
        with ThreadPoolExecutor(_THREADS) as threads:
            listings = threads.map(self._files_in, directories)
            for position, (each, files) in enumerate(zip(directories, listings, strict=True)):
                for name, size in files:
                    images.rows.add(key_of(name), each.label, position, WHOLE_FILE, size, name)
                    images.paths.append(f"{each.name}/{name}")
        images.packed.extend([0] * len(images.rows))
        images.crcs.extend([-1] * len(images.rows))
        return images

    def _files_in(self, directory: _Directory) -> list[tuple[str, int]]:
        """Names and sizes of the images in a directory; all names in it are known to belong."""
        path = self.path / directory.name
        files = folder_images.list_files(path, beside=directory.beside)
        if not files:
            raise SourceError(f"{path}: there is no image in this folder; copy or unpack it again")
        return files

    def counts(self) -> dict[str, int]:
        """The number of images of each split."""
        return {
            split: sum(directory.images for directory in directories)
            for split, directories in self._directories.items()
        }

    def classes(self, split: str) -> frozenset[str] | None:
        """The classes of the images of a split that their paths tell."""
        wnids = labels.wnids(NAME)
        told = {each.label for each in self._directories[split] if each.images}
        return frozenset(wnids[label] for label in told - {NO_LABEL}) or None

    def tells_labels(self, split: str) -> bool:
        """Whether the path of every image of a split tells its class."""
        return all(each.label != NO_LABEL for each in self._directories[split])

    def text(self, name: str) -> bytes | None:
        """A text file."""
        path = self.path / name
        try:
            with os.fdopen(open_regular(path, follow=True), "rb") as file:
                return file.read(tiny.MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(str(path), error) from error

    def error(self, name: str, problem: str) -> SourceError:
        """The error, with the path of the file."""
        return SourceError(f"{str(self.path / name)!r}: {problem}")

    def _walk(self, directory: str) -> int:
        """Sees what is in a directory and below it; gives the number of images there."""
        folders, files = listing.list_entries(self.path / directory)
        prefix = f"{directory}/" if directory else ""
        images = below = 0
        for name in files:
            role = role_of(prefix + name)
            if role is None and prefix + name in self._of_export:
                continue  # Lists of an export that is built from here.
            if role is None:
                raise self._unexpected(prefix + name)
            if role.split is None:
                self._texts.add(prefix + name)
            else:
                images += 1
                other = self._first.setdefault(key_of(name), prefix + name)
                if other != prefix + name:
                    raise self.error(prefix + name, TWICE.format(other))
        for name in folders:
            role = role_of_folder(prefix + name)
            if role is None:
                raise self._unexpected(prefix + name)
            try:
                self.label(role)
            except ValueError as error:
                raise self._unexpected(prefix + name, str(error)) from None
            below += self._walk(prefix + name)
        role = role_of_folder(directory) if directory else None
        if role is None or role.split is None:
            return images + below
        # Who moves images elsewhere leaves `images` behind. Another folder without any lacks them.
        is_left = below or os.path.basename(directory) == "images"
        if images or not (is_left or (folders and role.wnid is None)):
            label = self.label(role)
            beside = {*folders, *(name for name in files if prefix + name in self._texts)}
            place = _Directory(directory, label, images, frozenset(beside))
            self._directories[role.split].append(place)
        return images + below

    def _unexpected(self, name: str, reason: str = "") -> SourceError:
        return SourceError(
            f"{str(self.path / name)!r} does not belong in the folder: "
            f"{reason or expected_at(name)}; move it elsewhere, or stage the original archive"
        )
