"""Hashes of staged files, remembered between runs in the user's own cache directory.

Hashing 148 GB takes minutes, so a result is kept under the file's path, size and time of last
modification: a file of which none has changed has the same hashes. Nothing is kept beside the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_VERSION = 1
_MAX_BYTES = 256 << 20
_LENGTHS = {"md5": 32, "sha256": 64}


def cache_directory() -> Path:
    """Where this package keeps what it remembers: `$XDG_CACHE_HOME` or `~/.cache`, and its name."""
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
    entry = _load(_file()).get(os.path.abspath(path))
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
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file):
            entry = {"size": size, "mtime_ns": mtime_ns, **hashes}
            entries = {**_load(file), os.path.abspath(path): entry}
            partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
            partial.write_text(json.dumps({"version": _VERSION, "files": entries}, indent=1) + "\n")
            partial.replace(file)
    except OSError:
        return False
    return True


def _file() -> Path:
    return cache_directory() / "hashes.json"


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keeps others from writing at the same time, where the file system has locks."""
    fd = os.open(file.with_name("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _load(file: Path) -> Mapping[str, dict[str, Any]]:
    """All that is remembered; nothing where the file is not there, or is not ours."""
    try:
        status = os.stat(file)
    except OSError:
        return {}
    return _parsed(file, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _parsed(file: Path, *identity: int) -> Mapping[str, dict[str, Any]]:
    """The same, once for each state of the file: a thousand files may be asked for."""
    del identity
    try:
        with open(file, "rb") as stream:
            if os.fstat(stream.fileno()).st_uid != os.getuid():
                return {}
            kept = json.loads(stream.read(_MAX_BYTES))
        entries = kept["files"] if kept["version"] == _VERSION else {}
        return {path: entry for path, entry in entries.items() if _is_sound(entry)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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
