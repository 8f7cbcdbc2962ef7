"""What a person sees: real processes on terminals of many widths.

No line is wider than the terminal, the time left and the verdict are always there, and no figure
is unknown, negative, or of what was done before.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from makers.ilsvrc2012_large import make_large_corpus
from support.paths import DUMMY_DATA
from support.processes import found_during
from support.terminals import Terminal, kept, on_terminal, written

WIDTHS = (40, 60, 80, 100, 132, 200)
SHARDS = 24
DATASET = "imagenet2012/5.1.0"

# The line that changes: time left, part done.
PROGRESS = re.compile(
    r"(time unknown|\d+:\d\d:\d\d (left|in all)|finishing|stalled for \d+:\d\d:\d\d) +(\d+)%"
)
LEFT = re.compile(r"\d+:\d\d:\d\d left +[1-9]\d?%")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives that take a moment to build."""
    directory = tmp_path_factory.mktemp("corpus")
    make_large_corpus(directory, gigabytes=0.25, classes=40, val_fraction=0.0)
    return directory


def arguments(corpus: Path, data_dir: Path) -> list[str | Path]:
    return [
        *("build", "imagenet2012", "--manual-dir", corpus, "--data-dir", data_dir),
        *("--workers", "1", "--num-shards", str(SHARDS)),
    ]


def look(text: str, width: int) -> None:
    """What holds of all that is written to a terminal."""
    for line in written(text):
        # A path alone may be longer: it stays whole, so that it can be copied.
        alone = re.sub(r"^ *((\d+\. )?\S+:|expected|found|likely|do) ", "", line).strip()
        assert len(line) <= width or " " not in alone, line
        if PROGRESS.search(line):
            assert PROGRESS.match(line), line
            assert "?" not in line
            assert not re.search(r"-\d", line), line
            assert len(line) < width


def percents(text: str) -> list[int]:
    return [int(match[3]) for line in written(text) if (match := PROGRESS.match(line))]


def interrupted(terminal: Terminal, data_dir: Path) -> None:
    """Lets a build go on until its line tells the time left, and some shards are finished."""
    terminal.until(
        lambda text: (
            re.search(r"\d+%", text) and len(found_during(data_dir, "*.tfrecord-000*-of-*")) > 4
        )
    )
    terminal.stop_for(4.0)
    seen = len(terminal.text)
    terminal.until(lambda text: PROGRESS.search(text[seen:]))
    terminal.send(signal.SIGKILL)
    terminal.wait()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_build_its_resumption_and_verify(corpus: Path, tmp_path: Path, width: int) -> None:
    command = arguments(corpus, tmp_path)
    with on_terminal(*command, columns=width) as first:
        interrupted(first, tmp_path)
    look(first.text, width)
    if max(percents(first.text)) < 100:  # On a fast machine, it may have been done.
        assert any(LEFT.match(line) for line in written(first.text)), first.text
    with on_terminal(*command, columns=width) as second:
        assert second.wait() == 0
    look(second.text, width)
    if "already finished" in second.text:
        # From the message on, what was finished before is counted, and nothing goes back.
        after = percents(second.text.partition("already finished")[2])
        assert after[0] > 0
        assert after == sorted(after)
        assert "that were finished before" in " ".join(second.text.split())
    *_, last = [line for line in kept(second.text) if PROGRESS.match(line)]
    assert re.match(r"\d+:\d\d:\d\d in all 100%", last)
    assert (DATASET in last) or "~" in last
    with on_terminal("verify", "imagenet2012", "--data-dir", tmp_path, columns=width) as third:
        assert third.wait() == 0
    look(third.text, width)
    assert re.search(r"(: |^  )right$", "\n".join(kept(third.text)), re.MULTILINE)
    assert re.search(r"in all 100% .*verif", "\n".join(kept(third.text)))


def test_a_terminal_that_is_resized(corpus: Path, tmp_path: Path) -> None:
    with on_terminal(*arguments(corpus, tmp_path), columns=200) as terminal:
        terminal.until(PROGRESS.search)
        for width in (60, 132, 40):
            terminal.stop_for(0.1)
            seen = len(terminal.text)
            terminal.resize(width)
            terminal.until(lambda text, seen=seen: text.count("\r", seen) > 3)  # type: ignore[misc]
            if "in all 100%" in terminal.text:
                break
            # One may have been under way already.
            for line in written(terminal.text[seen:])[2:]:
                assert len(line) < width, line
        terminal.send(signal.SIGTERM)
        terminal.wait()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of which one is cut off, and a folder with a long name."""
    directory = tmp_path_factory.mktemp("odd") / "ILSVRC2012-of-a-site-with-a-long-name"
    directory.mkdir()
    for archive in (DUMMY_DATA / "imagenet2012").glob("*.tar"):
        data = archive.read_bytes()
        (directory / archive.name).write_bytes(data[:60_000] if "_train" in archive.name else data)
    return directory


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("deep", [False, True])
def test_a_check(odd: Path, tmp_path: Path, width: int, deep: bool) -> None:
    more = ("--deep",) * deep
    with on_terminal("check", odd, "--data-dir", tmp_path, *more, columns=width) as terminal:
        assert terminal.wait() == 1
    look(terminal.text, width)
    lines = kept(re.sub(r"\x1b\[\d*m", "", terminal.text))
    for split, verdict in (("train", "bad"), ("validation", "odd"), ("test", "odd")):
        assert any(re.match(rf"  {split} .*\b{verdict}$", line) for line in lines), lines
    assert "cannot be built: see the errors." in " ".join(" ".join(lines).split()) or (
        "Not everything can be built" in " ".join(" ".join(lines).split())
    )


@pytest.mark.parametrize(
    "changes",
    [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"LANG": "C", "LC_ALL": "C"}, {"COLUMNS": "50"}],
    ids=str,
)
def test_terminals_of_few_abilities(odd: Path, tmp_path: Path, changes: dict[str, str]) -> None:
    with on_terminal("check", odd, "--data-dir", tmp_path, columns=70, **changes) as terminal:
        assert terminal.wait() == 1
    look(terminal.text, int(changes.get("COLUMNS", 70)))
    assert ("\x1b" in terminal.text) == ("TERM" not in changes and "NO_COLOR" not in changes)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", [[], ["build"], ["check"], ["verify"], ["show"]])
def test_help(width: int, command: list[str]) -> None:
    with on_terminal(*command, "--help", columns=width) as terminal:
        assert terminal.wait() == 0
    look(terminal.text, width)


@pytest.fixture
def first(corpus: Path, tmp_path: Path) -> Iterator[Terminal]:
    with on_terminal(*arguments(corpus, tmp_path), columns=80) as terminal:
        yield terminal


def test_a_build_that_waits_for_another_shows_how_long(
    corpus: Path, tmp_path: Path, first: Terminal
) -> None:
    first.until(PROGRESS.search)
    first.send(signal.SIGSTOP)
    with on_terminal(*arguments(corpus, tmp_path), columns=60) as second:
        second.until(lambda text: re.search(r"\r\d:\d\d:\d\d so far  waiting for", text))
        look(second.text, 60)
        assert "waiting for it to end" in " ".join(second.text.split())
        second.send(signal.SIGTERM)
        second.wait()
        look(second.text, 60)
    first.send(signal.SIGCONT)
    first.wait()
