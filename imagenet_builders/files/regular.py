"""Opens files that others may have put there: regular ones alone, without waiting for anybody.

A FIFO makes whoever opens it wait for a writer, a device may never end, and a link leads wherever
its owner wants. So a file is opened without waiting, looked at, and only then read.
"""

from __future__ import annotations

import errno
import os
import stat


class NotAFileError(OSError):
    """A FIFO, a device, a socket, a directory, or a link, where a file belongs."""


def open_regular(
    path: str | os.PathLike[str], *, dir_fd: int | None = None, follow: bool = False
) -> int:
    """Opens a regular file for reading.

    Args:
        path: The file.
        dir_fd: Descriptor of the directory that `path` is relative to.
        follow: Follow a link of that name, which others may have made.

    Returns:
        Its descriptor.

    Raises:
        NotAFileError: It is something else; the words say what.
        OSError: It is not there, or may not be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        fd = os.open(path, flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise NotAFileError(errno.ELOOP, "it is a link", os.fspath(path)) from None
        if error.errno == errno.ENXIO:  # A socket; or a device without a driver.
            raise NotAFileError(errno.EINVAL, "it is a socket", os.fspath(path)) from None
        raise
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    raise NotAFileError(errno.EINVAL, f"it is {kind_of(mode)}", os.fspath(path))


def read_regular(
    path: str | os.PathLike[str],
    max_bytes: int,
    *,
    dir_fd: int | None = None,
    follow: bool = False,
) -> bytes:
    """The content of a regular file, as far as it had one when it was opened.

    Args:
        path: The file.
        max_bytes: What it may have at most.
        dir_fd: As for `open_regular`.
        follow: As there.

    Raises:
        NotAFileError: It is something else, or longer.
        OSError: It is not there, or cannot be read.
    """
    with os.fdopen(open_regular(path, dir_fd=dir_fd, follow=follow), "rb") as file:
        # Memory is taken for what is there, not for what may be.
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= max_bytes else b""
    if max(size, len(content)) > max_bytes:
        raise NotAFileError(errno.EFBIG, f"it has more than {max_bytes:,} bytes", os.fspath(path))
    return content


def kind_of(mode: int) -> str:
    """What a file's mode says that it is, in words.

    >>> kind_of(stat.S_IFIFO), kind_of(stat.S_IFLNK | 0o777)
    ('a FIFO', 'a link')
    """
    for matches, words in (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if matches(mode):
            return words
    return "a device"
