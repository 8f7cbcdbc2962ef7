"""The process that holds a lock: what it writes into the lock file, and whether it is dead.

Whoever may write in the directory of the datasets can write a lock. So what is read from one is
compared with what this package writes, before it is believed, shown, or made part of a name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import socket
import time
from pathlib import Path
from typing import Any

from imagenet_builders.files.regular import NotAFileError, read_regular
from imagenet_builders.publish import target

_MAX_BYTES = 4096

# What each text of a lock may be. A host is part of file names, and no longer than the kernel's.
_TEXTS = {
    "host": re.compile(r"[A-Za-z0-9._-]{1,64}"),
    "boot": re.compile(r"[0-9a-f-]{0,64}"),
    "namespace": re.compile(r"(?:pid:\[[0-9]{1,20}\])?"),
    "since": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"),
    "token": re.compile(r"[0-9a-f]{16}"),
}
_NUMBERS = {"pid": range(1, 1 << 31), "started": range(1 << 63)}


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
            _host(),
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
        here = (_host(), _boot(), _namespace())
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
    """The process that holds the lock at `path`.

    Args:
        path: A lock file; a link of that name is not followed.

    Returns:
        The process; None without a lock, and if it is damaged or somebody else's.

    Raises:
        OSError: It cannot be read now, so it is not known whose it is.
    """
    try:
        content = read_regular(path, _MAX_BYTES)
    except (FileNotFoundError, NotAFileError, PermissionError):
        return None
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return Holder(**fields) if _is_written_by_us(fields) else None


def _is_written_by_us(fields: Any) -> bool:
    """Whether the content of a lock has what a process of this package writes, and nothing else."""
    return (
        isinstance(fields, dict)
        and fields.keys() == _TEXTS.keys() | _NUMBERS.keys()
        and all(
            isinstance(fields[name], str) and pattern.fullmatch(fields[name])
            for name, pattern in _TEXTS.items()
        )
        and all(
            type(fields[name]) is int and fields[name] in possible
            for name, possible in _NUMBERS.items()
        )
    )


def is_left_over(path: Path) -> bool:
    """Whether a lock file belongs to a process that this machine knows to be dead."""
    with contextlib.suppress(OSError):
        holder = read(path)
        if holder is not None:
            return holder.is_known_dead()
    # Killed before it had written anything; the name says which process it was.
    owner = target.owner_of(path)
    return owner is not None and owner[0] == _host() and not is_alive(owner[1])


def _host() -> str:
    """Name of this machine, in the letters that a lock may have."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", socket.gethostname())[:64]


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
