"""The process that holds a lock: what it writes into the lock file, and whether it is dead."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import time
from pathlib import Path

from imagenet_builders.publish import target

_MAX_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        host: Name of the machine.
        boot: Identity of the time since the machine was started, or empty.
        namespace: Namespace of its process numbers, or empty.
        pid: Its process number.
        started: When it started, in the kernel's ticks since the machine was started.
        since: When it took the lock, as text.
        token: Tells this lock from all others.
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
        if not is_alive(self.pid):
            return True
        started = _started(self.pid)
        # Unknown of another user's process, where /proc is mounted with `hidepid`.
        return started is not None and started != self.started

    def to_bytes(self) -> bytes:
        """What its lock files hold."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def __str__(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}, since {self.since}"


def read(path: Path) -> Holder | None:
    """The process that holds the lock at `path`; None without one, and if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return Holder(**json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def is_left_over(path: Path) -> bool:
    """Whether a lock file belongs to a process that this machine knows to be dead."""
    holder = read(path)
    if holder is not None:
        return holder.is_known_dead()
    # Killed before it had written anything; the name says which process it was.
    owner = target.owner_of(path)
    return owner is not None and owner[0] == socket.gethostname() and not is_alive(owner[1])


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def is_alive(pid: int) -> bool:
    """Whether a process of this machine, of any user, is there and no zombie."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, TypeError):
        return False
    except PermissionError:
        return True
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
