"""What is kept beside a catalog, so that the next one need not read the datasets again.

`.kept/` in the site has a file for each page: the statistics and the last verdict, with what the
files of the dataset were like (`identity`). Others may write there, so nothing is taken from it but
numbers and text of the right types.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import hashlib
import json
import os
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from imagenet_builders.catalog.model import Verified
from imagenet_builders.catalog.survey import Surveyed
from imagenet_builders.files.regular import read_regular
from imagenet_builders.words import printable

FOLDER = ".kept"
"""The directory in a site."""

_VERSION = 1
_MAX_BYTES = 64 << 20

_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is kept of a dataset.

    Attributes:
        identity: What its files were like when it was surveyed; see `identity_of`.
        surveyed: What the survey found, or None.
        verified: What the last verification found, or None.
        verified_identity: What its files were like then.
    """

    identity: str
    surveyed: Surveyed | None
    verified: Verified | None
    verified_identity: str


def identity_of(directory: Path, files: Iterable[Sequence[Any]], seal: str = "") -> str:
    """Tells a dataset from what it was before.

    Args:
        directory: Its directory.
        files: Name, size and time of each of its files.
        seal: The digest of its provenance, or empty.
    """
    # However the user has named it.
    text = json.dumps([os.path.realpath(directory), seal, sorted(map(list, files))])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def read(site: Path, slug: str) -> Kept | None:
    """What an earlier catalog has kept of a dataset; None for nothing, or nothing sound.

    Args:
        site: The site.
        slug: The directory of the page.
    """
    try:
        document = json.loads(read_regular(site / FOLDER / f"{slug}.json", _MAX_BYTES))
        if document["version"] != _VERSION:
            return None
        return value_of(Kept, document["kept"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return None


def text_of(kept: Kept) -> bytes:
    """The file in which it is kept."""
    document = {"version": _VERSION, "kept": dataclasses.asdict(kept)}
    return json.dumps(document).encode()


def value_of(kind: type[_Value], value: Any) -> _Value:
    """A value of a type, from what JSON has of it; its text is printable.

    Args:
        kind: A dataclass, or a type as its fields have it.
        value: As `json` reads what `dataclasses.asdict` gave.

    Raises:
        TypeError: It is not of this type.
        ValueError: Likewise.
    """
    return _value_of(kind, value)  # type: ignore[no-any-return]


def _value_of(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise TypeError(kind)
        return kind(**{name: _value_of(hint, value[name]) for name, hint in hints.items()})
    if origin is types.UnionType:
        if value is None and type(None) in arguments:
            return None
        return _value_of(next(each for each in arguments if each is not type(None)), value)
    if origin is tuple and isinstance(value, list):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_value_of(arguments[0], each) for each in value)
        return tuple(_value_of(hint, each) for hint, each in zip(arguments, value, strict=True))
    if origin is collections.abc.Mapping and isinstance(value, dict):
        return {
            (int(key) if arguments[0] is int else printable(key)): _value_of(arguments[1], each)
            for key, each in value.items()
        }
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is str and type(value) is str:
        return printable(value)
    if kind in (int, bool) and type(value) is kind:
        return value
    raise TypeError(kind)
