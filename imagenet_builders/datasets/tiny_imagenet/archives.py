"""Tiny ImageNet as an archive: `tiny-imagenet-200.zip`, or a tar of the folder."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.datasets.tiny_imagenet import boxes as tiny
from imagenet_builders.datasets.tiny_imagenet.contents import Contents, Images
from imagenet_builders.datasets.tiny_imagenet.layouts import CLASS_LIST, SPLITS
from imagenet_builders.datasets.tiny_imagenet.names import (
    Role,
    are_alike,
    expected_at,
    key_of,
    role_of,
    root_of,
)
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import tar, zip_columns, zip_members
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.sources import tar_images
from imagenet_builders.sources.rows import Rows, SourceFile, check_not_too_many, opened

_NO_CRC = -1

# Said of an archive that holds what it should not.
_CHECK = "check that this is the official archive, unaltered"


class Members(NamedTuple):
    """The files in an archive, column by column, in the order of the archive.

    Attributes:
        names: The path of each in the archive.
        offsets: Of the first byte of its data in the archive.
        sizes: Bytes of the file itself.
        header_offsets: Of the header in front of its data.
        packed: Bytes of its data in the archive, deflated; 0 if it is not deflated.
        crcs: CRC-32 of the file itself; -1 if it is unknown.
    """

    names: list[str]
    offsets: list[int]
    sizes: list[int]
    header_offsets: list[int]
    packed: list[int]
    crcs: list[int]


class _Run(NamedTuple):
    """Images that lie in one folder, one after another in the archive.

    Attributes:
        wnid: The class that the path tells, or None.
        label: Its label, or `NO_LABEL`.
        begin: Position of the first in `Members`.
        end: Position behind the last.
    """

    wnid: str | None
    label: int
    begin: int
    end: int


class _Sorted(NamedTuple):
    """The members of an archive by their roles.

    Attributes:
        root: The path before `wnids.txt`.
        members: All of them.
        images: Split to its images.
        texts: The path of each text below the root, to its position in `Members`.
    """

    root: str
    members: Members
    images: dict[str, list[_Run]]
    texts: dict[str, int]


class Archive(Contents):
    """Tiny ImageNet in one file.

    Args:
        file: The archive.
        label_of: Gives the label of a wnid; raises ValueError for one that is not a class.
        members_of: Lists the files in it: `zip_files`, `zip_files_at_once` or `tar_files`.
    """

    def __init__(
        self,
        file: SourceFile,
        label_of: Callable[[str], int],
        members_of: Callable[[int, str], Members],
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
        return self._sorted.texts

    def image_sources(self, split: str) -> list[SourceFile]:
        """The archive; only listing it tells whether it has the split."""
        return [self._file]

    def text_sources(self, split: str) -> list[SourceFile]:
        """Nothing: the archive has everything."""
        return []

    def images(self, split: str) -> Images:
        """The images of a split, in the order of the archive."""
        root, members = self._sorted.root, self._sorted.members
        images = Images(Rows(), [], [], [])
        for _, label, begin, end in self._sorted.images[split]:
            of_run = slice(begin, end)
            folder = _folder_of(members.names[begin])
            names = [name[len(folder) :] for name in members.names[of_run]]
            images.rows.add_all(
                list(map(key_of, names)),
                label,
                0,
                members.offsets[of_run],
                members.sizes[of_run],
                names,
            )
            images.packed.extend(members.packed[of_run])
            images.crcs.extend(members.crcs[of_run])
            images.paths.extend([folder[len(root) :] + name for name in names])
        return images

    def counts(self) -> dict[str, int]:
        """The number of images of each split."""
        return {
            split: sum(run.end - run.begin for run in runs)
            for split, runs in self._sorted.images.items()
        }

    def classes(self, split: str) -> frozenset[str] | None:
        """The classes of the images of a split that their paths tell."""
        wnids = {run.wnid for run in self._sorted.images[split]}
        return frozenset(wnid for wnid in wnids if wnid is not None) or None

    def tells_labels(self, split: str) -> bool:
        """Whether the path of every image of a split tells its class."""
        return all(run.wnid is not None for run in self._sorted.images[split])

    def text(self, name: str) -> bytes | None:
        """A text file; its CRC-32 is checked, where the archive has one."""
        at = self._sorted.texts.get(name)
        if at is None:
            return None
        path, members = self._file.path, self._sorted.members
        with opened(self._file) as fd:
            if members.crcs[at] == _NO_CRC:
                return os.pread(fd, min(members.sizes[at], tiny.MAX_BYTES + 1), members.offsets[at])
            member = ZipMember(
                members.names[at],
                "deflated" if members.packed[at] else "stored",
                members.offsets[at],
                members.packed[at] or members.sizes[at],
                members.sizes[at],
                members.crcs[at],
                members.header_offsets[at],
            )
            return zip_members.read(fd, path, member, limit=tiny.MAX_BYTES)

    def error(self, name: str, problem: str) -> SourceError:
        """The error, with the place of the member if it exists."""
        root, members = self._sorted.root, self._sorted.members
        if root + name not in members.names:
            return ArchiveError(self._file.path, problem, member=root + name)
        offset = members.header_offsets[members.names.index(root + name)]
        return ArchiveError(self._file.path, problem, member=root + name, offset=offset)

    @functools.cached_property
    def _sorted(self) -> _Sorted:
        """All members, sorted by their role."""
        with opened(self._file) as fd:
            members = self._members_of(fd, self._file.path)
        names = members.names
        found = _Sorted(self._root(names), members, {split: [] for split in SPLITS}, {})
        end = 0
        for folder, group in itertools.groupby(names, _folder_of):
            begin, end = end, end + len(list(group))
            files = [name[len(folder) :] for name in names[begin:end]]
            alike = are_alike(folder.removeprefix(found.root), files)
            step = end - begin if alike else 1
            for first in range(begin, end, step):
                role, label = self._role(found, first)
                if role.split is None:
                    found.texts[names[first].removeprefix(found.root)] = first
                else:
                    found.images[role.split].append(_Run(role.wnid, label, first, first + step))
        self._check_once(members)
        return found

    def _role(self, found: _Sorted, at: int) -> tuple[Role, int]:
        """The role of a member, and the label that it tells."""
        name = found.members.names[at]
        if not name.startswith(found.root):
            reason = expected_at(name, f"under {found.root}")
            raise self._unexpected(found.members, at, reason)
        name = name.removeprefix(found.root)
        role = role_of(name)
        if role is None:
            raise self._unexpected(found.members, at, expected_at(name))
        try:
            return role, self.label(role)
        except ValueError as error:
            raise self._unexpected(found.members, at, str(error)) from None

    def _check_once(self, members: Members) -> None:
        """Refuses a path that is there twice."""
        if len(set(members.names)) == len(members.names):
            return
        seen: dict[str, int] = {}
        for at, name in enumerate(members.names):
            first = seen.setdefault(name, at)
            if first != at:
                where = f"it is there twice, first at byte {members.header_offsets[first]:,}"
                raise self._unexpected(members, at, where)

    def _root(self, names: Sequence[str]) -> str:
        """The path before `wnids.txt`, usually `tiny-imagenet-200/`; without it, before images."""
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

    def _unexpected(self, members: Members, at: int, reason: str) -> ArchiveError:
        return ArchiveError(
            self._file.path,
            f"this member does not belong in the archive: {reason}; {_CHECK}",
            member=members.names[at],
            offset=members.header_offsets[at],
        )


def zip_files(fd: int, path: str) -> Members:
    """The files in a zip archive.

    Args:
        fd: Open descriptor of the archive.
        path: Its path, for messages.

    Raises:
        ArchiveError: It is damaged.
    """
    members = [each for each in zip_members.list_members(fd, path) if not each.is_directory]
    return Members(
        [each.name for each in members],
        [each.offset for each in members],
        [each.size for each in members],
        [each.header_offset for each in members],
        [each.compressed_size if each.method == "deflated" else 0 for each in members],
        [each.crc for each in members],
    )


def zip_files_at_once(fd: int, path: str) -> Members:
    """The same, with NumPy: a seventh of the time where the archive has nothing unusual."""
    found = zip_columns.usual_members(fd, path)
    if found is None:
        return zip_files(fd, path)
    return Members(
        found.names,
        found.offsets.tolist(),
        found.sizes.tolist(),
        found.header_offsets.tolist(),
        (found.compressed_sizes * found.deflated).tolist(),
        found.crcs.tolist(),
    )


def tar_files(fd: int, path: str) -> Members:
    """The files in a tar archive.

    Args:
        fd: Open descriptor of the archive.
        path: Its path, for messages.

    Raises:
        ArchiveError: It is damaged, or holds something else than files and directories.
    """
    members = Members([], [], [], [], [], [])
    for each in tar.walk(fd, path):
        if tar_images.file_name(path, each) is not None:
            # Some begin each name with `./`.
            name = "/".join(part for part in each.name.split("/") if part not in ("", "."))
            members.names.append(name)
            members.offsets.append(each.offset)
            members.sizes.append(each.size)
            members.header_offsets.append(each.header_offset)
            check_not_too_many(path, len(members.names))
    count = len(members.names)
    return members._replace(packed=[0] * count, crcs=[_NO_CRC] * count)


def _folder_of(name: str) -> str:
    """The path of the folder of a file, with the last slash."""
    return name[: name.rfind("/") + 1]
