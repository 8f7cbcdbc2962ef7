"""A look at one staged file: its size, its first and its last bytes, and no image.

That is enough to find what goes wrong most often: a copy that was cut off or is still under way, a
web page in place of the archive, a file that may not be read.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import tar_header, zip_directory
from imagenet_builders.formats.tar import MAX_PADDING
from imagenet_builders.locate.official import OfficialArchive
from imagenet_builders.sources.inspection import (
    COPY_AGAIN,
    ERROR,
    WARNING,
    Inspection,
    Problem,
    Wrong,
)
from imagenet_builders.words import size_text

_END_OF_TAR = 1024
_TAIL_BYTES = 16 << 10
_MAX_GROUPS = 16

# A file with fewer blocks than this part of its size is not all on this disk.
_ALLOCATED = 0.5
_NEVER_SPARSE_BELOW = 1 << 20

# Superblock of SquashFS 4.0. Source: squashfs-tools, squashfs_fs.h.
_SQUASHFS_MAGIC = b"hsqs"
_SQUASHFS_BYTES_USED = struct.Struct("<40xQ")


def inspect_file(path: Path, kind: str, official: OfficialArchive | None) -> Inspection:
    """Looks at a file.

    Args:
        path: The file.
        kind: How it would be read, as in `Found.kind`.
        official: What is known of the official file of this name.

    Returns:
        What there is to say.
    """
    names: tuple[str, ...] | None = None
    try:
        # A FIFO would wait for somebody to write.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return Inspection(path, None, (unreadable(path, error),))
    try:
        status = os.fstat(fd)
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            kind_of_file = "a directory" if stat.S_ISDIR(status.st_mode) else "no plain file"
            wrong: Wrong | None = Wrong("a file", kind_of_file, "", "stage the archive itself")
        elif not size:
            wrong = Wrong(
                _official_size(official) or "an archive",
                "0 bytes",
                "a download or copy that failed at its beginning, or ran out of quota",
                "remove it and copy it again",
            )
        else:
            wrong, names = _content(path, kind, fd, size)
    except OSError as error:
        return Inspection(path, None, (unreadable(path, error),))
    finally:
        os.close(fd)
    if wrong is not None:
        return Inspection(path, size, (_damaged(path, size, official, wrong),))
    odd = _odd_size(path, size, official) or _not_all_here(path, status)
    return Inspection(path, size, (odd,) if odd is not None else (), names)


def unreadable(path: Path, error: OSError) -> Problem:
    """The problem of a file or directory that cannot be read."""
    cause = ""
    action = "look at the path and at the file system it is on"
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
    return Problem(ERROR, str(path), "a file that can be read", _reason(error), cause, action)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _content(
    path: Path, kind: str, fd: int, size: int
) -> tuple[Wrong | None, tuple[str, ...] | None]:
    """What is wrong with the bytes, and the names in the archive's directory if it has one."""
    name = path.name.lower()
    if name.endswith((".zip", ".npz")):
        return _zip(path, fd)
    if name.endswith((".tar.gz", ".tgz")):
        return _gzip(fd), None
    if name.endswith(".tar"):
        return _tar(fd, size), None
    look_at: Callable[[int, int], Wrong | None] | None = _BY_KIND.get(kind)
    return (look_at(fd, size) if look_at else None), None


def _tar(fd: int, size: int) -> Wrong | None:
    block = os.pread(fd, tar_header.BLOCK, 0)
    expected = "a tar archive"
    if not any(block):
        return Wrong(
            expected,
            "zeros where the first header should be",
            "a copy into a file that was made at its full size first, which is not done yet or "
            "broke off",
        )
    if not _is_header(block):
        return Wrong(expected, *_foreign(block))
    tail = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    if any(tail[-_END_OF_TAR:]) or len(tail) < _END_OF_TAR:
        odd = "" if size % tar_header.BLOCK == 0 else f" (no multiple of {tar_header.BLOCK})"
        return Wrong(
            "a tar archive that ends in two blocks of zeros",
            f"{size:,} bytes{odd}, and others at the end",
            "the copy was cut off or is not done yet, or something was appended",
        )
    zeros = MAX_PADDING + _END_OF_TAR
    if not any(tail) and size > zeros and not any(os.pread(fd, zeros, size - zeros)):
        return Wrong(
            "a tar archive with an end",
            f"{size:,} bytes, of which the last million and more are zeros",
            "a copy into a file that was made at its full size first, which is not done yet or "
            "broke off",
        )
    return None


