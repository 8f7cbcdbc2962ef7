"""What is under way, shown to people: the last line of a terminal, or in a log a line a minute.

A terminal shows one such line, which a thread of its own writes over a few times a second. So it
tells also while nothing moves, and fits the terminal when that is resized. Messages go above it. Of
several things under way, the one that began last is shown.
"""

from __future__ import annotations

import contextlib
import os
import textwrap
import threading
import time
import unicodedata
import weakref
from collections.abc import Iterator
from typing import Protocol, TextIO

# A log, which several terminals of several widths may show.
_LOG_WIDTH = 100
# Where a terminal does not know its own.
_USUAL_WIDTH = 80
_MIN_WIDTH = 20

_LINE_EVERY_SECONDS = 60.0
_PAINT_EVERY_SECONDS = 0.25
_LOOK_AT_LOG_EVERY_SECONDS = 1.0


class UnderWay(Protocol):
    """Something that takes long."""

    def text(self, width: int, now: float) -> str:
        """What a terminal shows, in so many columns at most; empty for nothing yet."""
        ...

    def log_line(self, now: float) -> str:
        """What a log gets; empty for nothing."""
        ...


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody sees what is written to a stream."""
    try:
        return stream.isatty()
    except ValueError:  # It is closed.
        return False


def width_of(stream: TextIO) -> int:
    """The columns that a line on a stream may have.

    Those of a terminal, as wide as it is now; 100 for a file or a pipe, so that a log does not
    depend on who started it. `$COLUMNS` makes either narrower, and a file wider.
    """
    asked = os.environ.get("COLUMNS", "")
    columns = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else 0
    if not is_terminal(stream):
        return max(_MIN_WIDTH, columns or _LOG_WIDTH)
    try:
        found = os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError, AttributeError):
        found = _USUAL_WIDTH
    return max(_MIN_WIDTH, min(found, columns or found))


def columns_of(text: str) -> int:
    """The columns that some text takes on a terminal, where letters of East Asia take two."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)


def fitting(text: str, width: int) -> str:
    """Some text in so many columns, without its middle if it is longer: that tells least."""
    if columns_of(text) <= width:
        return text
    if width < 2:
        return ""
    tail = (width - 1) * 2 // 3
    head, end = width - 1 - tail, len(text)
    while columns_of(text[end - 1 :]) <= tail:
        end -= 1
    start = 0
    while columns_of(text[: start + 1]) <= head:
        start += 1
    return f"{text[:start]}~{text[end:]}"


def wrapped(words: str, width: int, before: str = "", hang: str | None = None) -> list[str]:
    """Words in lines that end between words; a word that is longer than a line has its own.

    A path stays whole, so that it can be copied.

    Args:
        words: The words.
        width: Columns of a line.
        before: Stands before the first line.
        hang: Stands before the others; None for as many spaces as `before` has columns.
    """
    return textwrap.wrap(
        words,
        width,
        initial_indent=before,
        subsequent_indent=" " * len(before) if hang is None else hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def folded(line: str, stream: TextIO) -> str:
    """A line as some lines if a terminal is narrower; as it is for a file.

    Args:
        line: The line, whose indent the others get, and a little more.
        stream: Where it goes.
    """
    if not is_terminal(stream) or columns_of(line) <= (width := width_of(stream)):
        return line
    text = line.lstrip(" ")
    indent = line[: len(line) - len(text)]
    return "\n".join(wrapped(text, width, indent, f"{indent}  "))


class Screen:
    """What is under way on a stream, which shows one thing at a time.

    Args:
        stream: A terminal, or a log.
    """

    def __init__(self, stream: TextIO):
        # The registry of screens must not keep streams.
        self._stream = weakref.ref(stream)
        self._is_terminal = is_terminal(stream)
        self._lock = threading.RLock()
        self._under_way: list[UnderWay] = []
        self._painted = 0
        self._last_line: float | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def width(self) -> int:
        """The columns that the line of a terminal may have: behind it there is the cursor."""
        stream = self._stream()
        return (_USUAL_WIDTH if stream is None else width_of(stream)) - 1

    def begin(self, what: UnderWay) -> None:
        """Shows something from now on."""
        with self._lock:
            self._under_way.append(what)
            if self._last_line is None:
                self._last_line = time.monotonic()
            if self._thread is None:
                self._ended = threading.Event()
                self._thread = threading.Thread(
                    target=self._keep_showing, args=(self._ended,), daemon=True
                )
                self._thread.start()
        self.refresh()

    def end(self, what: UnderWay, *, last: str = "") -> None:
        """Shows something no more.

        Args:
            what: What was begun.
            last: What stays of it on a terminal.
        """
        thread = None
        with self._lock:
            self._under_way.remove(what)
            if not self._under_way:
                self._ended.set()
                thread, self._thread = self._thread, None
            if self._is_terminal:
                self._paint(last)
                if last:
                    self._write("\n")
                    self._painted = 0
        if thread is not None:
            thread.join()
        self.refresh()

    def refresh(self) -> None:
        """Shows what there is to be shown by now."""
        with self._lock:
            if not self._under_way:
                return
            what, now = self._under_way[-1], time.monotonic()
            if self._is_terminal:
                self._paint(what.text(self.width, now))
            elif now - (self._last_line or 0.0) >= _LINE_EVERY_SECONDS:
                line = what.log_line(now)
                if line:
                    self._last_line = now
                    self._write(f"{line}\n")

    def refresh_log(self) -> None:
        """Writes a line to a log if it is time for one."""
        if not self._is_terminal:
            self.refresh()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Takes the line away while the block writes to the stream."""
        with self._lock:
            self.clear()
            try:
                yield
            finally:
                self.refresh()

    def clear(self) -> None:
        """Takes the line away, until it is shown again."""
        with self._lock:
            if self._is_terminal:
                self._paint("")

    def _keep_showing(self, ended: threading.Event) -> None:
        every = _PAINT_EVERY_SECONDS if self._is_terminal else _LOOK_AT_LOG_EVERY_SECONDS
        while not ended.wait(every):
            self.refresh()

    def _paint(self, text: str) -> None:
        """Writes a line over the one that stands there, by spaces: all terminals know these."""
        stream = self._stream()
        if stream is None or not (text or self._painted):
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        columns = columns_of(text)
        width = width_of(stream) - 1
        before = ""
        if self._painted > width:
            # The terminal became narrower, and may have wrapped what stands there.
            before, self._painted = "\n", 0
        blank = " " * (self._painted - columns)
        self._write(f"{before}\r{text}{blank}" if text else f"{before}\r{blank}\r")
        self._painted = columns

    def _write(self, text: str) -> None:
        stream = self._stream()
        # What is shown by the way must not end a build.
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.write(text)
                stream.flush()


_SCREENS: weakref.WeakKeyDictionary[TextIO, Screen] = weakref.WeakKeyDictionary()


def screen_of(stream: TextIO) -> Screen:
    """The screen of a stream."""
    screen = _SCREENS.get(stream)
    if screen is None:
        screen = _SCREENS[stream] = Screen(stream)
    return screen
