"""Inflates a gzip file of one or several members, and names the place of any damage.

>>> import gzip, io
>>> file = io.BytesIO(gzip.compress(b"one ") + gzip.compress(b"two") + bytes(512))
>>> b"".join(pieces(file.read))
b'one two'
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from imagenet_builders.formats import signatures

READ_BYTES = 1 << 20
"""How many bytes are read at a time."""
PIECE_BYTES = 4 << 20
"""The most bytes of a piece of the content."""

_MAGIC = b"\x1f\x8b"
_FINE_BYTES = 512


class StreamError(Exception):
    """Compressed data are damaged or cut off.

    Attributes:
        problem: What is wrong.
        offset: Where in the file.
    """

    def __init__(self, problem: str, offset: int):
        super().__init__(problem)
        self.problem, self.offset = problem, offset


def pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The content of a gzip file.

    Args:
        read: Gives the next bytes of the file, so many at most; none at its end.

    Yields:
        At most `PIECE_BYTES` at a time. Zeros behind a member, as of a tape, are padding.

    Raises:
        StreamError: It is no gzip file, cut off, or damaged. Everything good before that was
            yielded.
    """
    return _Reader(read).pieces()


class _Reader:
    def __init__(self, read: Callable[[int], bytes]):
        self._read = read
        self._data = b""  # What was read and not yet inflated.
        self._end = 0  # Where it ends in the file.

    def pieces(self) -> Iterator[bytes]:
        while self._member_begins():
            yield from self._member()

    def _more(self) -> bool:
        more = self._read(READ_BYTES)
        self._end += len(more)
        self._data += more
        return bool(more)

    def _error(self, problem: str) -> StreamError:
        return StreamError(problem, self._end - len(self._data))

    def _member_begins(self) -> bool:
        """Whether a member begins here; if not, the file ends here."""
        is_first = not self._end
        while len(self._data) < len(_MAGIC) and self._more():
            self._data = self._data if is_first else self._data.lstrip(b"\0")
        if self._data.startswith(_MAGIC):
            return True
        if not is_first and not self._data:
            return False
        other = signatures.recognise(self._data[: signatures.BYTES])
        what = signatures.described(self._data[: signatures.BYTES])
        if not self._data:
            problem = "expected a gzip file, found no bytes at all; copy it again"
        elif is_first and other == signatures.TAR:
            problem = (
                "expected a gzip file, found a tar archive; the name of a tar that is not "
                "compressed must end in .tar"
            )
        elif is_first and other is not None:
            problem = f"expected a gzip file, found {other.name}; {other.action}"
        elif is_first:
            problem = f"expected a gzip file, found {what}; check that this is the right file"
        else:
            problem = (
                f"the gzip data have ended, and {what} follows; something was appended or "
                "overwritten, compare it with the original"
            )
        raise self._error(problem)

    def _member(self) -> Iterator[bytes]:
        begin = self._end - len(self._data)
        inflater = zlib.decompressobj(wbits=31)
        while not inflater.eof:
            if not self._data and not self._more():
                raise self._error(
                    "the archive is cut off: it ends inside the gzip data; copy it again"
                )
            before = inflater.copy()
            try:
                piece = inflater.decompress(self._data, PIECE_BYTES)
            except zlib.error as error:
                yield from self._good_beginning(before)
                raise self._error(_explain(error, begin)) from error
            self._data = inflater.unconsumed_tail
            yield piece
        self._data = inflater.unused_data.lstrip(b"\0")

    def _good_beginning(self, inflater: zlib._Decompress) -> Iterator[bytes]:
        """Inflates damaged data in small steps: for the place, and for all that is good before."""
        while self._data:
            try:
                piece = inflater.decompress(self._data[:_FINE_BYTES])
            except zlib.error:
                return
            self._data = self._data[_FINE_BYTES:]
            yield piece


def _explain(error: zlib.error, begin: int) -> str:
    detail = str(error).rpartition(": ")[2]
    if "check" in detail:
        return (
            f"the checksum at the end of the gzip data is wrong ({detail}), so there is a changed "
            f"byte somewhere between byte {begin:,} and here; copy the archive again"
        )
    return f"the gzip data are damaged here or a little before ({detail}); copy the archive again"
