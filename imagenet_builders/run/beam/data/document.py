"""Documents: JSON for what has a structure, and behind it the bytes that it counts.

Processes that exchange files read each other's documents, never each other's pickles: to read one
makes numbers, texts, lists and bytes, and nothing else. What these become is for `schema` to say.

A document is `_MAGIC`, the length of its JSON as it is stored and as it is, as 64-bit numbers, the
JSON, and all bytes in the order in which the JSON counts them. JSON is stored deflated if that
makes it smaller, but not if it becomes very much smaller: so what is read cannot be a thousand
times as large as what was stored.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

_MAGIC = b"IBdoc\x001\n"
_LENGTHS = struct.Struct("<QQ")
_HEAD_BYTES = len(_MAGIC) + _LENGTHS.size

MOST_DEFLATED = 64
"""JSON is not stored in less than this part of its length."""

_WORTH_DEFLATING = 4096


class DocumentError(ValueError):
    """Data that are no document, or not the one that was expected; the words say what they are."""


class Writer:
    """Writes a document.

    Args:
        allowed: The packages that it may name functions and classes of; None allows all.

    Attributes:
        packages: The packages whose functions and classes it names.
    """

    def __init__(self, allowed: frozenset[str] | None = None) -> None:
        self.allowed = allowed
        self.packages: set[str] = set()
        self._parts: list[bytes | memoryview] = []
        # Values stay alive as long as their identities are of use.
        self._seen: dict[int, tuple[int, object]] = {}

    def add(self, part: bytes | memoryview) -> int:
        """Takes bytes that belong to the document; returns their number, which stands for them."""
        self._parts.append(part)
        return len(part)

    def mark(self) -> tuple[int, int]:
        """What `back_to` goes back to."""
        return len(self._parts), len(self._seen)

    def back_to(self, mark: tuple[int, int]) -> None:
        """Forgets what was added and remembered since a `mark`."""
        parts, seen = mark
        del self._parts[parts:]
        for identity in [*self._seen][seen:]:
            del self._seen[identity]

    def number_of(self, value: object) -> int | None:
        """The number that `remember` gave a value; None if it was not remembered."""
        seen = self._seen.get(id(value))
        return None if seen is None else seen[0]

    def remember(self, value: object) -> None:
        """Numbers a value that was written, so that it need not be written again."""
        self._seen[id(value)] = (len(self._seen), value)

    def finish(self, structure: object) -> bytes:
        """The document.

        Args:
            structure: What JSON can hold.
        """
        plain = json.dumps(structure, separators=(",", ":")).encode("ascii")
        stored = plain
        if len(plain) >= _WORTH_DEFLATING:
            deflated = zlib.compress(plain, 1)
            if len(plain) <= MOST_DEFLATED * len(deflated) < MOST_DEFLATED * len(plain):
                stored = deflated
        head = _MAGIC + _LENGTHS.pack(len(stored), len(plain))
        return b"".join([head, stored, *self._parts])


class Reader:
    """Reads a document.

    Args:
        data: The document.
        packages: The packages that it may name functions and classes of.

    Attributes:
        packages: As given.
        structure: What its JSON holds.

    Raises:
        DocumentError: It is none.
    """

    def __init__(self, data: bytes, packages: frozenset[str] = frozenset()):
        self.packages = packages
        if not data.startswith(_MAGIC) or len(data) < _HEAD_BYTES:
            raise DocumentError("no document of this version")
        stored, plain = _LENGTHS.unpack_from(data, len(_MAGIC))
        if stored > len(data) - _HEAD_BYTES or not stored <= plain <= MOST_DEFLATED * stored:
            raise DocumentError("a document whose lengths are wrong")
        self._rest = memoryview(data)[_HEAD_BYTES + stored :]
        self._made: list[object] = []
        text = memoryview(data)[_HEAD_BYTES : _HEAD_BYTES + stored]
        try:
            self.structure: Any = json.loads(_inflated(text, plain))
        except (ValueError, RecursionError, zlib.error) as error:
            raise DocumentError(f"a document that cannot be read ({error})") from None

    def take(self, size: object) -> memoryview:
        """The next bytes that belong to the document.

        Raises:
            DocumentError: There are not so many, or it is no number.
        """
        if type(size) is not int or not 0 <= size <= len(self._rest):
            raise DocumentError("a document that counts more bytes than it has")
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def remember(self, value: object) -> None:
        """Numbers a value that was read; see `Writer.remember`."""
        self._made.append(value)

    def recall(self, number: object) -> object:
        """The value of a number.

        Raises:
            DocumentError: There is none.
        """
        if type(number) is not int or not 0 <= number < len(self._made):
            raise DocumentError("a document that refers to what is not in it")
        return self._made[number]

    def finish(self) -> None:
        """Makes sure that all of it was read.

        Raises:
            DocumentError: Bytes are left.
        """
        if self._rest:
            raise DocumentError("a document with bytes that it does not count")


def _inflated(text: memoryview, plain: int) -> bytes:
    if len(text) == plain:
        return bytes(text)
    inflate = zlib.decompressobj()
    content = inflate.decompress(text, plain + 1)
    if len(content) != plain or not inflate.eof or inflate.unused_data:
        raise DocumentError("a document whose lengths are wrong")
    return content
