"""A user's own directory of a known name, in one that others may write to.

The name may be taken by somebody else first, or ours renamed away. Then another one is made beside
it, which later runs find: the first beside it that is this user's alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path

from imagenet_builders.files.ours import is_ours_alone, owner_and_mode
from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.files.regular import open_regular

_RANDOM = re.compile(r"-[0-9a-f]{16}")


def find_own_dir(path: Path) -> PrivateDir | None:
    """The directory of a name, or one beside it, that is this user's alone; None without one.

    Args:
        path: The directory as it is called unless somebody else has taken the name.
    """
    for each in (path, *_beside(path)):
        with contextlib.suppress(OSError, NotOursError):
            return PrivateDir.enter(each)
    return None


def own_dir(path: Path) -> PrivateDir:
    """As `find_own_dir`; it is made if need be, so that only this user may read and write it.

    Args:
        path: As there; in a directory that is there.

    Raises:
        NotOursError: The file system does not keep owners and modes.
        OSError: It cannot be made.
    """
    found = find_own_dir(path)
    if found is not None:
        return found
    try:
        return _made(path)
    except (FileExistsError, NotOursError):
        pass
    found = find_own_dir(path)  # Another process of this user may have made it meanwhile.
    if found is not None:
        return found
    made = _made(path.with_name(f"{path.name}-{secrets.token_hex(8)}"))
    # Of two that make one at the same time, both use the same.
    found = find_own_dir(path)
    if found is None:
        return made
    if found.path == made.path:
        made.close()
    else:
        made.remove()
    return found


def enter_own(path: Path, *, make: bool = False) -> PrivateDir:
    """Opens the directory that `own_dir` gave, or one in it; by its path, so maybe another process.

    Args:
        path: The directory.
        make: Make it if it is not there.

    Raises:
        NotOursError: It is another user's, or no directory, or others may write to it; or it is not
            there.
        OSError: It cannot be made, or opened.
    """
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
    try:
        return PrivateDir.enter(path)
    except NotOursError as error:
        raise _foreign(path, error.found, "directory") from error
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENOENT):
            raise _foreign(path, f"cannot be opened ({error.strerror})", "directory") from error
        raise


def open_ours(path: str | os.PathLike[str]) -> int:
    """Opens a file that only this user may have written, in a directory as `own_dir` gives it.

    For reading, by another process than the one that made it, which had only its path. No link of
    that name is followed.

    Args:
        path: The file.

    Raises:
        NotOursError: It is another user's, or no file, or others may write to it; or it is not
            there, or cannot be opened.
    """
    try:
        fd = open_regular(path)
    except OSError as error:
        raise _foreign(path, f"cannot be opened ({error.strerror})", "file") from error
    if is_ours_alone(fd):
        return fd
    said = owner_and_mode(fd)
    os.close(fd)
    raise _foreign(path, said, "file")


def _foreign(path: str | os.PathLike[str], said: str, what: str) -> NotOursError:
    return NotOursError(
        f"{os.fspath(path)} {said}, where a {what} of user {os.geteuid()} belongs that nobody else "
        "may write to; somebody has removed or replaced what was kept there, so choose a place "
        "where nobody else may do that with --scratch-dir, then run the same command again"
    )


def _made(path: Path) -> PrivateDir:
    os.mkdir(path, 0o700)
    try:
        return PrivateDir.enter(path)
    except (OSError, NotOursError):
        with contextlib.suppress(OSError):  # Only an empty one.
            os.rmdir(path)
        raise


def _beside(path: Path) -> list[Path]:
    """What is beside a directory and has a name of its kind, in one order for all."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []
    start = len(path.name)
    return [
        path.with_name(name)
        for name in sorted(names)
        if name.startswith(path.name) and _RANDOM.fullmatch(name, start)
    ]
