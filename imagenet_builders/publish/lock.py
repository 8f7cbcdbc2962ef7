"""One builder of a dataset at a time, on any number of machines that share its directory.

The lock is a file that appears by a hard link, which is atomic on every POSIX file system and on
NFS (where an exclusive create is not always). Its holder touches it every few seconds. Another
process takes it over when it knows the holder to be dead (on the same machine), or when the holder
has not touched it for a while. Ages are measured by the file system's clock, so machines need not
agree on the time.

A holder that was suspended until another took over notices at its next `check`.

Whoever may write in the directory can make, remove and replace these files. Then one builder may
wait in vain or give up, but none follows a link, waits for a FIFO, or changes a file that is not
its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from imagenet_builders.errors import BusyError, TargetError
from imagenet_builders.files.regular import kind_of
from imagenet_builders.publish import holder as holders
from imagenet_builders.publish.holder import Holder
from imagenet_builders.publish.target import Target
from imagenet_builders.write import durable

BEAT_SECONDS = 10.0
"""How often a holder touches its lock."""

STALE_SECONDS = 90.0
"""A lock that nobody has touched for this long is taken over."""

_POLL_SECONDS = 1.0
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class BuildLock:
    """A lock to hold while a dataset is built; a context manager.

    Args:
        target: What is built, in a directory that exists.
        name: Its full name, for messages.
        wait: Wait for another holder to end, instead of failing.
        announce: Told once which process it waits for.

    Attributes:
        token: Tells this lock from all others.
        waited: Whether it had to wait for another holder.

    Raises:
        BusyError: On entering: another process holds the lock, and `wait` is not set.
        TargetError: On entering: the lock cannot be made.
    """

    def __init__(
        self, target: Target, *, name: str, wait: bool, announce: Callable[[str], None]
    ) -> None:
        self._where = target.path.parent
        self._name = name
        self._wait = wait
        self._announce = announce
        self._me = Holder.me()
        self.token = self._me.token
        self.use(target)
        self.waited = False
        self._device: int | None = None
        self._ended = threading.Event()
        self._beats: threading.Thread | None = None
        self._touched: float | None = None
        self._looked = self._untouched = 0.0

    def use(self, target: Target) -> None:
        """Makes the lock by way of other paths of the same; see `Target.through`."""
        self._target = target
        self._path = target.lock()
        self._mine = target.lock_file(self._me.host, self._me.pid, self.token)

    def __enter__(self) -> Self:
        try:
            self._create(self._mine)
            with durable.writing(self._path):
                self._device = os.stat(self._where).st_dev
                self._acquire()
            self._beats = threading.Thread(target=self._beat, daemon=True)
            self._beats.start()
        except BaseException:
            self._ended.set()
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        try:
            if self._beats is not None:
                self._beats.join()
        finally:
            self._let_go()

    def check(self) -> None:
        """Makes sure that this process still holds the lock.

        Raises:
            BusyError: Another process took it over.
            TargetError: The lock cannot be read, so that is not known.
        """
        with durable.reading(self._path):
            holder = holders.read(self._path)
            if holder is not None and holder.token == self.token:
                return
            if holder is None:
                self._check_mounted()
        raise BusyError(
            f"{self._name}: this process was stopped for more than {STALE_SECONDS:.0f} s, or "
            f"its lock {durable.shown(self._path)} was removed, and "
            f"{f'{holder} builds it now' if holder else 'another may build it now'}; "
            "nothing was published, run the same command again"
        )

    def _check_mounted(self) -> None:
        """Raises an OSError if the file system that the lock was made on is not there any more."""
        try:
            device = os.stat(self._where).st_dev
        except FileNotFoundError:
            device = None
        if device != self._device:
            raise OSError(errno.ENOTCONN, "the directory that it was in is gone")

    def _let_go(self) -> None:
        """Removes the lock, if it is ours, and our own file."""
        with contextlib.suppress(OSError):
            if self._is_mine(self._path):
                # What a killed process left is gone even if its name was not seen before.
                clean_up(self._target)
                self._path.unlink()
        with contextlib.suppress(OSError):
            self._mine.unlink()

    def _acquire(self) -> None:
        while not self._appear(self._path):
            holder = self._holder()
            free = self._is_free(holder)
            if free and self._take_over(holder):
                return
            if not self._wait and not free:
                raise BusyError(
                    f"{self._name} is being built by another process ({self._whose(holder)}); "
                    "wait for it to end, or run without --no-wait"
                )
            if not self.waited and not free:
                self.waited = True
                self._announce(
                    f"{self._name} is being built by another process "
                    f"({self._whose(holder)}); waiting for it to end"
                )
            self._ended.wait(_POLL_SECONDS)

    def _holder(self) -> Holder | None:
        """The process that holds the lock; None without one, and if it does not say."""
        try:
            return holders.read(self._path)
        except PermissionError:
            return None

    def _whose(self, holder: Holder | None) -> str:
        """What is known of the holder, in words."""
        if holder is not None:
            return str(holder)
        try:
            owner = os.lstat(self._path).st_uid
        except OSError:
            return str(durable.shown(self._path))
        return f"{durable.shown(self._path)}, a lock of user {owner} that does not say whose it is"

    def _appear(self, path: Path) -> bool:
        """Makes `path` a lock file of this process, unless a file has that name."""
        try:
            os.link(self._mine, path, follow_symlinks=False)
        except FileExistsError:
            # It may be ours: a server's reply to a request that it carried out can be lost.
            return self._is_mine(path)
        except FileNotFoundError:
            # This process was suspended until the holder of the lock took the file for debris.
            self._create(self._mine)
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise durable.target_error(path, error) from error
            return self._create(path)
        if self._is_mine(path):
            return True
        if self._is_mine(self._mine):
            return False  # It was removed at once.
        raise TargetError(
            f"{durable.shown(self._mine)} was replaced by somebody else; find out who did that "
            f"(all who may write in {durable.shown(path.parent)} can), then run the same command "
            "again"
        )

    def _create(self, path: Path) -> bool:
        """For file systems without hard links: an exclusive create has to do."""
        with durable.writing(path):
            try:
                fd = os.open(path, _NEW, 0o644)
            except FileExistsError:
                return False
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(self._me.to_bytes())
            except BaseException:
                # Without a name in it, it would be respected until it is old.
                with contextlib.suppress(OSError):
                    path.unlink()
                raise
        return True

    def _is_free(self, holder: Holder | None) -> bool:
        """Whether nobody holds the lock that is there."""
        if holder is not None and holder.is_known_dead():
            return True
        try:
            touched = _status(self._path).st_mtime
        except FileNotFoundError:
            return True
        age, now = self._now() - touched, time.monotonic()
        if self._touched is None:
            self._untouched = max(age, 0.0)
        elif touched != self._touched:
            self._untouched = 0.0
        else:
            # This process measures the silence with its own clock: after a clock was set, or a
            # server stalled, a lock looks old although its holder is alive.
            self._untouched += min(now - self._looked, BEAT_SECONDS)
        self._touched, self._looked = touched, now
        return self._untouched > STALE_SECONDS

    def _take_over(self, holder: Holder | None) -> bool:
        """Replaces an abandoned lock by ours; of several processes that try, one succeeds."""
        try:
            status = _status(self._path)
        except FileNotFoundError:
            return False  # Its holder has just removed it; the next try makes a new one.
        token = holder.token if holder else f"{status.st_ino}-{status.st_mtime_ns}"
        # Named for the lock that it replaces, so that no other process replaces the same one.
        claim = self._target.lock_claim(token)
        if not self._appear(claim):
            self._remove_dead(claim)
            return False
        try:
            again = self._holder()
            if (again.token if again else None) != (holder.token if holder else None):
                return False
            with durable.writing(self._path):
                try:
                    os.replace(claim, self._path)
                    os.utime(self._path, follow_symlinks=False)
                except FileNotFoundError:
                    return False
            if holder is not None:
                # A network file system may not list it yet, for `clean_up` to find it.
                self._target.lock_file(holder.host, holder.pid, holder.token).unlink(
                    missing_ok=True
                )
            return self._is_mine(self._path)
        finally:
            with contextlib.suppress(OSError):
                claim.unlink()

    def _remove_dead(self, claim: Path) -> None:
        """Removes the claim of a process that died while it took over."""
        with contextlib.suppress(OSError):
            # Whatever a claim's time is, its maker is long done if it is far from now.
            age = abs(self._now() - _status(claim).st_mtime)
            holder = holders.read(claim)
            if age > STALE_SECONDS or (holder is not None and holder.is_known_dead()):
                claim.unlink()

    def _is_mine(self, path: Path) -> bool:
        holder = holders.read(path)
        return holder is not None and holder.token == self._me.token

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                if self._is_mine(self._path):
                    os.utime(self._path, follow_symlinks=False)

    def _now(self) -> float:
        """The time by the clock of the file system."""
        with durable.writing(self._mine):
            try:
                os.utime(self._mine, follow_symlinks=False)
            except FileNotFoundError:
                # This process was suspended until the holder took the file for debris.
                self._create(self._mine)
            return os.lstat(self._mine).st_mtime


def _status(path: Path) -> os.stat_result:
    """The status of a lock file.

    Raises:
        TargetError: Something else has its name.
        OSError: It is not there, or cannot be looked at.
    """
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode):
        return status
    raise TargetError(
        f"{durable.shown(path)} is {kind_of(status.st_mode)} of user {status.st_uid}, where a "
        "build makes a file, its lock; find out who put it there, move it elsewhere, then run the "
        "same command again"
    )


def clean_up(target: Target) -> None:
    """Removes the lock files that processes which died have left; only for the lock's holder."""
    try:
        now = os.lstat(target.lock()).st_mtime
    except OSError:
        return
    for left in target.lock_files():
        with contextlib.suppress(OSError):
            # A process that waits for the lock touches its file every second.
            if holders.is_left_over(left) or now - os.lstat(left).st_mtime > STALE_SECONDS:
                left.unlink()
