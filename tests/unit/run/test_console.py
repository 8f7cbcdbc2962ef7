"""Log messages on stderr: for the command line, for builds in Python, and beside progress bars."""

from __future__ import annotations

import contextlib
import io
import logging
import pickle

import pytest
from support.processes import run_python

from imagenet_builders.run import console
from imagenet_builders.run.progress import Progress

LOG = logging.getLogger("imagenet_builders.somewhere")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_messages_are_shown_and_warnings_marked() -> None:
    before = (console.LOGGER.handlers[:], console.LOGGER.level, console.LOGGER.propagate)
    with contextlib.redirect_stderr(io.StringIO()) as stderr, console.shown():
        LOG.info("one of 100 %")
        LOG.warning("two")
        LOG.debug("three")
    LOG.warning("four")
    assert stderr.getvalue() == "one of 100 %\nimagenet-builders: warning: two\n"
    assert before == (console.LOGGER.handlers, console.LOGGER.level, console.LOGGER.propagate)


def test_warnings_can_be_collected_instead() -> None:
    with contextlib.redirect_stderr(io.StringIO()) as stderr, console.shown():
        with console.collected_warnings() as warnings:
            LOG.warning("one")
            LOG.info("two")
        LOG.warning("three")
    assert [each.getMessage() for each in warnings] == ["one"]
    assert stderr.getvalue() == "two\nimagenet-builders: warning: three\n"


def test_what_one_process_collects_another_shows() -> None:
    before = (console.LOGGER.handlers[:], console.LOGGER.level, console.LOGGER.propagate)
    with contextlib.redirect_stderr(io.StringIO()) as stderr, console.collected() as said:
        LOG.info("one of 100 %")
        LOG.warning("two: %s", 2)
        LOG.debug("three")
    assert before == (console.LOGGER.handlers, console.LOGGER.level, console.LOGGER.propagate)
    assert stderr.getvalue() == ""
    records = pickle.loads(pickle.dumps(said))
    with contextlib.redirect_stderr(io.StringIO()) as stderr, console.shown():
        console.show(records)
    assert stderr.getvalue() == "one of 100 %\nimagenet-builders: warning: two: 2\n"
    with contextlib.redirect_stderr(io.StringIO()) as stderr, console.shown():
        LOG.setLevel(logging.WARNING)
        try:
            console.show(records)
        finally:
            LOG.setLevel(logging.NOTSET)
    assert stderr.getvalue() == "imagenet-builders: warning: two: 2\n"


@pytest.mark.parametrize("ours", [True, False])
def test_a_message_and_a_bar_do_not_share_a_line(ours: bool) -> None:
    """Whoever shows it: our own handler, or one that the program has."""
    with contextlib.redirect_stderr(Terminal()) as stderr, contextlib.ExitStack() as stack:
        if ours:
            stack.enter_context(console.shown())
        else:
            theirs = logging.StreamHandler(stderr)
            logging.root.addHandler(theirs)
            stack.callback(logging.root.removeHandler, theirs)
        with Progress("x", images=4, size=4) as progress:
            progress.update(1, 1)
            LOG.info("a message")
            progress.update(1, 1)
    screen = [line.rstrip("\r").rpartition("\r")[2] for line in stderr.getvalue().split("\n")]
    assert screen[0] == "a message"
    assert screen[1].rstrip().endswith("x: 2 of 4 images")


_BUILD = """
import logging, sys
from imagenet_builders.run import console
{configure}
with console.shown_unless_configured():
    logging.getLogger("imagenet_builders.x").info("announced")
    logging.getLogger("imagenet_builders.x").warning("warned of")
"""


@pytest.mark.parametrize(
    ("configure", "said"),
    [
        ("", ["announced", "imagenet-builders: warning: warned of"]),
        (
            "logging.getLogger('imagenet_builders').setLevel(logging.WARNING)",
            ["imagenet-builders: warning: warned of"],
        ),
        # As `tfds build` does: it would show neither.
        (
            "import absl.logging; absl.logging.use_absl_handler()",
            ["announced", "imagenet-builders: warning: warned of"],
        ),
        ("logging.basicConfig(stream=sys.stdout)", ["WARNING:imagenet_builders.x:warned of"]),
        (
            "logging.basicConfig(stream=sys.stdout, level=logging.INFO)",
            ["INFO:imagenet_builders.x:announced", "WARNING:imagenet_builders.x:warned of"],
        ),
    ],
)
def test_a_python_program_configures_the_messages_it_sees(configure: str, said: list[str]) -> None:
    code = "import sys; sys.stderr = sys.stdout\n" + _BUILD.format(configure=configure)
    assert run_python(code).splitlines() == said
