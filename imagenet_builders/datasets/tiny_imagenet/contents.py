"""The contents of Tiny ImageNet, with one interface for the archive and for the folder.

    train/<wnid>/images/<wnid>_<0..499>.JPEG    train/<wnid>/<wnid>_boxes.txt
    val/images/val_<0..9999>.JPEG               val/val_annotations.txt
    test/images/test_<0..9999>.JPEG             wnids.txt, words.txt

Any other file is an error that names it, because the source is then another dataset. Other
directories in the archive are ignored.
"""

from __future__ import annotations

import abc
import functools
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet.layouts import CLASS_LIST, SPLITS
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import zip_members
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.locate import listing
from imagenet_builders.sources import folder_images
from imagenet_builders.sources.folder_images import ImageFolder
from imagenet_builders.sources.indexing import in_batches
from imagenet_builders.sources.rows import NO_COPIES, WHOLE_FILE, Rows, SourceFile

ANNOTATIONS = "val/val_annotations.txt"

# Files that are not read; a copy of Tiny ImageNet may lack them.
_IGNORED = frozenset({"words.txt"})

_EXAMPLES = {"train": "{wnid}_0.JPEG to {wnid}_499.JPEG", "val": "val_0.JPEG to val_9999.JPEG"}
_EXAMPLES["test"] = "test_0.JPEG to test_9999.JPEG"
_TRAIN_NUMBER = "(?:0|[1-9][0-9]?|[1-4][0-9]{2})"
_NUMBER = "(?:0|[1-9][0-9]{0,3})"
_IMAGE = re.compile(
    rf"train/(?P<wnid>n[0-9]{{8}})/images/(?P=wnid)_{_TRAIN_NUMBER}\.JPEG"
    rf"|(?P<split>val|test)/images/(?P=split)_{_NUMBER}\.JPEG"
)
_BOXES = re.compile(r"train/(?P<wnid>n[0-9]{8})/(?P=wnid)_boxes\.txt")

# Folders that one job lists: enough work for a process to be worth starting.
_FOLDERS_A_JOB = 50


class Images(NamedTuple):
    """The images of a split, column by column.

    Attributes:
        rows: Keys are file names; the label is the class, or -1 if the path does not tell it.
        packed: Bytes of each as it is stored, deflated; 0 if it is not deflated.
        crcs: CRC-32 of each; -1 if it is unknown.
    """

    rows: Rows
    packed: list[int]
    crcs: list[int]


class Contents(abc.ABC):
    """Tiny ImageNet, as an archive or as a folder.

    Attributes:
        path: The archive or the folder.
    """

    def __init__(self, path: Path):
        self.path = path

    @abc.abstractmethod
    def image_sources(self, split: str) -> list[SourceFile]:
        """The files or directories that hold the images of a split; none if it is not staged."""

    @abc.abstractmethod
    def text_sources(self, split: str) -> list[SourceFile]:
        """Other files that the rows of a split are made from."""

    @abc.abstractmethod
    def images(self, split: str) -> Images:
        """The images of a split; their files are counted as in `image_sources`.

        Raises:
            SourceError: A file does not belong, or the source is damaged.
        """

    @abc.abstractmethod
    def text(self, name: str) -> bytes | None:
        """A text file by its path from the root, or None if there is none.

        Raises:
            SourceError: It is too large, or the source is damaged.
        """

    @abc.abstractmethod
    def error(self, name: str, problem: str) -> SourceError:
        """The error for a file of this name."""


class _Members(NamedTuple):
    """The members of an archive: its root, images with their wnids, texts by path from the root."""

    root: str
    images: dict[str, list[tuple[ZipMember, str | None]]]
    texts: dict[str, ZipMember]


