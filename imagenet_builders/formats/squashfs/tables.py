"""Reads the superblock of a SquashFS image, and bytes of its tables and data, within bounds.

Nothing here knows of files and directories; `image` goes on from here. A table is a sequence of
metadata blocks, each 8 KiB before compression, and its content runs from one block into the next.

Source: Linux, `fs/squashfs/squashfs_fs.h`.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections import OrderedDict

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import signatures
from imagenet_builders.formats.squashfs.blocks import BadBlockError, unpacker

COPY_AGAIN = "copy the image again"

METADATA_BYTES = 8192
"""The most bytes of a metadata block, compressed or not."""
NO_TABLE = 0xFFFF_FFFF_FFFF_FFFF
"""The position of a table that the image does not have."""

# 16 MiB of unpacked metadata: the inodes of 400,000 files, or all of a split's where it is sorted.
_CACHED_BLOCKS = 2048

_SUPERBLOCK = struct.Struct("<4s4I6H8Q")
_MAX_BLOCK_LOG = 20
_MIN_BLOCK_LOG = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Superblock:
    """The content of the superblock; positions are bytes from the image's beginning.

    Attributes:
        inodes: Number of files, directories and all else.
        block_size: Bytes of a block of data, except the last of a file.
        fragments: Number of blocks that hold the ends of several files.
        compressor: Number of the compressor.
        root: Reference of the root directory's inode.
        bytes_used: Where the image ends; only padding may follow.
        inode_table: Where the table of inodes begins, and the data end.
        directory_table: Where the table of directories begins, and that of inodes ends.
        directory_end: Where at the latest the table of directories ends.
        fragment_table: Where the index of the table of fragments is.
    """

    inodes: int
    block_size: int
    fragments: int
    compressor: int
    root: int
    bytes_used: int
    inode_table: int
    directory_table: int
    directory_end: int
    fragment_table: int


def parse_superblock(image: str, data: bytes, file_size: int) -> Superblock:
    """Reads a superblock, and checks that the image can be what it says.

    Args:
        image: Path of the image, for messages.
        data: The first 96 bytes of the file, or fewer.
        file_size: Bytes of the file.

    Returns:
        The superblock.

    Raises:
        ArchiveError: It is no SquashFS image, one of a version that is not read, cut off, or
            damaged.
    """
    if data[:4] == b"sqsh":
        raise _not_read(image, "a big-endian one of version 3 or before")
    if len(data) < SUPERBLOCK_BYTES or data[:4] != b"hsqs":
        what = signatures.described(data) if data else "an empty file"
        other = signatures.foreign(data, signatures.SQUASHFS)
        action = "check what it is"
        if other is not None:
            what, action = other.name, other.action
        raise ArchiveError(
            image,
            f"expected a SquashFS image, found {what}; {action}",
            offset=0,
        )
    fields = _SUPERBLOCK.unpack(data)
    _, inodes, _, block_size, fragments, compressor, block_log, _, _, major, minor = fields[:11]
    root, bytes_used, ids, xattrs = fields[11:15]
    inode_table, directory_table, fragment_table, exports = fields[15:]
    if (major, minor) != (4, 0):
        raise _not_read(image, f"one of version {major}.{minor}")
    if bytes_used > file_size:
        raise ArchiveError(
            image,
            f"expected {bytes_used:,} bytes, as the image says of itself, found {file_size:,}; its "
            f"copy is not complete, {COPY_AGAIN}",
            offset=file_size,
        )
    others = [at for at in (fragment_table, exports, ids, xattrs) if at != NO_TABLE]
    directory_end = min([at for at in others if at >= directory_table] + [bytes_used])
    sound = (
        _MIN_BLOCK_LOG <= block_log <= _MAX_BLOCK_LOG
        and block_size == 1 << block_log
        and SUPERBLOCK_BYTES <= inode_table < directory_table < directory_end
        and all(directory_table < at < bytes_used for at in others)
        and inodes > 0
    )
    if fragments:
        sound = sound and fragment_table + (fragments + 511) // 512 * 8 <= bytes_used
    if not sound:
        raise ArchiveError(
            image, f"the superblock of this SquashFS image is damaged; {COPY_AGAIN}", offset=0
        )
    return Superblock(
        *(inodes, block_size, fragments, compressor, root, bytes_used),
        *(inode_table, directory_table, directory_end, fragment_table),
    )


SUPERBLOCK_BYTES = _SUPERBLOCK.size
"""Bytes of a superblock, 96; data may begin behind it."""


def _not_read(image: str, found: str) -> ArchiveError:
    return ArchiveError(
        image,
        f"expected a SquashFS image of version 4.0, found {found}; make it again with mksquashfs "
        "of this decade, or unpack it with the unsquashfs that goes with it",
        offset=0,
    )


class Blocks:
    """The bytes of an open image, by position, unpacked where they are packed.

    Args:
        fd: Open descriptor of the image, which the caller closes.
        image: Its path, for messages.

    Attributes:
        superblock: What the image says of itself.
    """

    def __init__(self, fd: int, image: str):
        self._fd = fd
        self._image = image
        self._cache: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        try:
            file_size = os.fstat(fd).st_size
            data = os.pread(fd, SUPERBLOCK_BYTES, 0)
        except OSError as error:
            raise self.unreadable(error, 0) from error
        self.superblock = parse_superblock(image, data, file_size)
        self._unpack = unpacker(image, self.superblock.compressor)

    def error(self, problem: str, offset: int, member: str | None = None) -> ArchiveError:
        """An error that names the problem and its place in the image."""
        return ArchiveError(self._image, problem, member=member, offset=offset)

    def unreadable(self, error: OSError, offset: int) -> ArchiveError:
        """The error for a read that the storage refused."""
        return self.error(f"the file cannot be read: {error.strerror or error}", offset)

    def read(self, position: int, size: int) -> bytes:
        """Exactly `size` bytes from `position` on, as stored.

        Raises:
            ArchiveError: They cannot be read.
        """
        parts: list[bytes] = []
        left = size
        while left:
            at = position + size - left
            try:
                part = os.pread(self._fd, left, at)
            except OSError as error:
                raise self.unreadable(error, at) from error
            if not part:
                raise self.error("the file became shorter while it was read", at)
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def unpack(self, data: bytes, limit: int, position: int) -> bytes:
        """The unpacked bytes of a packed block, at most `limit`.

        Raises:
            ArchiveError: It is damaged.
        """
        try:
            return self._unpack(data, limit)
        except BadBlockError as error:
            raise self.error(
                f"the compressed block here is damaged ({error}); {COPY_AGAIN}", position
            ) from None

    def metadata(self, position: int, end: int) -> tuple[bytes, int]:
        """A metadata block, unpacked.

        Args:
            position: Where it begins.
            end: Where its table ends.

        Returns:
            Its bytes, at least one and at most 8 KiB, and where the next block begins.

        Raises:
            ArchiveError: There is none, or it is damaged.
        """
        known = self._cache.get(position)
        if known is not None:
            self._cache.move_to_end(position)
            return known
        stored = self.read(position, max(0, min(2 + METADATA_BYTES, end - position)))
        header = int.from_bytes(stored[:2], "little")
        size = header & 0x7FFF
        if not 0 < size <= METADATA_BYTES or 2 + size > len(stored):
            raise self.error(
                f"expected a metadata block here, in a table that ends at byte {end:,}; the image "
                f"is damaged, {COPY_AGAIN}",
                position,
            )
        data = stored[2 : 2 + size]
        if not header & 0x8000:
            data = self.unpack(data, METADATA_BYTES, position)
            if not data:
                raise self.error(f"the metadata block here is empty; {COPY_AGAIN}", position)
        if len(self._cache) >= _CACHED_BLOCKS:
            self._cache.popitem(last=False)
        self._cache[position] = known = (data, position + 2 + size)
        return known


class Cursor:
    """Bytes of a table from one place on, through as many metadata blocks as they fill.

    Args:
        blocks: The image.
        position: Where the metadata block begins in which the bytes begin.
        offset: Where they begin in that block, unpacked.
        end: Where the table ends.
    """

    def __init__(self, blocks: Blocks, position: int, offset: int, end: int):
        self._blocks = blocks
        self._end = end
        self._at = offset
        self.position = position
        self._data, self._next = blocks.metadata(position, end)
        if offset > len(self._data):
            raise blocks.error(
                f"expected more than {offset:,} bytes in this metadata block, found "
                f"{len(self._data):,}; the image is damaged, {COPY_AGAIN}",
                position,
            )

    def peek(self, size: int) -> tuple[bytes, int]:
        """Bytes that hold the next `size` ones, and where in them these begin.

        Raises:
            ArchiveError: The table does not have as many.
        """
        if len(self._data) - self._at < size:
            parts = [self._data[self._at :]]
            have = len(parts[0])
            while have < size:
                self.position = self._next
                data, self._next = self._blocks.metadata(self._next, self._end)
                parts.append(data)
                have += len(data)
            self._data, self._at = b"".join(parts), 0
        return self._data, self._at

    def skip(self, size: int) -> None:
        """Moves behind bytes that were peeked at."""
        self._at += size
