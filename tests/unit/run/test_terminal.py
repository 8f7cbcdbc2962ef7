"""Terminals: their widths, and a line on them that changes."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from imagenet_builders.run import terminal
from imagenet_builders.run.terminal import Screen, columns_of, fitting, screen_of, width_of


class Shown:
    """Something under way that a test words."""

    def __init__(self, words: str):
        self.words = words

    def text(self, width: int, now: float) -> str:
        return self.words[:width]

    def log_line(self, now: float) -> str:
        return self.words


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is painted but when a test says so."""
    monkeypatch.setattr(terminal, "_PAINT_EVERY_SECONDS", 3600.0)
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def tty() -> Iterator[tuple[int, TextIO]]:
    """Both ends of a terminal."""
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    with open(theirs, "w", encoding="utf-8") as stream:
        yield ours, stream
    os.close(ours)


def resize(fd: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def said(fd: int) -> str:
    read = b""
    while select.select([fd], [], [], 0.1)[0]:
        read += os.read(fd, 1 << 16)
    return read.decode()


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 132, 200])
def test_a_terminal_is_as_wide_as_it_is_now(tty: tuple[int, TextIO], columns: int) -> None:
    resize(tty[0], columns)
    assert width_of(tty[1]) == columns


def test_a_terminal_that_does_not_know_its_width_has_80_columns(tty: tuple[int, TextIO]) -> None:
    resize(tty[0], 0)
    assert width_of(tty[1]) == 80


@pytest.mark.parametrize(
    ("asked", "on_terminal", "in_file"),
    [
        ("50", 50, 50),
        ("300", 80, 300),
        ("1", 20, 20),
        ("0", 80, 100),
        ("", 80, 100),
        ("-5", 80, 100),
        ("wide", 80, 100),
        ("²", 80, 100),
        ("9" * 5000, 80, 100),
    ],
)
def test_columns_is_heeded(
    tty: tuple[int, TextIO],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    on_terminal: int,
    in_file: int,
) -> None:
    monkeypatch.setenv("COLUMNS", asked)
    resize(tty[0], 80)
    assert width_of(tty[1]) == on_terminal
    with open(tmp_path / "log", "w") as log:
        assert width_of(log) == in_file


def test_a_closed_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    stream.close()
    assert width_of(stream) == 100


def test_letters_that_take_two_columns_or_none_are_counted_so() -> None:
    assert columns_of("日本.tar") == 8
    assert columns_of("e\u0301") == 1
    assert fitting("日本日本日本", 7) == "日~日本"
    assert fitting("abcdefghij", 7) == "ab~ghij"
    assert fitting("abc", 3) == "abc"
    assert fitting("abc", 1) == ""


def test_a_line_is_written_over_and_taken_away(tty: tuple[int, TextIO]) -> None:
    resize(tty[0], 80)
    screen, shown = screen_of(tty[1]), Shown("a long line")
    screen.begin(shown)
    assert said(tty[0]) == "\ra long line"
    shown.words = "short"
    screen.refresh()
    assert said(tty[0]) == "\rshort      "
    screen.end(shown)
    assert said(tty[0]) == "\r     \r"


def test_a_message_goes_above_the_line(tty: tuple[int, TextIO]) -> None:
    resize(tty[0], 80)
    screen, shown = screen_of(tty[1]), Shown("line")
    screen.begin(shown)
    with screen.aside():
        tty[1].write("message\n")
    screen.end(shown, last="done")
    assert said(tty[0]) == "\rline\r    \rmessage\n\rline\rdone\n"


def test_of_several_things_the_latest_is_shown(tty: tuple[int, TextIO]) -> None:
    resize(tty[0], 80)
    screen, outer, inner = screen_of(tty[1]), Shown("outer"), Shown("inner")
    screen.begin(outer)
    screen.begin(inner)
    screen.end(inner, last="done ")
    screen.end(outer)
    assert said(tty[0]) == "\router\rinner\rdone \n\router\r     \r"


def test_a_terminal_that_became_narrower_gets_a_new_line(tty: tuple[int, TextIO]) -> None:
    """It may have wrapped what stands there, so that writing over it would leave half of it."""
    resize(tty[0], 80)
    screen, shown = screen_of(tty[1]), Shown("x" * 200)
    screen.begin(shown)
    resize(tty[0], 40)
    screen.refresh()
    resize(tty[0], 60)
    screen.refresh()
    screen.end(shown)
    assert said(tty[0]) == f"\r{'x' * 79}\n\r{'x' * 39}\r{'x' * 59}\r{' ' * 59}\r"


def test_a_terminal_of_few_letters_gets_those(tty: tuple[int, TextIO]) -> None:
    with open(tty[1].fileno(), "w", encoding="ascii", closefd=False) as stream:
        screen, shown = screen_of(stream), Shown("é~日")
        screen.begin(shown)
        screen.end(shown)
    assert said(tty[0]) == "\r?~?\r   \r"


def test_a_terminal_that_is_gone_disturbs_nobody() -> None:
    ours, theirs = pty.openpty()
    stream = open(theirs, "w")  # noqa: SIM115  # Its closing fails, too.
    os.close(ours)
    screen, shown = Screen(stream), Shown("x")
    screen.begin(shown)
    screen.end(shown, last="done")


def test_a_thread_shows_what_changes(
    tty: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_PAINT_EVERY_SECONDS", 0.01)
    screen, shown = screen_of(tty[1]), Shown("a")
    screen.begin(shown)
    shown.words = "b"
    deadline = time.monotonic() + 60
    seen = ""
    while "b" not in seen and time.monotonic() < deadline:
        if select.select([tty[0]], [], [], 0.1)[0]:  # `said` waits until nothing more comes.
            seen += os.read(tty[0], 1 << 16).decode()
    screen.end(shown)
    assert "b" in seen
