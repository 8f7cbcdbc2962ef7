"""Errors that say why something cannot be read: permissions, groups, links that lead nowhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from imagenet_builders.errors import SourceError
from imagenet_builders.files.regular import NotAFileError

_HINT = (
    "; ask its owner for the permission to read it (over NFS, only the first 16 of your groups may "
    "count: `id -G | wc -w` says how many you have)"
)


@contextlib.contextmanager
def saying_why(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the system's error that something may not be read into `unreadable`.

    Args:
        path: What is read, in case the system does not say what may not be.

    Raises:
        SourceError: Something may not be read.
    """
    try:
        yield
    except PermissionError as error:
        raise unreadable(os.fspath(error.filename or path), error) from error
    except SourceError as error:
        cause = error.__cause__
        if isinstance(cause, PermissionError) and _HINT not in str(error):
            raise unreadable(os.fspath(cause.filename or path), cause) from cause
        raise


def unreadable(path: str, error: OSError) -> SourceError:
    """The error that something cannot be read, with the reason that is likely.

    Args:
        path: What cannot be read.
        error: What the system says.

    Returns:
        The error to raise.
    """
    hint = _HINT if isinstance(error, PermissionError) else ""
    if isinstance(error, NotAFileError):
        hint = "; move it elsewhere, or stage the original"
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        hint = f"; it is a link to {os.readlink(path)!r}, which is not there: copy that, or mend it"
    return SourceError(f"{path!r} cannot be read: {error.strerror}{hint}")
