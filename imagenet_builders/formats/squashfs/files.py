"""Reads the bytes of a file in a SquashFS image: its blocks, and its tail in a fragment.

Sizes and places that the image claims are checked before memory is taken or bytes are read.

Source: Linux, `fs/squashfs/squashfs_fs.h`.
"""

from __future__ import annotations

import struct
from collections import OrderedDict

from imagenet_builders.formats.squashfs.inodes import FILE, NO_FRAGMENT, Inode, read_inode
from imagenet_builders.formats.squashfs.tables import COPY_AGAIN, SUPERBLOCK_BYTES, Blocks, Cursor

MAX_FILE_BYTES = 1 << 30
"""Bound on a file that is read whole; images have a few megabytes."""

# Of the inode of a file of the basic type: type, start, fragment, size; its blocks' sizes follow.
_INODE = struct.Struct("<H14x2I4xI")
_FRAGMENT = struct.Struct("<QII")  # start, size, unused
_FRAGMENTS_A_BLOCK = 512
_CACHED_FRAGMENTS = 4

# The bit in the size of a block that says that it is stored uncompressed.
_STORED_PLAIN = 1 << 24
_SUSPICIOUS_RATIO = 100
_SUSPICIOUS_BYTES = 64 << 20


class FileReader:
    """Reads files of one image, for one thread.

    Args:
        blocks: The image.
    """

    def __init__(self, blocks: Blocks):
        self._blocks = blocks
        self._super = blocks.superblock
        self._fragments: OrderedDict[int, bytes] = OrderedDict()

    def read(self, reference: int, size: int) -> bytes:
        """All bytes of a file; see `SquashFSImage.read`."""
        inode, count, end = self._parts(reference, size)
        parts = self._data_blocks(reference, inode, count, size - end)
        if end:
            parts.append(self._from_fragment(inode, end))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stored_at(self, reference: int, size: int) -> int | None:
        """Where all bytes of a file lie, if they do so one after the other and are not packed.

        Nothing is wrong with such a file, as far as can be seen. Of others, `read` tells.
        """
        known = self._super
        table, block_size = known.inode_table, known.block_size
        data = self._blocks.metadata(table + (reference >> 16), known.directory_table)[0]
        at = reference & 0xFFFF
        fields = at + _INODE.size
        more, last = divmod(size - 1, block_size)
        end = fields + 4 * more + 4
        if end > len(data) or not 0 < size <= MAX_FILE_BYTES:
            return None
        type_, start, fragment, found = _INODE.unpack_from(data, at)
        sizes = (_STORED_PLAIN + last + 1).to_bytes(4, "little")
        if more:
            sizes = (_STORED_PLAIN + block_size).to_bytes(4, "little") * more + sizes
        is_plain = (
            type_ == FILE
            and found == size
            and fragment == NO_FRAGMENT
            and data[fields:end] == sizes
            and SUPERBLOCK_BYTES <= start <= table - size
        )
        return start if is_plain else None

    def ranges(self, reference: int, size: int) -> list[tuple[int, int]]:
        """Where the bytes of a file are; see `SquashFSImage.ranges`."""
        at = self.stored_at(reference, size)
        if at is not None:
            return [(at, size)]
        inode, count, end = self._parts(reference, size)
        found = []
        if count:
            fields = self._block_sizes(reference, inode, count)
            found.append((inode.start, sum(field & (_STORED_PLAIN - 1) for field in fields)))
        if end:
            start, field = self._fragment(inode.fragment)
            if field < _STORED_PLAIN:
                found.append((start, field))
            else:
                found.append((start + inode.offset, end))
        return found

    def _parts(self, reference: int, size: int) -> tuple[Inode, int, int]:
        """A file's inode, the number of its blocks, and the bytes of it that are in a fragment."""
        inode = read_inode(self._blocks, reference)
        position = self._super.inode_table + (reference >> 16)
        if inode.type != FILE or inode.size != size:
            found = f"one of {inode.size:,}" if inode.type == FILE else "something else"
            raise self._blocks.error(
                f"expected the inode of a file of {size:,} bytes, found {found}; the image is "
                f"damaged or changed, {COPY_AGAIN} and build again",
                position,
            )
        if size > MAX_FILE_BYTES:
            raise self._blocks.error(
                f"expected an image file of at most {MAX_FILE_BYTES:,} bytes, found one of "
                f"{size:,}; this is not what its name says, or the SquashFS image is damaged",
                position,
            )
        block_size = self._super.block_size
        count, end = divmod(size, block_size)
        if inode.fragment == NO_FRAGMENT:
            count, end = count + bool(end), 0
        return inode, count, end

    def _block_sizes(self, reference: int, inode: Inode, count: int) -> tuple[int, ...]:
        """The stored size of each block, with the bit of one that is stored uncompressed."""
        table = self._super.inode_table
        position, end = table + (reference >> 16), self._super.directory_table
        cursor = Cursor(self._blocks, position, reference & 0xFFFF, end)
        data, at = cursor.peek(inode.length + 4 * count)
        fields = struct.unpack_from(f"<{count}I", data, at + inode.length)
        stored = sum(field & (_STORED_PLAIN - 1) for field in fields)
        sound = (
            all(field & (_STORED_PLAIN - 1) <= self._super.block_size for field in fields)
            and max(fields) < 2 * _STORED_PLAIN
            and _STORED_PLAIN not in fields
            and inode.start >= SUPERBLOCK_BYTES
            and inode.start + stored <= table
        )
        if not sound:
            raise self._blocks.error(
                f"the blocks of this file are not where they can be; the image is damaged, "
                f"{COPY_AGAIN}",
                cursor.position,
            )
        return fields

    def _data_blocks(self, reference: int, inode: Inode, count: int, size: int) -> list[bytes]:
        """The part of a file that is not in a fragment: `size` bytes in `count` blocks."""
        if not count:
            return []
        fields = self._block_sizes(reference, inode, count)
        block_size = self._super.block_size
        stored = sum(field & (_STORED_PLAIN - 1) for field in fields)
        if size > max(_SUSPICIOUS_BYTES, _SUSPICIOUS_RATIO * stored):
            raise self._blocks.error(
                f"{stored:,} bytes that become {size:,}, as in a bomb; the image is damaged or "
                "made to deceive",
                self._super.inode_table + (reference >> 16),
            )
        data = self._blocks.read(inode.start, stored) if stored else b""
        parts: list[bytes] = []
        at, left = 0, size
        for field in fields:
            length = field & (_STORED_PLAIN - 1)
            expected = min(left, block_size)
            if not field:
                part = bytes(expected)
            else:
                part = data if length == len(data) else data[at : at + length]
                if field < _STORED_PLAIN:
                    part = self._blocks.unpack(part, expected, inode.start + at)
            if len(part) != expected:
                raise self._blocks.error(
                    f"expected a block of {expected:,} bytes here, found {len(part):,}; the image "
                    f"is damaged, {COPY_AGAIN}",
                    inode.start + at,
                )
            parts.append(part)
            at += length
            left -= expected
        return parts

    def _from_fragment(self, inode: Inode, size: int) -> bytes:
        """The tail of a file, out of a fragment, which holds the tails of several files."""
        start, field = self._fragment(inode.fragment)
        stored = field & (_STORED_PLAIN - 1)
        have = stored
        block = b""
        if field < _STORED_PLAIN:
            known = self._fragments.get(start)
            if known is None:
                if len(self._fragments) >= _CACHED_FRAGMENTS:
                    self._fragments.popitem(last=False)
                packed = self._blocks.read(start, stored)
                known = self._blocks.unpack(packed, self._super.block_size, start)
                self._fragments[start] = known
            block = known
            have = len(block)
        if inode.offset + size > have:
            raise self._blocks.error(
                f"expected a fragment of at least {inode.offset + size:,} bytes here, found "
                f"{have:,}; the image is damaged, {COPY_AGAIN}",
                start,
            )
        if field < _STORED_PLAIN:
            return block[inode.offset : inode.offset + size]
        return self._blocks.read(start + inode.offset, size)

    def _fragment(self, number: int) -> tuple[int, int]:
        """The place of a fragment, and its size with the bit of one that is stored uncompressed."""
        index = self._super.fragment_table + number // _FRAGMENTS_A_BLOCK * 8
        problem_at = index
        if number < self._super.fragments:
            block = int.from_bytes(self._blocks.read(index, 8), "little")
            if self._super.directory_table < block < self._super.fragment_table:
                offset = number % _FRAGMENTS_A_BLOCK * _FRAGMENT.size
                cursor = Cursor(self._blocks, block, offset, self._super.fragment_table)
                start, field, _ = _FRAGMENT.unpack_from(*cursor.peek(_FRAGMENT.size))
                problem_at = cursor.position
                stored = field & (_STORED_PLAIN - 1)
                if (
                    0 < stored <= self._super.block_size
                    and field < 2 * _STORED_PLAIN
                    and start >= SUPERBLOCK_BYTES
                    and start + stored <= self._super.inode_table
                ):
                    return start, field
        raise self._blocks.error(
            f"fragment {number:,} of {self._super.fragments:,} is not where it can be; the image "
            f"is damaged, {COPY_AGAIN}",
            min(problem_at, self._super.bytes_used),
        )
