"""Decompresses a stream of any of four formats, and says where it is damaged.

>>> import bz2, io
>>> packed = bz2.compress(b"one ") + bz2.compress(b"two")
>>> format_of(packed), b"".join(pieces(io.BytesIO(packed).read, "bzip2"))
('bzip2', b'one two')
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable, Iterator
from typing import Any

from imagenet_builders.formats import gzip_stream, signatures
from imagenet_builders.formats.gzip_stream import PIECE_BYTES, READ_BYTES, StreamError

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}

_MAGIC_BYTES = max(map(len, _MAGIC))

# `xz -9` needs 65 MiB; what asks for more was made to take memory.
_XZ_MEMORY = 128 << 20


def format_of(head: bytes) -> str | None:
    """The format of compressed data: `gzip`, `bzip2`, `xz` or `zstd`; None for any other data.

    Args:
        head: The first bytes; eight are enough.
    """
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def pieces(read: Callable[[int], bytes], form: str) -> Iterator[bytes]:
    """The content of compressed data.

    Args:
        read: Gives the next bytes of the data, so many at most; none at their end.
        form: Their format, as `format_of` says it.

    Yields:
        At most `gzip_stream.PIECE_BYTES` at a time. Zeros at the end are padding.

    Raises:
        StreamError: They are cut off or damaged. Everything good before that was yielded.
    """
    if form == "gzip":
        return gzip_stream.pieces(read)
    if form == "zstd":
        return _zstd_pieces(read)
    return _python_pieces(read, form)


def _python_pieces(read: Callable[[int], bytes], form: str) -> Iterator[bytes]:
    """The content of bzip2 or xz data, of one or several streams."""
    data = b""
    end = 0

    def error(problem: str) -> StreamError:
        return StreamError(problem, end - len(data))

    while True:
        stream: Any = (
            bz2.BZ2Decompressor()
            if form == "bzip2"
            else lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        )
        while not stream.eof:
            if stream.needs_input and not data:
                data = read(READ_BYTES)
                end += len(data)
                if not data:
                    raise error(
                        f"the archive is cut off: it ends inside the {form} data; copy it again"
                    )
            try:
                piece = stream.decompress(data, PIECE_BYTES)
            except (OSError, lzma.LZMAError, ValueError) as caught:
                raise error(_damaged(form, caught)) from caught
            data = b""
            if piece:
                yield piece
        data = stream.unused_data.lstrip(b"\0")
        while len(data) < _MAGIC_BYTES and (more := read(READ_BYTES)):
            end += len(more)
            data = (data + more).lstrip(b"\0")
        if not data:
            return
        if format_of(data) != form:
            raise error(
                f"the {form} data have ended, and {signatures.described(data[: signatures.BYTES])} "
                "follows; something was appended or overwritten, compare it with the original"
            )


def _zstd_pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The content of zstd data, of one or several frames."""
    import pyarrow as pa

    source = _Readable(read)
    try:
        with pa.CompressedInputStream(pa.PythonFile(source, "r"), "zstd") as stream:
            while piece := stream.read(PIECE_BYTES):
                yield piece
    except (OSError, pa.ArrowException) as caught:
        if source.failed is not None:
            raise source.failed from None
        raise StreamError(_damaged("zstd", caught), source.end) from caught


def _damaged(form: str, error: Exception) -> str:
    detail = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"the {form} data are damaged or cut off here or a little before ({detail}); copy the "
        "archive again"
    )


class _Readable(io.RawIOBase):
    """What gives bytes, as a file."""

    def __init__(self, read: Callable[[int], bytes]):
        self._read = read
        self.end = 0
        # Arrow would make another error of it.
        self.failed: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._read(size)
        except Exception as error:
            self.failed = error
            raise
        self.end += len(data)
        return data
