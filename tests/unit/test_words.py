"""What leaves for people has no character that acts on a terminal, or that hides."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from pathlib import Path
from typing import NamedTuple

import pytest

from imagenet_builders.errors import ArchiveError, SourceError, StagingError
from imagenet_builders.words import all_printable, logger, printable

NASTY = {
    "ESC": "\x1b[2J",
    "BEL": "\x07",
    "CR": "\r",
    "LF": "\n",
    "tab": "\t",
    "NUL": "\0",
    "DEL": "\x7f",
    "CSI of C1": "\x9b2J",
    "override": "\u202e",
    "isolate": "\u2066",
    "separator of lines": "\u2028",
    "zero width": "\u200b",
    "mark of bytes": "\ufeff",
    "a byte that is no UTF-8": "\udcff",
    "a tag": "\U000e0041",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_what_does_not_show_becomes_an_escape(text: str) -> None:
    shown = printable(f"a{text}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert shown != printable("ab")
    assert printable(shown) == shown


def test_letters_of_all_scripts_stay() -> None:
    text = "Bär, 日本, кот, कुत्ता, \\ ' \" 🐕"
    assert printable(text) == text


class Pair(NamedTuple):
    first: str
    second: int


@dataclasses.dataclass(frozen=True)
class Value:
    text: str
    paths: tuple[Path, ...]
    more: dict[str, list[str]]
    pair: Pair
    number: float | None = None


def test_all_text_in_a_value_is_made_printable() -> None:
    value = Value("\x07", (Path("/a/\x1bb"),), {"\x07": ["\x07"]}, Pair("\x07", 1))
    bell = "\\x07"
    expected = Value(bell, (Path("/a/\\x1bb"),), {bell: [bell]}, Pair(bell, 1))
    assert all_printable(value) == expected


def test_messages_of_a_logger_are_printable_whoever_shows_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger("imagenet_builders.somewhere_else").warning("%s was\nfound", "\x1b[2J")
    assert caplog.messages == ["\\x1b[2J was\\nfound"]
    assert logger("x") is logging.getLogger("x")


@pytest.mark.parametrize(
    "error",
    [
        SourceError("a\x07\nb"),
        StagingError("a\x07\nb"),
        ArchiveError("a\x07\nb", "c\x1b", member="d\x07", offset=1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_printable(error: Exception) -> None:
    error.add_note("look\x07")
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert str(each).isprintable()
        assert str(each).startswith("a\\x07\\nb")
        assert all(str(arg).isprintable() for arg in each.args)
    assert error.__notes__ == ["look\\x07"]