class Archive(Contents):
    """`tiny-imagenet-200.zip`.

    Args:
        path: The archive.
        label_of: Gives the label of a wnid; raises ValueError for one that is not a class.
        copies: As for `SourceFile.of`.
    """

    def __init__(
        self,
        path: Path,
        label_of: Callable[[str], int],
        copies: Mapping[str, str] = NO_COPIES,
    ):
        super().__init__(path)
        self._label_of = label_of
        self._file = SourceFile.of(path, copies)

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        return self._file.size

    def image_sources(self, split: str) -> list[SourceFile]:
        """The archive; only listing it tells whether it has the split."""
        return [self._file]

    def text_sources(self, split: str) -> list[SourceFile]:
        """Nothing: the archive has everything."""
        return []

    def images(self, split: str) -> Images:
        """The images of a split, in the order of the archive."""
        images = Images(Rows(), [], [])
        for member, wnid in self._members.images[split]:
            label = -1 if wnid is None else self._label_of(wnid)
            images.rows.add(member.file_name, label, 0, member.offset, member.size)
            images.packed.append(member.compressed_size if member.method == "deflated" else 0)
            images.crcs.append(member.crc)
        return images

    def text(self, name: str) -> bytes | None:
        """A text file, its CRC-32 checked."""
        member = self._members.texts.get(name)
        if member is None:
            return None
        fd = self._open()
        try:
            return zip_members.read(fd, self._file.path, member, limit=tiny.MAX_BYTES)
        finally:
            os.close(fd)

    def error(self, name: str, problem: str) -> SourceError:
        """The error, with the place of the member if it exists."""
        member = self._members.texts.get(name)
        if member is None:
            return ArchiveError(self._file.path, problem, member=self._members.root + name)
        return ArchiveError(
            self._file.path, problem, member=member.name, offset=member.header_offset
        )

    @functools.cached_property
    def _members(self) -> _Members:
        """All members, sorted by their role."""
        fd = self._open()
        try:
            members = zip_members.list_members(fd, self._file.path)
        finally:
            os.close(fd)
        root = self._root(members)
        split_of = {directory: split for split, directory in SPLITS.items()}
        images: dict[str, list[tuple[ZipMember, str | None]]] = {split: [] for split in SPLITS}
        texts: dict[str, ZipMember] = {}
        for member in members:
            if member.is_directory:
                continue
            name = member.name.removeprefix(root) if member.name.startswith(root) else None
            if name is None:
                raise self._unexpected(member, _expected_at(member.name, f"under {root}"))
            match = _IMAGE.fullmatch(name)
            boxes = _BOXES.fullmatch(name)
            for found in (match, boxes):
                if found is not None and found["wnid"] is not None:
                    self._check_class(member, found["wnid"])
            if match is not None:
                split = split_of[match["split"] or "train"]
                images[split].append((member, match["wnid"]))
            elif boxes is not None or name in (CLASS_LIST, ANNOTATIONS) or name in _IGNORED:
                texts[name] = member
            else:
                raise self._unexpected(member, _expected_at(name))
        return _Members(root, images, texts)

    def _root(self, members: Sequence[ZipMember]) -> str:
        """The path before `wnids.txt`, usually `tiny-imagenet-200/`."""
        lists = [member.name for member in members if member.file_name == CLASS_LIST]
        if not lists:
            raise ArchiveError(
                self._file.path,
                f"there is no {CLASS_LIST} in it, so it is not Tiny ImageNet; "
                "stage the official archive",
            )
        return min(lists, key=len).removesuffix(CLASS_LIST)

    def _check_class(self, member: ZipMember, wnid: str) -> None:
        try:
            self._label_of(wnid)
        except ValueError as error:
            raise self._unexpected(member, str(error)) from None

    def _unexpected(self, member: ZipMember, reason: str) -> ArchiveError:
        return ArchiveError(
            self._file.path,
            f"this member does not belong in the archive: {reason}; "
            "check that this is the official archive, unaltered",
            member=member.name,
            offset=member.header_offset,
        )

    def _open(self) -> int:
        fd = os.open(self._file.place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._file.check_unchanged(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd


class Folder(Contents):
    """`tiny-imagenet-200/`, the archive unpacked.

    Args:
        path: The folder.
        label_of: Gives the label of a wnid; raises ValueError for one that is not a class.

    Raises:
        SourceError: A file in its directories does not belong.
    """

    def __init__(self, path: Path, label_of: Callable[[str], int]):
        super().__init__(path)
        self._labels: dict[str, int] = {}
        there = self._entries("", {CLASS_LIST, *_IGNORED, *SPLITS.values()})
        self._splits = [split for split, directory in SPLITS.items() if directory in there]
        if "train" in self._splits:
            classes, others = listing.list_folders(path / "train")
            for name in others:
                raise self._unexpected(
                    f"train/{name}", "only folders such as n01443537 belong here"
                )
            for wnid in classes:
                try:
                    self._labels[wnid] = label_of(wnid)
                except ValueError as error:
                    raise self._unexpected(f"train/{wnid}", str(error)) from None
                self._entries(f"train/{wnid}", {"images", f"{wnid}_boxes.txt"})
        if "validation" in self._splits:
            self._entries("val", {"images", os.path.basename(ANNOTATIONS)})
        if "test" in self._splits:
            self._entries("test", {"images"})

    def image_sources(self, split: str) -> list[SourceFile]:
        """The directories of the images."""
        return folder_images.source_files(self.path / name for name in self._directories(split))

    def text_sources(self, split: str) -> list[SourceFile]:
        """The class list, and the existing files with boxes."""
        names = [CLASS_LIST]
        if split == "train":
            names += [f"train/{wnid}/{wnid}_boxes.txt" for wnid in self._labels]
        elif split == "validation":
            names.append(ANNOTATIONS)
        return folder_images.source_files(
            path for path in map(self.path.joinpath, names) if path.is_file()
        )

    def images(self, split: str) -> Images:
        """The images of a split, folder by folder, in each by name."""
        directory = SPLITS[split]
        folders = []
        sources = self.image_sources(split)
        labels = self._labels if split == "train" else {directory: -1}
        for position, (source, (name, label)) in enumerate(
            zip(sources, labels.items(), strict=True)
        ):
            number = _TRAIN_NUMBER if split == "train" else _NUMBER
            expected = _EXAMPLES[directory].format(wnid=name)
            row_of = functools.partial(_row_of, rf"{name}_{number}\.JPEG", expected, label)
            folders.append(ImageFolder(source, position, row_of))
        images = Images(Rows(), [], [])
        for batch in in_batches(folders, _FOLDERS_A_JOB):
            table = folder_images.folder_images(batch, lambda images, size: None)
            keys, labels_, files, _, sizes = (column.to_pylist() for column in table.columns)
            for row in zip(keys, labels_, files, sizes, strict=True):
                images.rows.add(*row[:3], WHOLE_FILE, row[3])
        images.packed.extend([0] * len(images.rows))
        images.crcs.extend([-1] * len(images.rows))
        return images

    def text(self, name: str) -> bytes | None:
        """A text file."""
        path = self.path / name
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode):
            raise self.error(name, "expected a plain file, found something else")
        with open(path, "rb") as file:
            return file.read(tiny.MAX_BYTES + 1)

    def error(self, name: str, problem: str) -> SourceError:
        """The error, with the path of the file."""
        return SourceError(f"{str(self.path / name)!r}: {problem}")

    def _directories(self, split: str) -> list[str]:
        if split not in self._splits:
            return []
        if split == "train":
            return [f"train/{wnid}/images" for wnid in self._labels]
        return [f"{SPLITS[split]}/images"]

    def _entries(self, directory: str, belong: set[str]) -> set[str]:
        """The names in a directory, which must be among those that belong there."""
        names = set(os.listdir(self.path / directory))
        for name in sorted(names - belong):
            inside = f"{directory}/{name}" if directory else name
            raise self._unexpected(inside, f"only {', '.join(sorted(belong))} belong here")
        return names

    def _unexpected(self, name: str, reason: str) -> SourceError:
        return SourceError(
            f"{str(self.path / name)!r} does not belong in the folder: {reason}; "
            "move it elsewhere, or stage the original archive"
        )


def _row_of(pattern: str, expected: str, label: int, name: str) -> tuple[str, int]:
    """Key and label of an image in a folder; see `ImageFolder.row_of`."""
    if re.fullmatch(pattern, name) is None:
        raise ValueError(f"only images from {expected} belong here")
    return name, label


def _expected_at(name: str, place: str = "") -> str:
    """The names that belong where this file is, for messages; `place` if that is known."""
    if name.startswith("__MACOSX/") or "/." in f"/{name}":
        return "it is a file of the system that packed the archive, not of the dataset"
    if place:
        return f"all of Tiny ImageNet is {place}"
    parts = name.split("/")
    directory = parts[0] if parts[0] in _EXAMPLES else None
    if directory is None or "images" not in parts[:-1]:
        return "no file of Tiny ImageNet has this name"
    wnid = parts[1] if directory == "train" else ""
    return f"only images from {_EXAMPLES[directory].format(wnid=wnid)} belong here"
