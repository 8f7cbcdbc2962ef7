"""Lists the files of a SquashFS image, and reads each by one number; nothing is mounted.

A file is read without a look at any directory: its reference leads to its inode, and the inode to
its bytes. The listing must be consistent: inodes have the numbers and kinds that the directories
say, each directory is reached once, and as many inodes are reached as the image claims to have.
SquashFS has no checksum of its own (gzip and xz blocks have theirs), so a damaged byte of a file
that was stored uncompressed goes unnoticed here.

Source: Linux, `fs/squashfs/squashfs_fs.h`; it is called the on-disk format 4.0.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

from imagenet_builders.errors import ArchiveError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats.squashfs.files import FileReader
from imagenet_builders.formats.squashfs.inodes import (
    DIRECTORY,
    FILE,
    LONGEST,
    SYMLINK,
    Inode,
    parse_inode,
    read_inode,
)
from imagenet_builders.formats.squashfs.tables import COPY_AGAIN, METADATA_BYTES, Blocks, Cursor

_KINDS = {DIRECTORY: "directory", FILE: "file", SYMLINK: "symlink"}

_RUN = struct.Struct("<3I")  # entries less one, where their inodes are, number
_ENTRY = struct.Struct("<HhHH")  # offset of the inode, its number less the run's, type, name's size
_MAX_RUN = 256
_MAX_NAME = 256
_MAX_RUN_BYTES = _RUN.size + _MAX_RUN * (_ENTRY.size + _MAX_NAME)
# The size of a directory counts the entries `.` and `..`, which are not stored, as 3.
_UNSTORED = 3
_MAX_PATH = 4096

MAX_FOLDERS = 100_000
"""Bound on the directories that `SquashFSImage.folders` gives."""


class Member(NamedTuple):
    """A file, directory, link or device in an image.

    Attributes:
        path: From the image's root, with `/` between directories: `train/tench/x.JPEG`.
        kind: `file`, `directory`, `symlink`, or `other` (a device, pipe or socket).
        size: Bytes of a file; 0 for all else.
        reference: The number by which `SquashFSImage.read` finds it; less than 2**48.
    """

    path: str
    kind: str
    size: int
    reference: int


class SquashFSImage:
    """An open image, for one thread.

    It holds one descriptor, and at most 25 MiB of unpacked metadata and fragments.

    Args:
        path: The image.
        name: Its name in messages; None for its path.

    Attributes:
        path: Its name in messages.

    Raises:
        ArchiveError: It cannot be read, is no SquashFS image of version 4.0, or is cut off.
        OptionError: A package to unpack it is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None):
        self.path = name or os.fspath(path)
        try:
            self._fd = open_regular(path, follow=True)
        except OSError as error:
            raise ArchiveError(
                self.path, f"the file cannot be opened: {error.strerror or error}"
            ) from error
        try:
            self._blocks = Blocks(self._fd, self.path)
        except BaseException:
            os.close(self._fd)
            raise
        self._super = self._blocks.superblock
        self._files = FileReader(self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; the image is of no use afterwards."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fileno(self) -> int:
        """The descriptor, to see whether the file is the one that was listed."""
        return self._fd

    # --- reading --------------------------------------------------------------------------------

    def read(self, reference: int, size: int, member: str | None = None) -> bytes:
        """All bytes of a file.

        Args:
            reference: Of the file, from `Member`.
            size: Its bytes, from `Member`.
            member: Its path, for messages.

        Returns:
            Exactly `size` bytes.

        Raises:
            ArchiveError: The image is damaged, or has no such file of that size there; or it is
                larger than `MAX_FILE_BYTES`, or a bomb.
        """
        try:
            return self._files.read(reference, size)
        except ArchiveError as error:
            if member is None:
                raise
            raise ArchiveError(
                self.path, error.problem, member=member, offset=error.offset
            ) from error

    def read_into(self, reference: int, buffer: memoryview) -> bool:
        """Reads a file of the size of a buffer to there, if it is not packed and can be read.

        Args:
            reference: Of the file, from `Member`.
            buffer: Where to.

        Returns:
            Whether it is there now. If not, `read` gives it, or says what is wrong.
        """
        try:
            at = self._files.stored_at(reference, len(buffer))
            return at is not None and os.preadv(self._fd, (buffer,), at) == len(buffer)
        except (ArchiveError, OSError):
            return False

    def ranges(self, reference: int, size: int) -> list[tuple[int, int]]:
        """Where in the image the bytes of a file are, so that they can be asked for early.

        Args:
            reference: Of the file, from `Member`.
            size: Its bytes, from `Member`.

        Returns:
            Begin and length of each range that `read` will read; at most two.

        Raises:
            ArchiveError: As `read`.
        """
        return self._files.ranges(reference, size)

    # --- listing --------------------------------------------------------------------------------

    def members(self) -> Iterator[Member]:
        """Everything in the image but its root, each directory before what is in it.

        Yields:
            A member at a time: in each directory first what is no directory, by name, then the
            directories, by name. Only a caller that reads to the end knows that the list is whole.

        Raises:
            ArchiveError: The image is damaged, or a name is none of one file.
        """
        root = read_inode(self._blocks, self._super.root)
        if root.type != DIRECTORY:
            raise self._blocks.error(
                f"the root of the image is no directory; it is damaged, {COPY_AGAIN}", 32
            )
        reached = 1
        linked: set[int] = set()
        visited = {self._super.root}
        waiting = [("", root)]
        # As much as the table can hold, of blocks that became 3 bytes; directories that share their
        # entries would have more.
        table_bytes = self._super.directory_end - self._super.directory_table
        table_bytes = table_bytes // 3 * METADATA_BYTES
        while waiting:
            prefix, directory = waiting.pop()
            table_bytes -= directory.size
            if table_bytes < 0:
                raise self._damaged_directory(
                    prefix, directory, "its entries also belong to another directory"
                )
            inner: list[tuple[str, Inode]] = []
            for path, reference, inode in self._entries(prefix, directory):
                if inode.type == DIRECTORY:
                    if reference in visited:
                        raise self._damaged_directory(path, inode, "it is there twice")
                    visited.add(reference)
                    inner.append((path + "/", inode))
                    reached += 1
                elif inode.links == 1:
                    reached += 1
                elif inode.number not in linked:
                    linked.add(inode.number)
                    reached += 1
                if reached > self._super.inodes:
                    raise self._miscounted("more")
                size = inode.size if inode.type == FILE else 0
                yield Member(path, _KINDS.get(inode.type, "other"), size, reference)
            waiting += reversed(inner)
        if reached != self._super.inodes:
            raise self._miscounted(f"{reached:,}")

    def folders(self, is_wanted: Callable[[str], bool]) -> Iterator[str]:
        """The directories near the root, each before those that are in it.

        Args:
            is_wanted: Whether to look into a directory, given its path.

        Yields:
            Paths of directories, those of one directory by name.

        Raises:
            ArchiveError: The image is damaged, or there are more than `MAX_FOLDERS`.
        """
        waiting = [("", read_inode(self._blocks, self._super.root))]
        visited = {self._super.root}
        while waiting:
            prefix, directory = waiting.pop()
            inner: list[tuple[str, Inode]] = []
            for path, reference, inode in self._entries(prefix, directory):
                if inode.type != DIRECTORY:
                    continue
                if reference in visited:
                    raise self._damaged_directory(path, inode, "it is there twice")
                visited.add(reference)
                if len(visited) > MAX_FOLDERS:
                    raise self._blocks.error(
                        f"expected at most {MAX_FOLDERS:,} directories above those of images, "
                        "found more; check what it was made of",
                        0,
                    )
                yield path
                if is_wanted(path):
                    inner.append((path + "/", inode))
            waiting += reversed(inner)

    def _entries(self, prefix: str, directory: Inode) -> Iterator[tuple[str, int, Inode]]:
        """Path, reference and inode of each entry of one directory, by name."""
        left = directory.size - _UNSTORED
        if left <= 0:
            return
        table, end = self._super.directory_table, self._super.directory_end
        cursor = Cursor(self._blocks, table + directory.start, directory.offset, end)
        inode_end = self._super.directory_table
        previous = b""
        while left:
            window, begin = cursor.peek(min(left, _MAX_RUN_BYTES))
            stop = begin + min(left, _MAX_RUN_BYTES)
            at = begin + _RUN.size
            if at > stop:
                raise self._damaged_directory(prefix, directory, "it is cut off")
            count, start, first = _RUN.unpack_from(window, begin)
            if count >= _MAX_RUN:
                raise self._damaged_directory(prefix, directory, "its entries cannot be read")
            position = self._super.inode_table + start
            inodes, following = self._blocks.metadata(position, inode_end)
            for _ in range(count + 1):
                name_at = at + _ENTRY.size
                if name_at > stop:
                    raise self._damaged_directory(prefix, directory, "it is cut off")
                offset, step, kind, length = _ENTRY.unpack_from(window, at)
                at = name_at + length + 1
                raw = window[name_at:at]
                if at > stop or raw <= previous:
                    problem = "it is cut off" if at > stop else "its names are not in order"
                    raise self._damaged_directory(prefix, directory, problem)
                previous = raw
                if offset + LONGEST > len(inodes) and following < inode_end:
                    more, following = self._blocks.metadata(following, inode_end)
                    inodes += more
                inode = parse_inode(self._blocks, inodes, offset, position)
                if inode.number != first + step or inode.type != kind:
                    raise self._damaged_directory(
                        prefix, directory, "its inodes belong to other entries"
                    )
                yield prefix + self._name(raw, prefix, directory), start << 16 | offset, inode
            cursor.skip(at - begin)
            left -= at - begin

    def _name(self, raw: bytes, prefix: str, directory: Inode) -> str:
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            name = ""
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise self._damaged_directory(
                prefix, directory, f"it has a file with the impossible name {raw!r}"
            )
        if len(prefix) + len(name) > _MAX_PATH:
            raise self._damaged_directory(prefix[:100] + "...", directory, "its path is too long")
        return name

    def _damaged_directory(self, path: str, directory: Inode, problem: str) -> ArchiveError:
        return self._blocks.error(
            f"this directory is damaged ({problem}); {COPY_AGAIN}",
            min(self._super.directory_table + directory.start, self._super.bytes_used),
            path.rstrip("/") or "/",
        )

    def _miscounted(self, found: str) -> ArchiveError:
        return self._blocks.error(
            f"expected {self._super.inodes:,} files and directories, as the image says of itself, "
            f"found {found}; it is damaged, {COPY_AGAIN}",
            4,
        )


def list_files(path: str | os.PathLike[str], name: str | None = None) -> Iterator[Member]:
    """Everything in an image except its directories.

    Args:
        path: The image.
        name: Its name in messages; None for its path.

    Yields:
        Members, as `SquashFSImage.members` does. Only those of kind `file` have bytes to read.

    Raises:
        ArchiveError: The image cannot be read, or is damaged.
        OptionError: A package to unpack it is not installed.
    """
    with SquashFSImage(path, name) as image:
        for member in image.members():
            if member.kind != "directory":
                yield member
