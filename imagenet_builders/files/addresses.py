"""Tells paths of a file system from addresses, such as those of object stores."""

from __future__ import annotations

import os
import re
from typing import Any

# Of two slashes, pathlib leaves one.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_INSTEAD = {
    "manual_dir": "copy the archives to a file system, or mount them",
    "data_dir": "build into a directory, then copy the finished dataset there",
    "scratch_dir": "choose one on a local disk",
}


def place_problem(name: str, path: Any) -> str | None:
    """What is wrong with a path that is to be one of a file system, or None.

    Args:
        name: Which path it is: `manual_dir`, `data_dir` or `scratch_dir`.
        path: What was given.
    """
    if not isinstance(path, str | os.PathLike):
        return f"must be the path of a directory, not {path!r}"
    text = os.fspath(path)
    if not text:
        return "must name a directory, not be empty"
    if not _ADDRESS.match(text):
        return None
    scheme, _, rest = text.partition(":/")
    instead = f"write /{rest.lstrip('/')}" if scheme.lower() == "file" else _INSTEAD[name]
    return f"must be a directory in a file system, not {text}; {instead}"
