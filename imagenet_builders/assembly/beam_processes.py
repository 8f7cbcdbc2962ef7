"""The worker processes of Beam's DirectRunner: seen when they die, and ended with the build.

The runner waits for ever for a worker process that was killed, and its threads keep this process
from ending as long as other workers live. Both happen where memory is short.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_COMMAND = b"apache_beam.runners.worker.sdk_worker_main"


@contextlib.contextmanager
def watched(tell: Callable[[str], None]) -> Iterator[None]:
    """Calls `tell` with what the runner's thread says when its worker process died.

    The thread that waits for the process raises an error that nobody but Python's hook sees.
    """
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if "Worker subprocess exited" in str(arguments.exc_value):
            tell(str(arguments.exc_value))
        # The threads that talked to the process end with this.
        elif arguments.exc_type.__name__ != "RpcError":
            before(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def end() -> None:
    """Kills the runner's worker processes, and the shells that they were started by."""
    for shell in _children(os.getpid()):
        if _COMMAND in _command(shell):
            for pid in (*_children(shell), shell):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # The name, in parentheses, may hold anything.
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(directory.name))
    return found


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
