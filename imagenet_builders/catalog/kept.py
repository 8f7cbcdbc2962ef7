"""What is kept beside a catalog, so that the next one need not read the datasets again.

`.kept/` in the site has a file for each page: the statistics and the last verdict, with what the
files of the dataset were like (`identity`). Others may write there, so nothing is taken from it but
numbers and text of the right types.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import hashlib
import itertools
import json
import os
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from imagenet_builders.catalog.model import Histogram, Verified
from imagenet_builders.catalog.survey import Surveyed
from imagenet_builders.files.regular import read_regular
from imagenet_builders.words import printable

FOLDER = ".kept"
"""The directory in a site."""

_VERSION = 1
_MAX_BYTES = 64 << 20

# Neither bytes nor images are more; what is drawn is computed with them.
_MAX_NUMBER = 10**15

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
        kept = value_of(Kept, document["kept"])
        _check(kept.surveyed)
        return kept
    except (OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return None


def _check(surveyed: Surveyed | None) -> None:
    """Makes sure that statistics can be drawn.

    Raises:
        ValueError: They are none that a survey finds.
    """
    seen: dict[str, tuple[float, ...]] = {}
    for split in surveyed.statistics if surveyed is not None else ():
        for name in ("sizes", "aspects", "boxes", "box_areas"):
            histogram: Histogram | None = getattr(split, name)
            if histogram is None:
                continue
            _check_edges(histogram.edges, len(histogram.counts))
            # Those of all splits are drawn together. A logarithmic axis has no zero.
            if seen.setdefault(name, histogram.edges) != histogram.edges or (
                name in ("sizes", "aspects") and any(histogram.counts) and not histogram.edges[0]
            ):
                raise ValueError(name)
        density = split.density
        _check_edges(density.width_edges, len(density.counts[0]) if density.counts else 0)
        _check_edges(density.height_edges, len(density.counts))
        if len({len(row) for row in density.counts}) > 1:
            raise ValueError(split.split)


def _check_edges(edges: Sequence[float], intervals: int) -> None:
    ascending = all(low < high for low, high in itertools.pairwise(edges))
    if not intervals or len(edges) != intervals + 1 or not ascending or edges[0] < 0:
        raise ValueError(edges)


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
    if kind is float and type(value) in (int, float) and abs(value) <= _MAX_NUMBER:
        return float(value)
    if kind is str and type(value) is str:
        return printable(value)
    if kind is bool and type(value) is bool:
        return value
    if kind is int and type(value) is int and 0 <= value <= _MAX_NUMBER:
        return value
    raise TypeError(kind)
