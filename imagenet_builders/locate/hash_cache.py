"""Hashes of staged files, remembered between runs in the user's own cache directory.

Hashing 148 GB takes minutes, so a result is kept under the file's path, size and time of last
modification: a file of which none has changed has the same hashes. Nothing is kept beside the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imagenet_builders.files.own_dir import find_own_dir, own_dir
from imagenet_builders.files.private_dir import NotOursError, PrivateDir

_VERSION = 1
_MAX_BYTES = 256 << 20
_LENGTHS = {"md5": 32, "sha256": 64}
_FILE = "hashes.json"

_read: dict[tuple[int, ...], Mapping[str, dict[str, Any]]] = {}


def cache_directory() -> Path:
    """Where this package keeps what it remembers: `$XDG_CACHE_HOME` or `~/.cache`, and its name.

    Where others may write to that, it is another one beside it; see `files.own_dir`.
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore what is not absolute.
    base = Path(chosen) if os.path.isabs(chosen) else Path(os.path.expanduser("~"), ".cache")
    return base / "imagenet_builders"


def known_hashes(path: str | os.PathLike[str], size: int, mtime_ns: int) -> dict[str, str]:
    """What is remembered of a file.

    Args:
        path: The file.
        size: Its bytes now.
        mtime_ns: Its time of last modification now, in nanoseconds.

    Returns:
        Name of an algorithm (`md5`, `sha256`) to the hash in hexadecimal; empty where the file has
        not been hashed, or has changed since.
    """
    directory = find_own_dir(cache_directory())
    if directory is None:
        return {}
    with directory:
        entry = _load(directory).get(os.path.abspath(path))
    if entry is None or (entry["size"], entry["mtime_ns"]) != (size, mtime_ns):
        return {}
    return {name: entry[name] for name in _LENGTHS if name in entry}


def remember(
    path: str | os.PathLike[str], size: int, mtime_ns: int, hashes: Mapping[str, str]
) -> bool:
    """Remembers the hashes of a file; a cache that cannot be written is no reason to fail.

    Args:
        path: The file.
        size: Its bytes when it was hashed.
        mtime_ns: Its time of last modification then, in nanoseconds.
        hashes: Name of an algorithm to the hash in hexadecimal.

    Returns:
        Whether they were kept.
    """
    named = cache_directory()
    try:
        named.parent.mkdir(parents=True, exist_ok=True)
        with own_dir(named) as directory, _alone(directory):
            entry = {"size": size, "mtime_ns": mtime_ns, **hashes}
            entries = {**_load(directory), os.path.abspath(path): entry}
            document = json.dumps({"version": _VERSION, "files": entries}, indent=1) + "\n"
            directory.write(_FILE, document.encode())
    except (OSError, NotOursError):
        return False
    return True


@contextlib.contextmanager
def _alone(directory: PrivateDir) -> Iterator[None]:
    """Keeps others from writing at the same time, where the file system has locks."""
    fd = directory.open_kept("lock")
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _load(directory: PrivateDir) -> Mapping[str, dict[str, Any]]:
    """All that is remembered; nothing where the file is not there, or is not ours.

    It is read once in each of its states: a thousand files may be asked for.
    """
    try:
        with os.fdopen(directory.open_ours(_FILE), "rb") as file:
            status = os.fstat(file.fileno())
            state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if state not in _read:
                _read.clear()
                _read[state] = _parsed(file.read(_MAX_BYTES))
            return _read[state]
    except OSError:
        return {}


def _parsed(content: bytes) -> Mapping[str, dict[str, Any]]:
    try:
        kept = json.loads(content)
        entries = kept["files"] if kept["version"] == _VERSION else {}
        return {path: entry for path, entry in entries.items() if _is_sound(entry)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _is_sound(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("size"), int)
        and isinstance(entry.get("mtime_ns"), int)
        and all(
            isinstance(entry.get(name, ""), str) and len(entry.get(name, "0" * n)) == n
            for name, n in _LENGTHS.items()
        )
    )
