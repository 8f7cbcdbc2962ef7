"""One builder of a dataset at a time, on any number of machines that share its directory.

The lock is a file that appears by a hard link, which is atomic on every POSIX file system and on
NFS (where an exclusive create is not always). Whoever holds it touches it every few seconds. It is
free for the taking when its holder is known to be dead (same machine) or has not touched it for a
while; age is told by the file system's own clock, so machines need not agree on the time.

A holder that was stopped for so long that another took over learns of it at its next `check`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from imagenet_builders.errors import BusyError
from imagenet_builders.write import durable

BEAT_SECONDS = 10.0
"""How often a holder touches its lock."""

STALE_SECONDS = 90.0
"""A lock that was not touched for so long has no holder any more."""

_POLL_SECONDS = 1.0
_MAX_BYTES = 4096
_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: Name of the machine.
        boot: Identity of the machine's run since it was started, or empty.
        namespace: In which numbers of processes mean the same, or empty.
        pid: Process.
        started: When that process started, in the kernel's ticks since the machine was started.
        since: When it took the lock, as text.
        token: Tells this holding from every other.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: int
    since: str
    token: str

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        return cls(
            socket.gethostname(),
            _boot(),
            _namespace(),
            os.getpid(),
            _started(os.getpid()) or 0,
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            secrets.token_hex(8),
        )

    def is_known_dead(self) -> bool:
        """Whether this machine knows that the process is not there any more."""
        # Machines may share a name, and containers on one machine do not see each other.
        here = (socket.gethostname(), _boot(), _namespace())
        if not all(here) or (self.host, self.boot, self.namespace) != here:
            return False
        if not _is_there(self.pid):
            return True
        started = _started(self.pid)
        # Unknown of another user's process, where /proc is mounted with `hidepid`.
        return started is not None and started != self.started

    def __str__(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}, since {self.since}"


class BuildLock:
    """A lock to hold while a dataset is built; a context manager.

    Args:
        path: The lock file, in a directory that exists.
        what: What is built, for messages.
        wait: Wait for another holder to end, instead of failing.
        announce: Told, once, whom it waits for.

    Attributes:
        token: Tells this holding of the lock from every other.

    Raises:
        BusyError: On entering: another process holds the lock, and `wait` is not set.
        TargetError: On entering: the lock cannot be made.
    """

    def __init__(
        self, path: Path, *, what: str, wait: bool, announce: Callable[[str], None]
    ) -> None:
        self._path = path
        self._what = what
        self._wait = wait
        self._announce = announce
        self._me = Holder.me()
        self.token = self._me.token
        self._mine = path.with_name(f"{path.name}.{self._me.host}-{self._me.pid}-{self.token}")
        self._text = json.dumps(dataclasses.asdict(self._me)).encode()
        self._ended = threading.Event()
        self._beats: threading.Thread | None = None
        self._touched: float | None = None
        self._looked = self._untouched = 0.0

    def __enter__(self) -> Self:
        try:
            self._create(self._mine)
            self._acquire()
            self._beats = threading.Thread(target=self._beat, daemon=True)
            self._beats.start()
        except BaseException:
            self._ended.set()
            self._let_go()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        try:
            if self._beats is not None:
                self._beats.join()
        finally:
            self._let_go()

    def check(self) -> None:
        """Makes sure that the lock is still held.

        Raises:
            BusyError: Another process took it over.
        """
        if not self._is_mine(self._path):
            holder = _read(self._path)
            raise BusyError(
                f"{self._what}: this process was stopped for more than {STALE_SECONDS:.0f} s, or "
                f"its lock {self._path} was removed, and "
                f"{f'{holder} builds it now' if holder else 'another may build it now'}; "
                "nothing was published, run the same command again"
            )

    def _let_go(self) -> None:
        """Removes the lock, if it is ours, and our own file."""
        with contextlib.suppress(OSError):
            if self._is_mine(self._path):
                self._path.unlink()
        with contextlib.suppress(OSError):
            self._mine.unlink()

    def _acquire(self) -> None:
        announced = False
        while not self._appear(self._path):
            holder = _read(self._path)
            free = self._is_free(holder)
            if free and self._take_over(holder):
                return
            if not self._wait and not free:
                raise BusyError(
                    f"{self._what} is being built by another process ({holder or self._path}); "
                    "wait for it to end, or run without --no-wait"
                )
            if not announced and not free:
                announced = True
                self._announce(
                    f"{self._what} is being built by another process "
                    f"({holder or self._path}); waiting for it to end"
                )
            self._ended.wait(_POLL_SECONDS)

    def _appear(self, path: Path) -> bool:
        """Makes `path` a lock of ours, unless there is a file already."""
        try:
            os.link(self._mine, path)
        except FileExistsError:
            # It may be ours: of a request that the server did, the reply can be lost.
            return self._is_mine(path)
        except FileNotFoundError:
            # We slept for so long that the holder of the lock has tidied up.
            self._create(self._mine)
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise durable.target_error(path, error) from error
            return self._create(path)
        return True

    def _create(self, path: Path) -> bool:
        """For file systems without hard links: an exclusive create has to do."""
        with durable.writing(path):
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                return False
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(self._text)
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
            touched = self._path.stat().st_mtime
        except FileNotFoundError:
            return True
        age, now = self._now() - touched, time.monotonic()
        if self._touched is None:
            self._untouched = max(age, 0.0)
        elif touched != self._touched:
            self._untouched = 0.0
        else:
            # Counted here, because when clocks are set, and when this machine or a server stood
            # still, a lock looks old whose holder has had no time to touch it.
            self._untouched += min(now - self._looked, BEAT_SECONDS)
        self._touched, self._looked = touched, now
        return self._untouched > STALE_SECONDS

    def _take_over(self, holder: Holder | None) -> bool:
        """Replaces a lock without a holder by ours; of several that try, one succeeds."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False  # Gone by itself: linked at the next try.
        token = holder.token if holder else f"{status.st_ino}-{status.st_mtime_ns}"
        # Named by the lock that it replaces, so that nobody else may replace the same one.
        claim = self._path.with_name(f"{self._path.name}.over-{token}")
        if not self._appear(claim):
            self._remove_dead(claim)
            return False
        try:
            again = _read(self._path)
            if (again.token if again else None) != (holder.token if holder else None):
                return False
            with durable.writing(self._path):
                try:
                    os.replace(claim, self._path)
                    os.utime(self._path)
                except FileNotFoundError:
                    return False
            return self._is_mine(self._path)
        finally:
            with contextlib.suppress(OSError):
                claim.unlink()

    def _remove_dead(self, claim: Path) -> None:
        """Removes a claim whose maker died on the way."""
        holder = _read(claim)
        with contextlib.suppress(OSError):
            age = self._now() - claim.stat().st_mtime
            if age > STALE_SECONDS or (holder is not None and holder.is_known_dead()):
                claim.unlink()

    def _is_mine(self, path: Path) -> bool:
        holder = _read(path)
        return holder is not None and holder.token == self._me.token

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                if self._is_mine(self._path):
                    os.utime(self._path)

    def _now(self) -> float:
        """The time by the file system's clock."""
        with durable.writing(self._mine):
            try:
                os.utime(self._mine)
            except FileNotFoundError:
                # We slept for so long that the holder of the lock has tidied up.
                self._create(self._mine)
            return self._mine.stat().st_mtime


