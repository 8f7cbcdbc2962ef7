"""Progress for people: how long it takes still, how much is done, and of what.

`Progress` is of work whose size is known, `phase` of work whose size is not. On a terminal, both
are a line that changes; in a log, a line each minute (`run.terminal`).
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TextIO

from imagenet_builders.run import console
from imagenet_builders.run.jobs import Function, Job, Prefetch, Report, Result, Workers, ignore
from imagenet_builders.run.terminal import Screen, columns_of, fitting, screen_of
from imagenet_builders.words import counted, duration_text, printable, size_text

# The speed is that of so many seconds: storage that others use has hours of its own.
_PACE_SECONDS = 120.0
# Before that, what starting cost would be taken for the speed.
_FIRST_SECONDS = 3.0
# After so long without anything done, or three times as long as ever before, work has stalled, and
# there is no telling when it will be done.
_STALLED_SECONDS = 120.0
# What takes less time is not worth a line on a terminal.
_SHOWN_AFTER_SECONDS = 1.0

_BAR, _LONGEST_BAR = 10, 42
_NO_TIME = "time unknown"


class Progress:
    """Progress of work whose size is known: time left, part done, bytes, speed, images.

    Args:
        name: What is done.
        images: Number of images in all.
        size: Bytes in all.
        stream: Where it is shown, stderr by default.
    """

    def __init__(self, name: str, *, images: int, size: int, stream: TextIO | None = None):
        self._name = printable(name)
        self._images, self._size = images, size
        self._done_images = self._done_size = 0
        self._lock = threading.Lock()
        self._stream = stream or sys.stderr
        self._screen: Screen | None = None
        self._at_end = contextlib.ExitStack()
        self._started = time.monotonic()
        self._pace = _Pace(self._started)

    def __enter__(self) -> Self:
        if self._images or self._size:
            self._screen = screen_of(self._stream)
            self._at_end.enter_context(_with_messages_above(self._screen))
            self._screen.begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._screen is None:
            return
        now = time.monotonic()
        width = self._screen.width
        last = self._finished(width, now) if kind is None else self.text(width, now)
        self._screen.end(self, last=last)
        self._at_end.close()

    def update(self, images: int, size: int) -> None:
        """Adds images and bytes that are done, from any thread."""
        with self._lock:
            self._done_images += images
            self._done_size += size
            self._pace.add(time.monotonic(), images, size)
        if self._screen is not None:
            self._screen.refresh_log()

    def was_done(self, images: int, size: int) -> None:
        """Adds images and bytes that were done before; they say nothing of the speed."""
        with self._lock:
            self._done_images += images
            self._done_size += size

    @property
    def _is_done(self) -> bool:
        # Images that are left out are never done.
        if self._size:
            return self._done_size >= self._size
        return self._done_images >= self._images

    @property
    def _part(self) -> float:
        """How much is done, of 1."""
        if self._is_done:
            return 1.0
        return self._done_size / self._size if self._size else self._done_images / self._images

    def text(self, width: int, now: float) -> str:
        """The state as a line of a terminal; what matters least is left out first."""
        return self._line(width, self._time_left(now), self._speed(now))

    def log_line(self, now: float) -> str:
        """The state as a line of a log."""
        facts = [f"{int(self._part * 100)} %", self._sizes(), self._speed(now)]
        told = ", ".join(filter(None, facts))
        return f"{self._time_left(now)}, {told}; {self._described()}"

    def _finished(self, width: int, now: float) -> str:
        """The line that stays: how long it took, in place of how long it takes still."""
        mean = self._pace.mean(now) if self._size else None
        return self._line(width, f"{duration_text(now - self._started)} in all", _per_second(mean))

    def _line(self, width: int, time_text: str, speed: str) -> str:
        start = f"{time_text} {int(self._part * 100):3}%"
        room = width - columns_of(start)
        # By how much is told, from the most to the least.
        sizes = self._sizes()
        all_told = ", ".join(filter(None, (sizes, speed)))
        choices = [
            (all_told, self._described()),
            (all_told, self._name),
            (sizes, self._name),
            ("", self._name),
        ]
        for middle, name in choices:
            line = f"  {middle}  {name}" if middle else f"  {name}"
            left = room - columns_of(line)
            if left >= 0:
                bar = _bar(self._part, min(left - 2, _LONGEST_BAR)) if left - 2 >= _BAR else ""
                return f"{start}{f'  {bar}' if bar else ''}{line}"
        return f"{start}  {fitting(self._name, room - 2)}"

    def _time_left(self, now: float) -> str:
        if self._is_done:
            return "finishing"
        stalled = self._pace.stalled(now)
        if stalled:
            return f"stalled for {duration_text(stalled)}"
        rate = self._pace.rate(now, of_size=self._size > 0)
        if rate is None:
            return _NO_TIME
        left = self._size - self._done_size if self._size else self._images - self._done_images
        return f"{duration_text(left / rate)} left"

    def _sizes(self) -> str:
        if not self._size:
            return ""
        done, total = size_text(min(self._done_size, self._size)), size_text(self._size)
        number, _, unit = done.partition(" ")
        return f"{number if total.endswith(f' {unit}') else done} of {total}"

    def _speed(self, now: float) -> str:
        return _per_second(self._pace.rate(now, of_size=True) if self._size else None)

    def _described(self) -> str:
        if not self._images:  # Bytes alone are counted.
            return self._name
        done = min(self._done_images, self._images)
        return f"{self._name}: {done:,} of {counted(self._images, 'image')}"


class _Pace:
    """How fast it went of late."""

    def __init__(self, started: float):
        self._started = self._last = started
        self._longest_gap = 0.0
        self._images = self._size = 0
        # Times, and what was done by then.
        self._samples: deque[tuple[float, int, int]] = deque([(started, 0, 0)])

    def add(self, now: float, images: int, size: int) -> None:
        """Adds what was done since the last call."""
        self._images += images
        self._size += size
        if images or size:
            self._longest_gap = max(self._longest_gap, now - self._last)
            self._last = now
        if now - self._samples[-1][0] >= 1.0:
            self._samples.append((now, self._images, self._size))

    def stalled(self, now: float) -> float:
        """Seconds without anything done, if these are too many; otherwise 0."""
        seconds = now - self._last
        return seconds if seconds >= max(_STALLED_SECONDS, 3 * self._longest_gap) else 0.0

    def mean(self, now: float) -> float | None:
        """Bytes a second since the start; None if there is nothing to tell."""
        return self._size / (now - self._started) if self._size and now > self._started else None

    def rate(self, now: float, *, of_size: bool) -> float | None:
        """Bytes a second, or images; None where that is not known."""
        while len(self._samples) > 2 and self._samples[1][0] <= now - _PACE_SECONDS:
            self._samples.popleft()
        if now - self._started < _FIRST_SECONDS:
            return None
        # What is seen in steps, as with Beam, gets no slower between two of them.
        end = now if now - self._last > self._longest_gap else self._last
        then, images, size = self._samples[0]
        done = self._size - size if of_size else self._images - images
        return done / (end - then) if done > 0 and end > then else None


class Phase:
    """Work of a size that nobody knows; see `phase`."""

    def __init__(self, name: str):
        self._name = printable(name)
        self._images = 0
        self._started = time.monotonic()

    def count(self, images: int) -> None:
        """Adds images that were found."""
        self._images += images

    def counting(self, workers: Workers) -> Workers:
        """Workers whose results, which are tables, count as images found by their rows."""
        return _Counting(workers, self)

    def text(self, width: int, now: float) -> str:
        """The state as a line of a terminal."""
        seconds = now - self._started
        if seconds < _SHOWN_AFTER_SECONDS:
            return ""
        start = f"{duration_text(seconds)} so far"
        for name in (self._described(), self._name):
            if columns_of(start) + 2 + columns_of(name) <= width:
                return f"{start}  {name}"
        return f"{start}  {fitting(self._name, width - columns_of(start) - 2)}"

    def log_line(self, now: float) -> str:
        """The state as a line of a log."""
        return f"{self._described()}: {duration_text(now - self._started)} so far"

    def _described(self) -> str:
        return f"{self._name}, {counted(self._images, 'image')}" if self._images else self._name


@contextlib.contextmanager
def phase(name: str, *, stream: TextIO | None = None) -> Iterator[Phase]:
    """Shows what the block does, if it takes long.

    Args:
        name: What it does, such as "indexing imagenet2012".
        stream: Where it is shown, stderr by default.
    """
    screen, shown = screen_of(stream or sys.stderr), Phase(name)
    with _with_messages_above(screen):
        screen.begin(shown)
        try:
            yield shown
        finally:
            screen.end(shown)


@contextlib.contextmanager
def _with_messages_above(screen: Screen) -> Iterator[None]:
    """Takes the line of a screen away when a message is shown, by whatever handler."""
    aside = console.Aside(screen)
    console.LOGGER.addHandler(aside)
    try:
        yield
    finally:
        console.LOGGER.removeHandler(aside)


class _Counting(Workers):
    def __init__(self, workers: Workers, shown: Phase):
        self._workers, self._shown = workers, shown

    def run(
        self,
        function: Function[Job, Result],
        jobs: Iterable[Job],
        *,
        report: Report = ignore,
        prefetch: Prefetch[Job] | None = None,
        in_process: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        """Counts the rows of each result; see `Workers.run`."""
        for number, result in self._workers.run(
            function, jobs, report=report, prefetch=prefetch, in_process=in_process
        ):
            self._shown.count(getattr(result, "num_rows", 0))
            yield number, result

    def close(self) -> None:
        """Ends the workers; see `Workers.close`."""
        self._workers.close()


def _per_second(rate: float | None) -> str:
    return f"{size_text(round(rate))}/s" if rate is not None else ""


def _bar(part: float, width: int) -> str:
    full = int(part * (width - 2))
    return f"[{'#' * full}{'.' * (width - 2 - full)}]"
