"""Unpacks a compressed block of a SquashFS image into no more bytes than it may have.

A block is at most a megabyte, but the stored bytes may be damaged or made to deceive, so every
decompressor here stops at its bound, and a block that does not end where its bytes end is refused.

Source: Linux, `fs/squashfs/squashfs_fs.h`, and the wrappers of squashfs-tools 4.5.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable
from typing import Protocol

from isal import igzip_lib, isal_zlib

from imagenet_builders.errors import ArchiveError, OptionError

Unpack = Callable[[bytes, int], bytes]
"""Takes a stored block and the most bytes that it may become; raises `BadBlockError`."""

# The dictionary of an xz block is at most a block, 1 MiB; the decoder needs little besides.
_XZ_MEMORY = 32 << 20

_MAKE_AGAIN = "make it again with `mksquashfs -comp zstd` (or gzip), or unpack it with unsquashfs"


class BadBlockError(Exception):
    """A block cannot be unpacked; its only argument says why."""


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def unpacker(image: str, compressor: int) -> Unpack:
    """A function that unpacks the blocks of an image.

    Args:
        image: Path of the image, for messages.
        compressor: Number of the compressor in the image's superblock.

    Returns:
        A function for one block; not for several threads at a time.

    Raises:
        OptionError: It needs a package that is not installed.
        ArchiveError: It is LZO, or not known.
    """
    try:
        make = _UNPACKERS[compressor]
    except KeyError:
        found = "LZO" if compressor == 3 else f"the unknown compressor {compressor}"
        raise ArchiveError(
            image,
            "expected a SquashFS image compressed with gzip, xz, zstd, lz4 or lzma, found "
            f"{found}; {_MAKE_AGAIN}",
            offset=20,
        ) from None
    try:
        return make()
    except ImportError as error:
        raise OptionError(
            f"{image}: to read this SquashFS image, the Python package {error.name!r} is needed, "
            "which is not installed; install it, or this package with its extra: '.[squashfs]'"
        ) from error


def _gzip() -> Unpack:
    return lambda data, limit: _one_stream(isal_zlib.decompressobj(), data, limit)


def _xz() -> Unpack:
    def unpack(data: bytes, limit: int) -> bytes:
        return _one_stream(lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), data, limit)

    return unpack


def _lzma() -> Unpack:
    def unpack(data: bytes, limit: int) -> bytes:
        return _one_stream(lzma.LZMADecompressor(lzma.FORMAT_ALONE, _XZ_MEMORY), data, limit)

    return unpack


def _one_stream(stream: _Stream, data: bytes, limit: int) -> bytes:
    try:
        unpacked = stream.decompress(data, limit + 1)
    except (igzip_lib.IsalError, lzma.LZMAError) as error:  # type: ignore[misc]  # A wrong stub.
        raise BadBlockError(str(error)) from None
    if len(unpacked) > limit:
        raise BadBlockError(f"it becomes more than {limit:,} bytes")
    if not stream.eof:
        raise BadBlockError("it is not complete")
    if stream.unused_data:
        raise BadBlockError(f"{len(stream.unused_data):,} bytes follow its end")
    return unpacked


def _zstd() -> Unpack:
    import zstandard

    context = zstandard.ZstdDecompressor()

    def unpack(data: bytes, limit: int) -> bytes:
        try:
            # zstd takes as much memory as the block claims, whatever the bound.
            size = zstandard.get_frame_parameters(data).content_size
            if limit < size != zstandard.CONTENTSIZE_UNKNOWN:
                raise BadBlockError(f"it becomes {size:,} bytes, more than {limit:,}")
            return context.decompress(data, max_output_size=limit, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise BadBlockError(str(error)) from None

    return unpack


def _lz4() -> Unpack:
    import lz4.block

    def unpack(data: bytes, limit: int) -> bytes:
        try:
            return bytes(lz4.block.decompress(data, uncompressed_size=limit))
        except lz4.block.LZ4BlockError as error:
            raise BadBlockError(str(error)) from None

    return unpack


_UNPACKERS: dict[int, Callable[[], Unpack]] = {1: _gzip, 2: _lzma, 4: _xz, 5: _lz4, 6: _zstd}
