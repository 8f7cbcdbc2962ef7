"""Terminals with a process in each: what a person would see."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from support.processes import environment

_LIMIT_SECONDS = 300.0


class Terminal:
    """A process of the command line on a terminal.

    Args:
        arguments: Its arguments.
        columns: The width of the terminal.
        **changes: Changes to its environment.

    Attributes:
        text: All that it has written so far.
    """

    def __init__(self, arguments: Sequence[str | Path], columns: int, **changes: str):
        self._fd, theirs = pty.openpty()
        self.resize(columns)
        env = environment(**({"TERM": "xterm"} | changes))
        if "COLUMNS" not in changes:
            env.pop("COLUMNS", None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imagenet_builders.cli", *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=env,
        )
        os.close(theirs)
        self.text = ""
        self._is_open = True

    def resize(self, columns: int) -> None:
        """Makes the terminal as wide as this."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def wait(self) -> int:
        """Waits until the process has ended; returns its status."""
        self.until(lambda text: not self._is_open)
        return self._process.wait(_LIMIT_SECONDS)

    def until(self, is_there: Callable[[str], object]) -> None:
        """Waits until the text is as wanted, or the process has ended."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while self._is_open and not is_there(self.text):
            assert time.monotonic() < deadline, self.text
            if not select.select([self._fd], [], [], 0.1)[0]:
                continue
            read = b""
            with contextlib.suppress(OSError):  # EIO: nobody has the other end any more.
                read = os.read(self._fd, 1 << 16)
            self._is_open = bool(read)
            self.text += read.decode("utf-8", "replace")

    def stop_for(self, seconds: float) -> None:
        """Lets time pass while the process does nothing."""
        self.send(signal.SIGSTOP)
        time.sleep(seconds)
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process alone, if it is there still."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def close(self) -> None:
        """Ends the process and closes the terminal."""
        self.send(signal.SIGKILL)
        self._process.wait(_LIMIT_SECONDS)
        os.close(self._fd)


@contextlib.contextmanager
def on_terminal(*arguments: str | Path, columns: int, **changes: str) -> Iterator[Terminal]:
    """Runs the command line on a terminal."""
    terminal = Terminal(arguments, columns, **changes)
    try:
        yield terminal
    finally:
        terminal.close()


def written(text: str) -> list[str]:
    """What was written to lines of a terminal, also what was written over since; no colours."""
    plain = re.sub(r"\x1b\[\d*m", "", text)
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


def kept(text: str) -> list[str]:
    """The lines that stay on a terminal."""
    return [
        line for each in text.replace("\r\n", "\n").split("\n") for line in [_last(each)] if line
    ]


def _last(line: str) -> str:
    """What stays of a line whose beginning was written over, perhaps by something shorter."""
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()
