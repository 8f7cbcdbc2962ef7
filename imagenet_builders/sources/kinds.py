"""The kinds of sources: what images may be staged as, one row a kind.

A row says in which module the kind's value is (see `kind.Kind`), and modules are loaded when they
are asked for, so that to know the names of the kinds costs nothing. A new kind is such a module,
and a row here or one call of `register`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from imagenet_builders.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagenet_builders.locate.found import Found
    from imagenet_builders.locate.search import Layout, Tree
    from imagenet_builders.sources.kind import Kind


class _Row(NamedTuple):
    """Where the row of a kind is: a module with a `KIND`, and the extra that it needs."""

    module: str
    extra: str = ""


_ROWS = {
    "tar": _Row("tar_archives"),
    "tar.gz": _Row("gzip_archives"),
    "class-tars": _Row("class_tars"),
    "squashfs": _Row("squashfs", extra="squashfs"),
    "webdataset": _Row("webdataset"),
    "tfrecord": _Row("tfrecord"),
    "parquet": _Row("parquet"),
    "zip": _Row("zip_archives"),
    "npz": _Row("npz_files"),
    "folders": _Row("folders"),
    "built": _Row("built"),
}
_registered: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Makes a kind of source known: to builds, to `check`, and as a value of `--source`.

    Args:
        kind: The kind. It stays known as long as the process lives.

    Raises:
        ValueError: Another one has its name.
    """
    if kind.name in _ROWS or _registered.get(kind.name, kind) != kind:
        raise ValueError(f"there is a kind of source {kind.name!r} already")
    _registered[kind.name] = kind


def names() -> tuple[str, ...]:
    """The names of all kinds of sources."""
    return (*_ROWS, *_registered)


def kind(name: str) -> Kind:
    """The kind of a name.

    Raises:
        OptionError: There is none, or what it needs is not installed.
    """
    if name in _registered:
        return _registered[name]
    if name not in _ROWS:
        raise OptionError(f"source must be one of {', '.join(names())}, not {name!r}")
    row = _ROWS[name]
    try:
        found: Kind = importlib.import_module(f"{__package__}.{row.module}").KIND
    except ImportError as error:
        extra = f", or this package with its extra: '.[{row.extra}]'" if row.extra else ""
        raise OptionError(
            f"to read a source of the kind {name}, the Python package {error.name!r} is needed, "
            f"which is not installed; install it{extra}"
        ) from error
    return found


def find(
    tree: Tree, layouts: Sequence[Layout], part: str, *, split: str, what: str = "images"
) -> tuple[Found, ...]:
    """All that provides a part of a dataset, whatever its kind.

    Args:
        tree: Where to look.
        layouts: The table, the preferred layout first.
        part: The part, as in `Layout.names`.
        split: Name of the split that it is.
        what: `images` or `boxes`.

    Returns:
        Everything that was found, the preferred one first.
    """
    from imagenet_builders.locate import search

    return search.find(
        tree, layouts, part, lambda name: kind(name).recognise, split=split, what=what
    )


def layouts() -> tuple[Layout, ...]:
    """The layouts of ILSVRC2012 that registered kinds bring."""
    return tuple(layout for each in _registered.values() for layout in each.layouts)
