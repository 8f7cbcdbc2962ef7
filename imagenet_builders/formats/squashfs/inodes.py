"""Parses the inodes of a SquashFS image: kind, size, and the place of the bytes.

Source: Linux, `fs/squashfs/squashfs_fs.h`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from imagenet_builders.formats.squashfs.tables import COPY_AGAIN, Blocks

DIRECTORY, FILE, SYMLINK = 1, 2, 3
"""Types of inodes; of those up to 7, the others are devices, pipes and sockets."""
NO_FRAGMENT = 0xFFFF_FFFF
"""The fragment of a file that has none."""

# A type from 8 on is the one 7 before it, with more fields.
_TYPES = 7

# Type, mode, owner, group, time, number; then what each type has.
_HEADER = struct.Struct("<4H2I")
_BASIC_DIRECTORY = struct.Struct("<16x2I2HI")  # start, links, size, offset, parent
_BASIC_FILE = struct.Struct("<16x4I")  # start, fragment, offset, size
_LONG_DIRECTORY = struct.Struct("<16x4I2HI")  # links, size, start, parent, indexes, offset, xattrs
_LONG_FILE = struct.Struct("<16x3Q4I")  # start, size, sparse, links, fragment, offset, xattrs
_OTHER = struct.Struct("<16xI")  # links

LONGEST = _LONG_FILE.size
"""Bytes of the longest inode, without what follows it."""


class Inode(NamedTuple):
    """The content of an inode.

    Attributes:
        type: `DIRECTORY`, `FILE`, `SYMLINK`, or another number up to 7.
        number: Its own, from 1 on.
        links: How many names it may have; 1 for a directory.
        size: Bytes of a file; of a directory, 3 more than its entries have.
        start: Where a file's blocks begin in the image; for a directory, the metadata block in
            which its entries begin, from the beginning of their table.
        offset: Where a file's end begins in its fragment, or a directory's entries in their block.
        fragment: Number of the fragment with a file's end, or `NO_FRAGMENT`.
        length: Bytes of a file's inode in front of the sizes of its blocks.
    """

    type: int
    number: int
    links: int
    size: int
    start: int
    offset: int
    fragment: int
    length: int


def read_inode(blocks: Blocks, reference: int) -> Inode:
    """The inode at a reference.

    Args:
        blocks: The image.
        reference: Where its metadata block is in their table, times 65,536, and where it is in it.

    Returns:
        The inode.

    Raises:
        ArchiveError: There is none.
    """
    table, end = blocks.superblock.inode_table, blocks.superblock.directory_table
    position, offset = table + (reference >> 16), reference & 0xFFFF
    data, following = blocks.metadata(position, end)
    if offset + LONGEST > len(data) and following < end:
        data += blocks.metadata(following, end)[0]
    return parse_inode(blocks, data, offset, position)


def parse_inode(blocks: Blocks, data: bytes, offset: int, position: int) -> Inode:
    """The inode at an offset of unpacked metadata that hold all of it.

    Args:
        blocks: The image, for messages.
        data: The metadata.
        offset: Where in them it begins.
        position: Where they are in the image, for messages.

    Returns:
        The inode.

    Raises:
        ArchiveError: There is none.
    """
    try:
        type_, _, _, _, _, number = _HEADER.unpack_from(data, offset)
        if type_ == FILE:
            start, fragment, begin, size = _BASIC_FILE.unpack_from(data, offset)
            return Inode(FILE, number, 1, size, start, begin, fragment, _BASIC_FILE.size)
        if type_ == DIRECTORY:
            start, _, size, begin, _ = _BASIC_DIRECTORY.unpack_from(data, offset)
            return Inode(DIRECTORY, number, 1, size, start, begin, 0, 0)
        if type_ == DIRECTORY + _TYPES:
            _, size, start, _, _, begin, _ = _LONG_DIRECTORY.unpack_from(data, offset)
            return Inode(DIRECTORY, number, 1, size, start, begin, 0, 0)
        if type_ == FILE + _TYPES:
            start, size, _, links, fragment, begin, _ = _LONG_FILE.unpack_from(data, offset)
            return Inode(FILE, number, links, size, start, begin, fragment, _LONG_FILE.size)
        if FILE < type_ <= 2 * _TYPES:
            (links,) = _OTHER.unpack_from(data, offset)
            return Inode((type_ - 1) % _TYPES + 1, number, links, 0, 0, 0, 0, 0)
    except struct.error:
        pass
    raise blocks.error(
        f"expected an inode {offset:,} bytes into this metadata block, found none; the image "
        f"is damaged, {COPY_AGAIN}",
        position,
    )
