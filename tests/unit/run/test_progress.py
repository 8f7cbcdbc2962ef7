"""Progress: a bar on a terminal, and in a log a line a minute."""

from __future__ import annotations

import io
import time

import pytest

from imagenet_builders.run.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress("imagenet2012/5.1.0", images=1_281_167, size=int(144e9), stream=stream) as bar:
        for second in range(1, 301):
            clock[0] = 1000.0 + second
            bar.update(1000, 120_000_000)
    assert stream.getvalue().splitlines() == [
        "imagenet2012/5.1.0: 60,000 of 1,281,167 images, 7.2 GB of 144 GB, 120 MB/s, 0:19:00 left",
        "imagenet2012/5.1.0: 120,000 of 1,281,167 images, 14.4 GB of 144 GB, 120 MB/s, "
        "0:18:00 left",
        "imagenet2012/5.1.0: 180,000 of 1,281,167 images, 21.6 GB of 144 GB, 120 MB/s, "
        "0:17:00 left",
        "imagenet2012/5.1.0: 240,000 of 1,281,167 images, 28.8 GB of 144 GB, 120 MB/s, "
        "0:16:00 left",
        "imagenet2012/5.1.0: 300,000 of 1,281,167 images, 36.0 GB of 144 GB, 120 MB/s, "
        "0:15:00 left",
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
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "x: 1 of 10 images",
        "x: 3 of 10 images",
    ]


@pytest.mark.parametrize(
    ("done", "seconds", "said"),
    [
        (0, 0.0, "x: 0 of 4 images, 0 B of 4.0 GB, 0 B/s, "),
        (1, 0.0, "x: 1 of 4 images, 1.0 GB of 4.0 GB, "),
        (1, 1200.0, "x: 1 of 4 images, 1.0 GB of 4.0 GB, 833 kB/s, 1:00:00 left"),
        (1, 1000.0 * 3600, "x: 1 of 4 images, 1.0 GB of 4.0 GB, 278 B/s, 3000:00:00 left"),
        (4, 2.0, "x: 4 of 4 images, 4.0 GB of 4.0 GB, 2.0 GB/s, 0:00:00 left"),
    ],
)
def test_a_line_can_be_written_at_any_time(done: int, seconds: float, said: str) -> None:
    progress = Progress("x", images=4, size=4 * 10**9, stream=io.StringIO())
    progress.update(done, done * 10**9)
    assert progress.line(seconds).startswith(said)


# Where bytes are all that is counted, as when something is unpacked, there is no word of images.
@pytest.mark.parametrize(("size", "said"), [(0, "x: 0 of 0 images, "), (1, "x, 0 B of ")])
def test_an_empty_task_finishes(size: int, said: str) -> None:
    for stream in (io.StringIO(), Terminal()):
        with Progress("x", images=0, size=size, stream=stream) as progress:
            progress.update(0, 0)
            assert progress.line(1.0).startswith(said)


def test_a_terminal_gets_a_bar_that_closes_even_after_an_error() -> None:
    stream = Terminal()

    def half_then_fail() -> None:
        with Progress("x", images=2000, size=2 * 10**9, stream=stream) as progress:
            for _ in range(10):
                progress.update(100, 10**8)
                time.sleep(0.02)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_then_fail()
    bars = stream.getvalue().split("\r")
    assert "1,000 of 2,000 images" in bars[-1]
    assert "1.00G of 2.00GB" in bars[-1]
    assert " 50%|" in bars[-1]
    assert " left" in bars[-1]
    assert stream.getvalue().endswith("\n")
