"""Progress: a line that changes on a terminal, and in a log a line a minute."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Iterator

import pytest

from imagenet_builders.run import terminal
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import Phase, Progress, phase
from imagenet_builders.run.terminal import columns_of

START = 1000.0
NAME = "imagenet2012_localization/5.1.0"
WIDTHS = (20, 30, 40, 60, 80, 100, 132, 200)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets; the thread that looks at it meanwhile does not."""
    monkeypatch.setattr(terminal, "_PAINT_EVERY_SECONDS", 3600.0)
    monkeypatch.setattr(terminal, "_LOOK_AT_LOG_EVERY_SECONDS", 3600.0)
    now = [START]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress("imagenet2012/5.1.0", images=1_281_167, size=int(144e9), stream=stream) as bar:
        for second in range(1, 301):
            clock[0] = START + second
            bar.update(1000, 120_000_000)
    what = "of 1,281,167 images"
    assert stream.getvalue().splitlines() == [
        f"0:19:00 left, 5 %, 7.2 of 144 GB, 120 MB/s; imagenet2012/5.1.0: 60,000 {what}",
        f"0:18:00 left, 10 %, 14.4 of 144 GB, 120 MB/s; imagenet2012/5.1.0: 120,000 {what}",
        f"0:17:00 left, 15 %, 21.6 of 144 GB, 120 MB/s; imagenet2012/5.1.0: 180,000 {what}",
        f"0:16:00 left, 20 %, 28.8 of 144 GB, 120 MB/s; imagenet2012/5.1.0: 240,000 {what}",
        f"0:15:00 left, 25 %, 36.0 of 144 GB, 120 MB/s; imagenet2012/5.1.0: 300,000 {what}",
    ]


