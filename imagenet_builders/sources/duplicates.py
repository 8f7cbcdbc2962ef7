"""Images that are there twice: under one name in two places, or in two spellings of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.sources.rows import WHOLE_FILE, Rows, SourceFile


class Where(NamedTuple):
    """Where an image is.

    Attributes:
        path: The file that it is in, or the directory.
        offset: Its first byte there, or `WHOLE_FILE`.
        name: Its name there, which may be spelled in another way than its key.
    """

    path: str
    offset: int
    name: str


def find(rows: Rows, files: Sequence[SourceFile]) -> SourceError | None:
    """The error of the first image that is there twice, or None.

    For some thousand rows; a plan finds duplicates among millions.

    Args:
        rows: The rows of images.
        files: The files that they point into.
    """
    first: dict[str, int] = {}
    for row, key in enumerate(rows.keys):
        if first.setdefault(key, row) != row:
            one, other = (
                Where(files[rows.files[at]].path, rows.offsets[at], rows.names.get(at, key))
                for at in (first[key], row)
            )
            return error(key, one, other)
    return None


def error(key: str, first: Where, second: Where) -> SourceError:
    """The error of an image that is there twice, which names both places.

    Args:
        key: Its key.
        first: The first place in the order of the source.
        second: The other one.
    """
    if second.offset == WHOLE_FILE:
        other = repr(os.path.join(first.path, first.name))
    else:
        other = f"{first.name} in {first.path} at byte {first.offset:,}"
    problem = f"the image {key} is there twice: first as {other}; every image must be there once"
    if second.offset == WHOLE_FILE:
        return SourceError(f"{os.path.join(second.path, second.name)!r}: {problem}")
    return ArchiveError(second.path, problem, member=second.name, offset=second.offset)