def _is_header(block: bytes) -> bool:
    return len(block) == tar_header.BLOCK and tar_header.has_right_checksum(block)


def _foreign(block: bytes) -> tuple[str, str, str]:
    """Found, cause and action, from the words that a build has for a file that is no tar."""
    said = tar_header.describe_foreign(block)
    found, _, rest = said.removeprefix("expected a tar archive, found ").partition(";")
    first, _, cause = found.partition(", ")
    return first, cause, rest.strip() or COPY_AGAIN


def _gzip(fd: int) -> Wrong | None:
    block = os.pread(fd, tar_header.BLOCK, 0)
    # Archives of boxes may be plain tars whatever their name says; a build says if another is.
    if block.startswith(b"\x1f\x8b") or _is_header(block):
        return None
    if not any(block):
        return Wrong(
            "gzip data",
            "zeros at the beginning",
            "a copy into a file that was made at its full size first, which is not done yet",
        )
    return Wrong("a gzip-compressed tar archive", *_foreign(block))


def _zip(path: Path, fd: int) -> tuple[Wrong | None, tuple[str, ...] | None]:
    try:
        place = zip_directory.Place(fd, str(path), 0, None, None)
        position, size, count = zip_directory.find_directory(place)
        entries = zip_directory.read_directory(place, position, size, count)
    except ArchiveError as error:
        at = "" if error.offset is None else f", at byte {error.offset:,}"
        return Wrong(
            "a zip archive with its directory at the end",
            f"{error.problem}{at}",
            "the copy was cut off, is not done yet, or was damaged",
        ), None
    return None, tuple(entry.filename for entry in entries)


def _squashfs(fd: int, size: int) -> Wrong | None:
    block = os.pread(fd, 96, 0)
    if not block.startswith(_SQUASHFS_MAGIC) or len(block) < _SQUASHFS_BYTES_USED.size:
        return Wrong("a SquashFS image", f"data that begin with {block[:8]!r}")
    (used,) = _SQUASHFS_BYTES_USED.unpack_from(block)
    if used > size:
        return Wrong(
            f"a SquashFS image of {used:,} bytes, as it says itself",
            f"{size:,} bytes",
            "the copy was cut off or is not done yet",
        )
    return None


def _tfrecord(fd: int, size: int) -> Wrong | None:
    length = os.pread(fd, 12, 0)
    if len(length) < 12 or int.from_bytes(length[:8], "little") + 16 > size:
        return Wrong(
            "records, each with its length in front",
            f"{size:,} bytes that begin with {length[:8]!r}",
            "the copy was cut off, or this is no TFRecord file",
        )
    return None


_BY_KIND: dict[str, Callable[[int, int], Wrong | None]] = {
    "tar": _tar,
    "class-tars": _tar,
    "webdataset": _tar,
    "squashfs": _squashfs,
    "tfrecord": _tfrecord,
}


def _official_size(official: OfficialArchive | None) -> str:
    if official is None:
        return ""
    if official.size is not None:
        return f"{official.size:,} bytes"
    return f"about {official.size_text}" if official.size_text else ""


def _damaged(path: Path, size: int, official: OfficialArchive | None, wrong: Wrong) -> Problem:
    expected, cause = wrong.expected, wrong.cause
    if official is not None and official.size is not None and size:
        expected += f"; the official one has {official.size:,} bytes"
        if size < official.size:
            share = f"it has {size:,} bytes, {100 * size / official.size:.1f} % of the official"
            cause = f"{cause}; {share}" if cause else share
    return Problem(ERROR, str(path), expected, wrong.found, cause, wrong.action)


def _odd_size(path: Path, size: int, official: OfficialArchive | None) -> Problem | None:
    """A size that is not the official one, of a file that seems whole."""
    if official is None or official.has_size(size) is not False:
        return None
    known = official.size
    if known is None:
        cause = "a subset or another edition under the official name, or a copy that was cut off"
    elif size < known:
        cause = (
            f"a subset or another edition under the official name ({100 * size / known:.2f} % of "
            "the official bytes)"
        )
        if path.name.endswith((".gz", ".tgz")):
            cause += ", or a copy that was cut off"
    else:
        cause = "another edition under the official name, or packed again"
    return Problem(
        WARNING,
        str(path),
        f"{_official_size(official)}, the official size",
        f"{size:,} bytes",
        cause,
        "if it should be the official archive, copy it again; what is in it is built as it is",
    )


def _not_all_here(path: Path, status: os.stat_result) -> Problem | None:
    """A file of which most is not on the disk, by its blocks."""
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
