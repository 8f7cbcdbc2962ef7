"""Tiny ImageNet as an archive: `tiny-imagenet-200.zip`, or a tar of the folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet.contents import Contents, Images
from imagenet_builders.datasets.tiny_imagenet.layouts import CLASS_LIST, SPLITS
from imagenet_builders.datasets.tiny_imagenet.names import (
    Role,
    expected_at,
    key_of,
    role_of,
    root_of,
)
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import tar, zip_members
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.sources import tar_images
from imagenet_builders.sources.rows import Rows, SourceFile, check_not_too_many, opened

# Said of an archive that holds what it should not.
_CHECK = "check that this is the official archive, unaltered"


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: Its path in the archive.
        offset: Of the first byte of its data in the archive.
        size: Bytes of the file itself.
        header_offset: Of the header in front of its data.
        packed: Bytes of its data in the archive, deflated; 0 if it is not deflated.
        crc: CRC-32 of the file itself; -1 if it is unknown.
        of_zip: The member of a zip archive that it is, or None.
    """

    name: str
    offset: int
    size: int
    header_offset: int
    packed: int = 0
    crc: int = -1
    of_zip: ZipMember | None = None


class _Members(NamedTuple):
    """The members of an archive by their roles; texts and all by their paths below the root."""

    root: str
    images: dict[str, list[tuple[Member, Role]]]
    texts: dict[str, Member]
    all: dict[str, Member]


class Archive(Contents):
    """Tiny ImageNet in one file.

    Args:
        file: The archive.
        label_of: Gives the label of a wnid; raises ValueError for one that is not a class.
        members_of: Lists the files in it: `zip_files` or `tar_files`.
    """

    def __init__(
        self,
        file: SourceFile,
        label_of: Callable[[str], int],
        members_of: Callable[[int, str], list[Member]],
    ):
        super().__init__(Path(file.path), label_of)
        self._file = file
        self._members_of = members_of

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        return self._file.size

    @property
    def texts(self) -> Collection[str]:
        """The paths of all text files, below the root."""
        return self._members.texts

    def image_sources(self, split: str) -> list[SourceFile]:
        """The archive; only listing it tells whether it has the split."""
        return [self._file]

    def text_sources(self, split: str) -> list[SourceFile]:
        """Nothing: the archive has everything."""
        return []

    def images(self, split: str) -> Images:
        """The images of a split, in the order of the archive."""
        images = Images(Rows(), [], [], [])
        for member, role in self._members.images[split]:
            name = member.name.rpartition("/")[2]
            images.rows.add(key_of(name), self.label(role), 0, member.offset, member.size, name)
            images.packed.append(member.packed)
            images.crcs.append(member.crc)
            images.paths.append(member.name.removeprefix(self._members.root))
        return images

    def counts(self) -> dict[str, int]:
        """The number of images of each split."""
        return {split: len(images) for split, images in self._members.images.items()}

    def classes(self, split: str) -> frozenset[str] | None:
        """The classes of the images of a split that their paths tell."""
        roles = (role for _, role in self._members.images[split])
        return frozenset(role.wnid for role in roles if role.wnid is not None) or None

    def tells_labels(self, split: str) -> bool:
        """Whether the path of every image of a split tells its class."""
        return all(role.wnid is not None for _, role in self._members.images[split])

    def text(self, name: str) -> bytes | None:
        """A text file; its CRC-32 is checked, where the archive has one."""
        member = self._members.texts.get(name)
        if member is None:
            return None
        with opened(self._file) as fd:
            if member.of_zip is not None:
                return zip_members.read(fd, self._file.path, member.of_zip, limit=tiny.MAX_BYTES)
            return os.pread(fd, min(member.size, tiny.MAX_BYTES + 1), member.offset)

    def error(self, name: str, problem: str) -> SourceError:
        """The error, with the place of the member if it exists."""
        member = self._members.all.get(name)
        if member is None:
            return ArchiveError(self._file.path, problem, member=self._members.root + name)
        return ArchiveError(
            self._file.path, problem, member=member.name, offset=member.header_offset
        )

    @functools.cached_property
    def _members(self) -> _Members:
        """All members, sorted by their role."""
        with opened(self._file) as fd:
            members = self._members_of(fd, self._file.path)
        root = self._root(members)
        found = _Members(root, {split: [] for split in SPLITS}, {}, {})
        for member in members:
            if not member.name.startswith(root):
                raise self._unexpected(member, expected_at(member.name, f"under {root}"))
            name = member.name.removeprefix(root)
            role = role_of(name)
            if role is None:
                raise self._unexpected(member, expected_at(name))
            try:
                self.label(role)
            except ValueError as error:
                raise self._unexpected(member, str(error)) from None
            first = found.all.setdefault(name, member)
            if first is not member:
                where = f"it is there twice, first at byte {first.header_offset:,}"
                raise self._unexpected(member, where)
            if role.split is None:
                found.texts[name] = member
            else:
                found.images[role.split].append((member, role))
        return found

    def _root(self, members: Sequence[Member]) -> str:
        """The path before `wnids.txt`, usually `tiny-imagenet-200/`; without it, before images."""
        names = [member.name for member in members]
        lists = [name for name in names if name.rpartition("/")[2] == CLASS_LIST]
        root = None if lists else next(filter(None.__ne__, map(root_of, names)), None)
        if root is not None:
            return root
        if not lists:
            raise ArchiveError(
                self._file.path,
                f"there is no {CLASS_LIST} in it, so it is not Tiny ImageNet; "
                "stage the official archive",
            )
        return min(lists, key=len).removesuffix(CLASS_LIST)

    def _unexpected(self, member: Member, reason: str) -> ArchiveError:
        return ArchiveError(
            self._file.path,
            f"this member does not belong in the archive: {reason}; {_CHECK}",
            member=member.name,
            offset=member.header_offset,
        )


def zip_files(fd: int, path: str) -> list[Member]:
    """The files in a zip archive.

    Args:
        fd: Open descriptor of the archive.
        path: Its path, for messages.

    Raises:
        ArchiveError: It is damaged.
    """
    return [
        Member(
            each.name,
            each.offset,
            each.size,
            each.header_offset,
            each.compressed_size if each.method == "deflated" else 0,
            each.crc,
            each,
        )
        for each in zip_members.list_members(fd, path)
        if not each.is_directory
    ]


def tar_files(fd: int, path: str) -> list[Member]:
    """The files in a tar archive.

    Args:
        fd: Open descriptor of the archive.
        path: Its path, for messages.

    Raises:
        ArchiveError: It is damaged, or holds something else than files and directories.
    """
    members = []
    for each in tar.walk(fd, path):
        if tar_images.file_name(path, each) is not None:
            # Some begin each name with `./`.
            name = "/".join(part for part in each.name.split("/") if part not in ("", "."))
            members.append(Member(name, each.offset, each.size, each.header_offset))
            check_not_too_many(path, len(members))
    return members
