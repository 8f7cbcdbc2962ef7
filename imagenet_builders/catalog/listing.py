"""The files of a dataset or an export: how many, their bytes, and the hashes of the small ones."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from imagenet_builders.catalog.croissant import SmallFile
from imagenet_builders.catalog.metadata import MAX_NUMBER, read_linked
from imagenet_builders.publish import provenance
from imagenet_builders.publish.readable import INFO

_MAX_SMALL = 1 << 26
_SHA256 = 64
_NO_NUMBER = (TypeError, ValueError, KeyError)


class File(NamedTuple):
    """A file.

    Attributes:
        name: Its path in the directory.
        size: Its bytes.
        mtime_ns: When it was written.
    """

    name: str
    size: int
    mtime_ns: int


def files_in(directory: Path, depth: int = 1) -> list[File]:
    """The files in a directory, and in the directories in that; links to files are followed.

    Args:
        directory: The directory of a dataset, which has no deeper ones.
        depth: Levels of directories in it to look into.

    Raises:
        OSError: It cannot be listed.
    """
    return sorted(_files(directory, "", depth))


def _files(directory: Path, above: str, depth: int) -> Iterator[File]:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = f"{above}{entry.name}"
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    if depth:
                        yield from _files(Path(entry.path), f"{name}/", depth - 1)
                elif entry.is_file():
                    status = entry.stat()
                    yield File(name, status.st_size, status.st_mtime_ns)


def recorded(document: Mapping[str, Any]) -> tuple[int, int]:
    """Number and bytes of the files of an export, as its provenance has them.

    They may be a million, which nobody wants to list for a page.

    Args:
        document: The provenance.
    """
    count = len(document["files"]) if isinstance(document.get("files"), dict) else 0
    size, seen = 0, set[str]()
    splits = document.get("splits")
    for entry in splits.values() if isinstance(splits, dict) else ():
        listed = entry.get("files") if isinstance(entry, dict) else None
        if isinstance(listed, list):
            for each in listed:
                with contextlib.suppress(*_NO_NUMBER, IndexError):
                    name, length = str(each[0]), whole_number(each[1])
                    if name not in seen:  # One file may have all splits.
                        seen.add(name)
                        count, size = count + 1, size + length
        elif isinstance(entry, dict):
            with contextlib.suppress(*_NO_NUMBER):
                length = sum(map(whole_number, entry["shard_bytes"]))
                count, size = count + whole_number(entry["examples"]), size + length
    return count, size


def whole_number(value: Any) -> int:
    """A number of examples or bytes.

    Args:
        value: As somebody's JSON has it.

    Raises:
        TypeError: It is something else, or none that a file system or a dataset has.
    """
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise TypeError
    return value


def small_files(
    directory: Path, files: Collection[File], document: Mapping[str, Any]
) -> tuple[SmallFile, ...]:
    """The files of metadata with their SHA-256: as provenance has it, or else of what is there.

    Args:
        directory: The directory.
        files: Its files.
        document: Its provenance; empty without one.
    """
    known = document.get("files")
    known = known if isinstance(known, dict) else {}
    found = []
    for file in files:
        digest = known.get(file.name)
        if not isinstance(digest, str) or len(digest) != _SHA256:
            if known or not file.name.endswith((".json", ".txt")) or "/" in file.name:
                continue
            digest = sha256_of(directory / file.name)
        if digest is not None:
            found.append(SmallFile(file.name, digest, file.size))
    return tuple(found)


def seal(directory: Path) -> str:
    """The SHA-256 of the file that has the checksums of all, or else of the metadata."""
    for name in (provenance.FILE_NAME, INFO):
        digest = sha256_of(directory / name)
        if digest is not None:
            return digest
    return "0" * _SHA256


def sha256_of(path: Path) -> str | None:
    """The SHA-256 of a small file; None if it cannot be read."""
    try:
        return hashlib.sha256(read_linked(path, _MAX_SMALL)).hexdigest()
    except OSError:
        return None
