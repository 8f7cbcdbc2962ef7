"""Standard streams: what commands say, on streams that cannot end a build.

They may be closed, led to what is gone, or of few letters. All that the commands say goes through
`tell` and `tell_error`, and is printable.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, TextIO, cast

from imagenet_builders.errors import InstallationError
from imagenet_builders.run.terminal import folded
from imagenet_builders.words import printable

# How a report is painted: set a colour or a weight, and take it back.
_PAINT = re.compile(r"(\x1b\[(?:[0-2]|3[1-3])m)")


class _Heedless:
    """A stream to which it does not matter whether what is written arrives."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, if that can be done."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes, if that can be done."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _Unread:
    """A stream whose reader may be gone, as `head` is after its lines: the rest is dropped."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, if somebody reads."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            _lead_nowhere(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flushes, if somebody reads."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            _lead_nowhere(self._stream)


def tell(*lines: str, painted: bool = False, fold: bool = True, flush: bool = False) -> None:
    """Prints lines of results on stdout; what does not show in them becomes escapes.

    Args:
        *lines: The lines, without their ends.
        painted: They may have the codes of a report's colours.
        fold: Make several lines of one that is wider than the terminal.
        flush: Let them arrive at once.
    """
    for line in lines:
        if fold and not painted:
            print(folded(printable(line), sys.stdout))
            continue
        pieces = _PAINT.split(line) if painted else [line]
        print(*(each if n % 2 else printable(each) for n, each in enumerate(pieces)), sep="")
    if flush:
        sys.stdout.flush()


def tell_error(*lines: str) -> None:
    """Prints lines on stderr, in the same way."""
    for line in lines:
        print(folded(printable(line), sys.stderr), file=sys.stderr)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Lets a command run whose standard streams are closed, or whose stderr nobody reads any more.

    A build runs for hours; the terminal, or the `tee`, that it tells of its progress may be gone
    before. A reader of results may have enough of them, too. Where a standard stream is closed, a
    file that is opened would get its number, and with it what libraries print. Names of files that
    an encoding lacks are printed as escapes.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # It gets the lowest number that is free; workers are to have it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # As long as the process.
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # As long as the process.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    results, stream = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", _Unread(results))
    sys.stderr = cast("TextIO", _Heedless(stream))
    try:
        yield
    finally:
        # Other errors are for the end of the process, which tells them.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stdout, sys.stderr = results, stream
        try:
            stream.flush()
        except (OSError, ValueError):
            _lead_nowhere(stream)


def _lead_nowhere(stream: TextIO) -> None:
    """Gives up what a stream still holds, which would end the process with an error."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


@contextlib.contextmanager
def stderr_held_back() -> Iterator[None]:
    """Keeps to itself what C++ libraries write to stderr; it is shown only if the block fails.

    Some of what TensorFlow says of a machine when it is imported heeds no log level.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except InstallationError:  # Its sentence says it all.
            raise
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
