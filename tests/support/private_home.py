"""The private files of a steward, which nobody else may read or change."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def snapshot(directory: Path) -> dict[str, tuple[object, ...]]:
    """All that may not change of what is in a directory; without what programs keep there."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name.startswith(".cache"):
            continue
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[name] = (
            stat.filemode(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns // 10**9 if stat.S_ISREG(status.st_mode) else 0,
            content,
        )
    return found


_TIME = 1_700_000_000
_PRIVATE = {
    ".bashrc": (0o644, b"export PS1='$ '\n"),
    "private.txt": (0o600, b"TOP-SECRET: the password is swordfish\n"),
    ".ssh/id": (0o600, b"-----BEGIN OPENSSH PRIVATE KEY-----\nTOP-SECRET\n"),
    "private.JPEG": (0o600, b"\xff\xd8\xff\xe0 TOP-SECRET \xff\xd9"),
    "work/notes": (0o600, b"TOP-SECRET plans\n"),
}
SECRET = "TOP-SECRET"
"""What no message and no published file may hold."""


def fill_home(home: Path, steward: int) -> None:
    home.mkdir(mode=0o700)
    for name, (mode, content) in _PRIVATE.items():
        path = home / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, (_TIME, _TIME))
    for path in (home, *home.rglob("*")):
        os.chown(path, steward, steward)


def expected_home(steward: int) -> dict[str, tuple[object, ...]]:
    """The snapshot of a home that nobody has changed."""
    files: dict[str, tuple[object, ...]] = {
        name: (stat.filemode(stat.S_IFREG | mode), steward, steward, _TIME, content)
        for name, (mode, content) in _PRIVATE.items()
    }
    directories = {str(Path(name).parent) for name in _PRIVATE} - {"."}
    mode = stat.filemode(stat.S_IFDIR | 0o700)
    return dict(
        sorted((files | dict.fromkeys(directories, (mode, steward, steward, 0, b""))).items())
    )
