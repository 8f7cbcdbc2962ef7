"""Directories that nobody else may read or write, in one that others may write.

Who may write the directory above can rename ours, and put another in its place, or a link. So a
private directory is made, never taken over; it is opened once, and files are reached through its
descriptor, by their names or by paths such as `shards/name`. Nothing in it is followed or waited
for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import Self

from imagenet_builders.errors import TargetError
from imagenet_builders.files.ours import is_ours, is_ours_alone, owner_and_mode
from imagenet_builders.files.regular import open_regular, read_regular

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PARTIAL = ".partial"
_TRIES = 100

# What is read of it at once; our own files, but for shards and what was unpacked, are smaller.
_MAX_BYTES = 1 << 31


class NotOursError(TargetError):
    """What should be this user's own is not, or others may write to it.

    Args:
        message: The message.
        found: Whose it is and its mode, in words.
    """

    def __init__(self, message: str, found: str = ""):
        super().__init__(message)
        self.found = found


class PrivateDir:
    """A directory of this user's own, which is open.

    Args:
        path: Its path.
        fd: Its descriptor, which this value closes.
    """

    def __init__(self, path: Path, fd: int):
        self.path = path
        self._fd = fd
        self._identity = _identity(os.fstat(fd))

    @classmethod
    def make(cls, path: Path, *, above: int | None = None) -> Self:
        """Makes a directory that nobody else may read or write.

        Args:
            path: The directory, in one that is there.
            above: Descriptor of the one that it is in; None goes by the path.

        Raises:
            TargetError: Something has its name already, or it is not ours once it is made.
            OSError: It cannot be made.
        """
        return cls._make(path, path if above is None else path.name, above)

    def make_inner(self, name: str) -> PrivateDir:
        """Makes a directory in it; see `make`."""
        return PrivateDir._make(self.path / name, name, self._fd)

    @classmethod
    def _make(cls, path: Path, name: str | Path, dir_fd: int | None) -> Self:
        try:
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            raise TargetError(
                f"{path} is there already, made by somebody else; look at it, then run the same "
                "command again"
            ) from None
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
        except OSError as error:
            raise _exchanged(path) from error
        made = cls(path, fd)
        if os.fstat(fd).st_mode & 0o077 or not is_ours(fd):
            said = owner_and_mode(fd)
            made.close()
            raise NotOursError(
                f"{path} {said}, though user {os.geteuid()} made it private; choose a directory "
                "on a file system that keeps owners and modes, where nobody else renames "
                "directories"
            )
        return made

    @classmethod
    def enter(cls, path: Path) -> Self:
        """Opens a directory that another process of this user has made, maybe elsewhere.

        Args:
            path: The directory.

        Raises:
            NotOursError: It is not this user's, or others may write to it.
            OSError: It is not there, or is no directory.
        """
        return cls._enter(path, path, None)

    def enter_inner(self, name: str) -> PrivateDir:
        """Opens a directory in it; see `enter`."""
        return PrivateDir._enter(self.path / name, name, self._fd)

    @classmethod
    def _enter(cls, path: Path, name: str | Path, dir_fd: int | None) -> Self:
        entered = cls(path, os.open(name, _DIRECTORY, dir_fd=dir_fd))
        if is_ours_alone(entered.fd):
            return entered
        said = owner_and_mode(entered.fd)
        entered.close()
        raise NotOursError(
            f"{path} {said}, but what is read there must be written by user {os.geteuid()} alone; "
            "look at it, then move it elsewhere or make it private (mode 700)",
            said,
        )

    def inner(self, name: str) -> PrivateDir:
        """Opens a directory in it, which is made if need be.

        Raises:
            NotOursError: It is not this user's, or others may write to it.
            OSError: It cannot be made, or is no directory.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self._fd)
        return self.enter_inner(name)

    @property
    def fd(self) -> int:
        """Its descriptor, which stays its own."""
        return self._fd

    def place_of(self, name: str) -> Path:
        """A path of something in it that does not change its meaning when directories are renamed.

        It is good in this process alone, while the directory is open; for libraries that take
        nothing but paths. Where the system has no `/proc`, it is the plain path.
        """
        place = Path(f"/proc/self/fd/{self._fd}")
        return (place if place.exists() else self.path) / name

    def open_new(self, name: str, mode: int = 0o600) -> int:
        """Opens a new file in it, for writing and reading.

        Args:
            name: Its name, which nothing has yet.
            mode: Its mode, before the umask.

        Returns:
            Its descriptor.

        Raises:
            OSError: Something has that name, or it cannot be made.
        """
        return os.open(name, os.O_RDWR | _NEW, mode, dir_fd=self._fd)

    def open(self, name: str) -> int:
        """Opens a file in it for reading.

        Raises:
            OSError: It is not there, or is no file.
        """
        return open_regular(name, dir_fd=self._fd)

    def open_anonymous(self) -> int:
        """Opens a new file in it that has no name, for writing and reading; closed, it is gone.

        Raises:
            OSError: It cannot be made.
        """
        with contextlib.suppress(OSError):
            return os.open(".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=self._fd)
        # Not every file system has such files.
        name = f"{secrets.token_hex(8)}{_PARTIAL}"
        fd = self.open_new(name)
        self.unlink(name)
        return fd

    def open_ours(self, name: str) -> int:
        """As `open`, of a file that only this user may write to.

        Raises:
            OSError: It is not there, or is no such file.
        """
        fd = self.open(name)
        if is_ours_alone(fd):
            return fd
        said = owner_and_mode(fd)
        os.close(fd)
        raise PermissionError(errno.EPERM, said, str(self.path / name))

    def open_kept(self, name: str) -> int:
        """Opens a file in it that an earlier run may have left, for writing and reading.

        Where there is none that only this user may write to, it is made, in place of what is there.

        Returns:
            Its descriptor.

        Raises:
            OSError: It cannot be made.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        for left in reversed(range(_TRIES)):
            try:
                fd = os.open(name, flags, dir_fd=self._fd)
            except FileNotFoundError:
                pass
            except OSError:
                self.discard(name)
            else:
                if stat.S_ISREG(os.fstat(fd).st_mode) and is_ours_alone(fd):
                    return fd
                os.close(fd)
                self.discard(name)
            try:
                return self.open_new(name)
            except FileExistsError:  # Another process of this user was first.
                if not left:
                    raise
        raise AssertionError

    def discard(self, name: str) -> None:
        """Removes whatever has a name in it: a file, a link, or a directory with all in it."""
        if _is_directory(name, self._fd):
            try:
                shutil.rmtree(name, dir_fd=self._fd)
            except RecursionError:
                words = "directories in it are nested too deep"
                raise OSError(errno.ENOTEMPTY, words, str(self.path / name)) from None
        else:
            self.unlink(name)

    def replace(self, name: str, other: str) -> None:
        """Gives a file in it another name, in place of what has that name."""
        os.replace(name, other, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def unlink(self, name: str) -> None:
        """Removes a file in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes it; it can be used no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def names(self) -> list[str]:
        """The names of what is in it now.

        Raises:
            TargetError: Another directory has its name.
        """
        # Opened anew, because network file systems show an old listing of one that stays open.
        try:
            fd = os.open(self.path, _DIRECTORY)
        except OSError as error:
            raise _exchanged(self.path) from error
        try:
            if _identity(os.fstat(fd)) != self._identity:
                raise _exchanged(self.path)
            return os.listdir(fd)
        finally:
            os.close(fd)

    def has(self, name: str) -> bool:
        """Whether something of a name is in it."""
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """The content of a file in it.

        Raises:
            OSError: It is not there, or is no file.
        """
        return read_regular(name, _MAX_BYTES, dir_fd=self._fd)

    def names_in(self, name: str) -> list[str]:
        """The names of what is in a directory in it.

        Raises:
            OSError: It is not there, or is no directory.
        """
        # Opened anew, for the reason above; a btrfs of Linux 6.5 and later does so, too.
        fd = os.open(name, _DIRECTORY, dir_fd=self._fd)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def write(self, name: str, content: bytes, *, flush: bool = False, mode: int = 0o600) -> None:
        """Writes a file in it, whole or not at all; one that has its name is replaced.

        Args:
            name: Its name.
            content: Its content.
            flush: Flush it to the storage.
            mode: Its mode, before the umask.

        Raises:
            OSError: It cannot be written.
        """
        partial = f"{name}.{secrets.token_hex(8)}{_PARTIAL}"
        try:
            fd = self.open_new(partial, mode)
            try:
                while content:
                    content = content[os.write(fd, content) :]
                if flush:
                    os.fsync(fd)
            finally:
                os.close(fd)
            self.replace(partial, name)
        except BaseException:
            with contextlib.suppress(OSError):
                self.unlink(partial)
            raise

    def remove(self) -> None:
        """Removes it with all that is in it, as far as possible, and closes it.

        Never another directory that has its name by now.
        """
        if self._fd < 0:
            return
        # Others may nest directories deeper than can be removed, where they may write.
        with contextlib.suppress(OSError, RecursionError):
            for name in self.names_in("."):
                if _is_directory(name, self._fd):
                    shutil.rmtree(name, ignore_errors=True, dir_fd=self._fd)
                else:
                    with contextlib.suppress(OSError):
                        os.unlink(name, dir_fd=self._fd)
        self.close()
        # Only an empty one.
        with contextlib.suppress(OSError):
            os.rmdir(self.path)


def _is_directory(name: str, dir_fd: int) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _exchanged(path: Path) -> TargetError:
    return TargetError(
        f"{path} was removed, or another directory has its name now; find out who did that (all "
        f"who may write in {path.parent} can), then run the same command again"
    )