def test_a_short_build_writes_nothing_to_a_log(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress("x", images=10, size=10, stream=stream) as progress:
        clock[0] += 59.9
        progress.update(10, 10)
    assert stream.getvalue() == ""


def test_a_pause_gives_one_line_not_one_a_minute(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress("x", images=10, size=10, stream=stream) as progress:
        clock[0] += 600
        progress.update(1, 1)
        clock[0] += 30
        progress.update(1, 1)
        clock[0] += 30
        progress.update(1, 1)
    assert re.findall(r"x: .*", stream.getvalue()) == ["x: 1 of 10 images", "x: 3 of 10 images"]


def test_short_phases_after_each_other_are_not_silent_for_long(clock: list[float]) -> None:
    stream = io.StringIO()
    for name in ("indexing x", "planning x", "publishing x"):
        with phase(name, stream=stream):
            clock[0] += 50.0
    assert stream.getvalue() == "publishing x: 0:00:00 so far\n"


def test_a_log_hears_of_what_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread tells; what is under way may wait for the storage."""
    monkeypatch.setattr(terminal, "_LINE_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(terminal, "_LOOK_AT_LOG_EVERY_SECONDS", 0.01)
    stream = io.StringIO()
    with phase("indexing x", stream=stream):
        while stream.getvalue().count("\n") < 3:
            time.sleep(0.01)
    assert set(stream.getvalue().splitlines()) == {"indexing x: 0:00:00 so far"}


@pytest.mark.parametrize(
    ("done", "seconds", "said"),
    [
        (0, 0.0, "time unknown, 0 %, 0 B of 4.0 GB; x: 0 of 4 images"),
        (1, 0.0, "time unknown, 25 %, 1.0 of 4.0 GB; x: 1 of 4 images"),
        (1, 60.0, "0:03:00 left, 25 %, 1.0 of 4.0 GB, 16.7 MB/s; x: 1 of 4 images"),
        (1, 1200.0, "stalled for 0:20:00, 25 %, 1.0 of 4.0 GB, 833 kB/s; x: 1 of 4 images"),
        (4, 4.0, "finishing, 100 %, 4.0 of 4.0 GB, 1.0 GB/s; x: 4 of 4 images"),
        (5, 4.0, "finishing, 100 %, 4.0 of 4.0 GB, 1.2 GB/s; x: 4 of 4 images"),
    ],
)
def test_a_line_can_be_written_at_any_time(
    clock: list[float], done: int, seconds: float, said: str
) -> None:
    progress = Progress("x", images=4, size=4 * 10**9, stream=io.StringIO())
    progress.update(done, done * 10**9)
    assert progress.log_line(START + seconds) == said


def test_what_was_done_before_counts_as_done_and_not_in_the_speed(clock: list[float]) -> None:
    progress = Progress("x", images=10, size=10 * 10**9, stream=io.StringIO())
    progress.was_done(6, 6 * 10**9)
    assert progress.log_line(clock[0]) == "time unknown, 60 %, 6.0 of 10.0 GB; x: 6 of 10 images"
    clock[0] += 10
    progress.update(1, 10**9)
    assert progress.log_line(clock[0]) == (
        "0:00:30 left, 70 %, 7.0 of 10.0 GB, 100 MB/s; x: 7 of 10 images"
    )


def test_the_time_left_follows_the_speed_of_late(clock: list[float]) -> None:
    progress = Progress("x", images=0, size=10**12, stream=io.StringIO())
    for speed in (10**9, 10**7):
        for _ in range(200):
            clock[0] += 1
            progress.update(0, speed)
    assert ", 10.0 MB/s; x" in progress.log_line(clock[0])


def test_reports_far_apart_are_no_standstill(clock: list[float]) -> None:
    """With Beam, progress is seen as items are done, of which one may take ten minutes."""
    progress = Progress("x", images=0, size=10**12, stream=io.StringIO())
    for _ in range(3):
        clock[0] += 600
        progress.update(0, 6 * 10**9)
    assert progress.log_line(clock[0] + 590).startswith("27:")
    assert progress.log_line(clock[0] + 2000).startswith("stalled for 0:33:20")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("before", [0, int(100e9), int(143.9e9)])
def test_a_line_fits_and_has_the_time_left_first(
    clock: list[float], width: int, before: int
) -> None:
    progress = Progress(NAME, images=1_281_167, size=int(144e9), stream=io.StringIO())
    progress.was_done(before // 112_000, before)
    for second in range(1, 400):
        text = progress.text(width, START + second)
        assert columns_of(text) <= width
        assert re.match(r"(\d+:\d\d:\d\d left|time unknown|finishing|stalled for \S+) +\d+%", text)
        assert "?" not in text
        assert "-" not in text
        clock[0] = START + second
        progress.update(1000, 11 * 10**7)


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (30, "0:05:44 left  71%  imag~/5.1.0"),
        (40, "0:05:44 left  71%  imagenet2012/5.1.0"),
        (60, "0:05:44 left  71%  103 of 144 GB  imagenet2012/5.1.0"),
        (
            80,
            "0:05:44 left  71%  [#########.....]  103 of 144 GB, 120 MB/s  imagenet2012/5.1.0",
        ),
        (
            100,
            "0:05:44 left  71%  103 of 144 GB, 120 MB/s  imagenet2012/5.1.0: 25,000 of 1,281,167 "
            "images",
        ),
        (
            132,
            "0:05:44 left  71%  [###########################...........]  103 of 144 GB, 120 MB/s  "
            "imagenet2012/5.1.0: 25,000 of 1,281,167 images",
        ),
    ],
)
def test_what_matters_least_is_left_out_first(clock: list[float], width: int, text: str) -> None:
    progress = Progress("imagenet2012/5.1.0", images=1_281_167, size=int(144e9))
    progress.was_done(0, int(99.7e9))
    for _ in range(25):
        clock[0] += 1
        progress.update(1000, 120_000_000)
    assert progress.text(width, clock[0]) == text


def test_a_terminal_keeps_how_long_it_took(clock: list[float]) -> None:
    stream = Terminal()
    with Progress("x", images=4, size=4 * 10**9, stream=stream) as progress:
        clock[0] += 4000
        progress.update(4, 4 * 10**9)
    last = stream.getvalue().rstrip("\n").split("\r")[-1].rstrip()
    assert last.startswith("1:06:40 in all 100%")
    assert last.endswith("4.0 of 4.0 GB, 1.0 MB/s  x: 4 of 4 images")
    assert stream.getvalue().endswith("\n")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_an_empty_task_is_not_shown(stream: io.StringIO) -> None:
    with Progress("x", images=0, size=0, stream=stream) as progress:
        progress.update(0, 0)
        assert progress.log_line(time.monotonic()).startswith("finishing")
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_line_that_ends_even_after_an_error() -> None:
    stream = Terminal()

    def half_then_fail() -> None:
        with Progress("x", images=2000, size=2 * 10**9, stream=stream) as progress:
            for _ in range(10):
                progress.update(100, 10**8)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_then_fail()
    last = stream.getvalue().split("\r")[-1]
    assert re.match(
        r"time unknown  50%  \[#+\.+\]  1.0 of 2.0 GB  x: 1,000 of 2,000 images\n", last
    )


def test_names_do_not_act_on_the_terminal() -> None:
    progress = Progress("unpacking a\x1b[2Jb\rc.tar", images=0, size=10)
    assert "unpacking a\\x1b[2Jb\\rc.tar" in progress.text(132, time.monotonic())
    assert "a\\x1b[2Jb" in Phase("a\x1b[2Jb").log_line(time.monotonic())


@contextlib.contextmanager
def _counted(count: int) -> Iterator[tuple[Phase, Workers]]:
    with LocalWorkers(count) as workers, phase("indexing x", stream=io.StringIO()) as shown:
        yield shown, shown.counting(workers)


def test_a_phase_counts_the_rows_of_tables_that_workers_make() -> None:
    with _counted(1) as (shown, workers):
        numbers = [number for number, _ in workers.run(_table, [2, 3])]
        assert numbers == [0, 1]
        assert shown.log_line(time.monotonic()) == "indexing x, 5 images: 0:00:00 so far"


class _Table:
    def __init__(self, rows: int):
        self.num_rows = rows


def _table(rows: int, report: object) -> _Table:
    return _Table(rows)


def test_a_phase_is_not_shown_at_once() -> None:
    shown = Phase("indexing x")
    now = time.monotonic()
    assert shown.text(80, now) == ""
    assert shown.text(80, now + 75.0) == "0:01:15 so far  indexing x"
    shown.count(1200)
    assert shown.text(80, now + 75.0) == "0:01:15 so far  indexing x, 1,200 images"
    assert shown.text(26, now + 75.0) == "0:01:15 so far  indexing x"
    assert shown.text(24, now + 75.0) == "0:01:15 so far  ind~ng x"
