"""Plain values: those that say themselves what they are."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.run.beam.data.named import NotDataError


class Codec(abc.ABC):
    """Writes values of a type into documents, and reads them."""

    @abc.abstractmethod
    def write(self, value: Any, out: Writer) -> Any:
        """A value as what JSON can hold.

        Raises:
            NotDataError: It is of another type.
        """

    @abc.abstractmethod
    def read(self, document: Any, parts: Reader) -> Any:
        """The value that was written.

        Raises:
            DocumentError: It is none of the type.
        """

    def write_many(self, values: Sequence[Any], out: Writer) -> Any:
        """Several values, in less space than each by itself if possible."""
        return [self.write(value, out) for value in values]

    def read_many(self, document: Any, parts: Reader) -> list[Any]:
        """The values that `write_many` wrote."""
        return [self.read(each, parts) for each in items(document)]


def items(document: Any) -> list[Any]:
    """What should be a list.

    Raises:
        DocumentError: It is none.
    """
    if not isinstance(document, list):
        raise DocumentError(f"{described(document)} where a list belongs")
    return document


def refused(value: object, expected: str) -> NotDataError:
    """The error about a value of another type than is expected."""
    kind = type(value)
    return NotDataError(f"of type {kind.__module__}.{kind.__qualname__}, not {expected}")


def described(document: Any) -> str:
    """What was found, in a word for messages."""
    words = {dict: "an object", list: "a list", str: "a text", type(None): "nothing"}
    return words.get(type(document), "a number")


class Plain(Codec):
    """Numbers, texts, bytes, paths, and lists, tuples and dictionaries of such."""

    def write(self, value: Any, out: Writer) -> Any:
        """See `Codec.write`."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind is list:
            return {"list": self.write_many(value, out)}
        if kind is tuple:
            return {"tuple": self.write_many(value, out)}
        if kind is dict:
            return {
                "keys": self.write_many(list(value), out),
                "values": self.write_many(list(value.values()), out),
            }
        if kind in (bytes, bytearray, memoryview):
            return {"bytes": out.add(bytes(value))}
        if isinstance(value, PurePath):
            return {"path": str(value)}
        raise refused(value, "a number, a text, bytes, or a list, tuple or dictionary of such")

    def read(self, document: Any, parts: Reader) -> Any:
        """See `Codec.read`."""
        if not isinstance(document, dict | list):
            return document
        match document:
            case {"list": inner, **more} if not more:
                return self.read_many(inner, parts)
            case {"tuple": inner, **more} if not more:
                return tuple(self.read_many(inner, parts))
            case {"keys": keys, "values": values, **more} if not more:
                try:
                    return dict(
                        zip(self.read_many(keys, parts), self.read_many(values, parts), strict=True)
                    )
                except (TypeError, ValueError) as error:
                    raise DocumentError(f"keys that are none ({error})") from None
            case {"bytes": size, **more} if not more:
                return bytes(parts.take(size))
            case {"path": str(text), **more} if not more:
                return Path(text)
        raise DocumentError(f"{described(document)} where a plain value belongs")


PLAIN = Plain()
"""The one value of this class."""
