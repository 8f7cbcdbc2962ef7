"""Inspects one staged file: its size, its first and its last bytes, and no image.

That finds what goes wrong most often: a copy that was cut off or still runs, a web page in place of
the archive, missing permissions.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from imagenet_builders.check.first_bytes import first_bytes
from imagenet_builders.files.regular import NotAFileError, open_regular
from imagenet_builders.locate.official import OfficialArchive
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import (
    ERROR,
    WARNING,
    Inspection,
    Problem,
    Wrong,
)
from imagenet_builders.sources.unpacking import is_compressed
from imagenet_builders.words import size_text

_MAX_GROUPS = 16

# A file with fewer blocks than this part of its size is not all on this disk.
_ALLOCATED = 0.5
_NEVER_SPARSE_BELOW = 1 << 20


def inspect_file(path: Path, kind: str, official: OfficialArchive | None) -> Inspection:
    """Inspects a file.

    Args:
        path: The file.
        kind: Kind of the source, as in `Found.kind`.
        official: The facts about the official file of this name, or None.

    Returns:
        Its size, its problems, and the names of its members where it has a directory.
    """
    names: tuple[str, ...] | None = None
    packed = False
    try:
        fd = open_regular(path, follow=True)
    except NotAFileError as error:
        found = str(error.strerror).removeprefix("it is ")
        action = "stage the archive itself"
        return Inspection(path, None, (Problem(ERROR, str(path), "a file", found, "", action),))
    except OSError as error:
        return Inspection(path, None, (unreadable(path, error),))
    try:
        status = os.fstat(fd)
        size = status.st_size
        if not size:
            wrong: Wrong | None = Wrong(
                _official_size(official) or "an archive",
                "0 bytes",
                "a download or copy that failed at its beginning, or ran out of quota",
                "copy it again",
            )
        else:
            wrong, names = kinds.kind(kind).inspect(path, fd, size)
            # The official size is then that of what it unpacks to.
            packed = path.suffix.lower() == ".tar" and is_compressed(fd)
    except OSError as error:
        return Inspection(path, None, (unreadable(path, error),))
    finally:
        os.close(fd)
    if wrong is not None:
        return Inspection(path, size, (_damaged(path, size, official, wrong),))
    odd = None if packed else _odd_size(path, size, official)
    odd = odd or _not_all_here(path, status)
    return Inspection(path, size, (odd,) if odd is not None else (), names)


def unreadable(path: Path, error: OSError) -> Problem:
    """The problem of a file or directory that cannot be read."""
    cause = ""
    action = "check the path and the file system it is on"
    if isinstance(error, PermissionError):
        cause = "its permissions, or those of a directory above it, do not let you read it"
        action = "ask its owner for the permission to read it, or to add you to its group"
        groups = len(os.getgroups())
        if groups > _MAX_GROUPS:
            cause += (
                f"; or it is on NFS, which counts only {_MAX_GROUPS} groups, and you are in "
                f"{groups}"
            )
            action += "; on NFS, be in fewer groups (`newgrp`), or ask for an account that is"
    elif isinstance(error, FileNotFoundError):
        cause = "a symbolic link that leads nowhere, or the file was moved just now"
        begins = first_bytes(path)
        if begins.leads_to:
            cause, action = f"it is {begins.words}", begins.action
    return Problem(ERROR, str(path), "a file that can be read", _reason(error), cause, action)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _official_size(official: OfficialArchive | None) -> str:
    if official is None:
        return ""
    if official.size is not None:
        return f"{official.size:,} bytes"
    # The page's `13GB` and `1.1T`, as sizes are written here.
    words = re.sub(r"(?<=[0-9])([KMGT])B?$", r" \1B", official.size_text or "")
    return f"about {words}" if words else ""


def _damaged(path: Path, size: int, official: OfficialArchive | None, wrong: Wrong) -> Problem:
    expected, cause = wrong.expected, wrong.cause
    if official is not None and official.size is not None and size:
        expected += f"; the official one has {official.size:,} bytes"
        if size < official.size:
            share = f"it has {size:,} bytes, {100 * size / official.size:.1f} % of the official"
            cause = f"{cause}; {share}" if cause else share
    return Problem(ERROR, str(path), expected, wrong.found, cause, wrong.action)


def _odd_size(path: Path, size: int, official: OfficialArchive | None) -> Problem | None:
    """The problem of a whole file whose size is not the official one, or None."""
    if official is None or official.has_size(size) is not False:
        return None
    known = official.size
    cause = "a subset or another edition under the official name"
    if known is not None and size >= known:
        cause = "another edition under the official name, or packed again"
    elif known is not None:
        cause += f" ({100 * size / known:.1f} % of the official bytes)"
    # Of other archives the end was looked at.
    if path.name.endswith((".gz", ".tgz")) and (known is None or size < known):
        cause += ", or a copy that was cut off"
    return Problem(
        WARNING,
        str(path),
        f"{_official_size(official)}, the official size",
        f"{size:,} bytes",
        cause,
        "what is in it is built as it is; if it should be the official archive, compare its hash "
        "(--hash)",
    )


def _not_all_here(path: Path, status: os.stat_result) -> Problem | None:
    """The problem of a file whose blocks are mostly not on the disk, or None."""
    size = status.st_size
    with contextlib.suppress(AttributeError):
        there = status.st_blocks * 512
        if size >= _NEVER_SPARSE_BELOW and there < size * _ALLOCATED:
            return Problem(
                WARNING,
                str(path),
                f"{size_text(size)} on disk",
                f"{size_text(there)} on disk, the rest are holes",
                "an archive that was moved to tape, or a download that is not done yet",
                "recall it from tape, or compare its hash (--hash)",
            )
    return None