def clean_up(path: Path) -> None:
    """Removes what locks of processes that died have left beside the lock file `path`.

    Only for whoever holds the lock. One who waits for it touches its file every second.
    """
    try:
        now = path.stat().st_mtime
    except OSError:
        return
    for left in path.parent.glob(f"{path.name}.*"):
        holder = _read(left)
        with contextlib.suppress(OSError):
            if _is_of_dead(left, holder) or now - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()


def _is_of_dead(path: Path, holder: Holder | None) -> bool:
    if holder is not None:
        return holder.is_known_dead()
    # Killed before it had written anything: the name says who it was.
    owner = re.fullmatch(r".*\.(.+)-([0-9]+)-[0-9a-f]{16}", path.name)
    return owner is not None and owner[1] == socket.gethostname() and not _is_there(int(owner[2]))


def _read(path: Path) -> Holder | None:
    """Who holds the lock at `path`; None where there is none or it cannot be read."""
    try:
        with open(path, "rb") as file:
            return Holder(**json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _is_there(pid: int) -> bool:
    """Whether a process of this machine is there, be it whose it may."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, TypeError):
        return False
    except PermissionError:
        return True
    # A zombie is dead, only not yet mourned.
    return _stat(pid)[:1] not in (["Z"], ["X"])


def _started(pid: int) -> int | None:
    """When a process of this machine started, in ticks; None where that cannot be seen."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process from the state on; empty where that cannot be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # Source: proc(5): the state is field 3, the start field 22.
    return stat.rpartition(")")[2].split()
