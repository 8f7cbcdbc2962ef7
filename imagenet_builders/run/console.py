"""Shows people the package's log messages, in lines that do not tear the progress bar.

The modules log to loggers of their names: at INFO what a build does, at WARNING what somebody
should look at. The command line shows both on stderr. So do a build in Python and `tfds build`,
unless the program has handlers of its own: then these decide.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from imagenet_builders.run.terminal import Screen, folded, screen_of
from imagenet_builders.words import printable

LOGGER = logging.getLogger("imagenet_builders")
"""The logger above those of all modules."""


class _Console(logging.Handler):
    """Writes messages to stderr, and warnings with a word that says so."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = printable(record.getMessage())
            if record.levelno >= logging.WARNING:
                text = f"imagenet-builders: {record.levelname.lower()}: {text}"
            with screen_of(sys.stderr).aside(), _without_bars():
                sys.stderr.write(f"{folded(text, sys.stderr)}\n")
                sys.stderr.flush()
        except Exception:
            self.handleError(record)


class Aside(logging.Handler):
    """Takes away what a screen shows, so that another handler does not write behind it.

    Args:
        screen: The screen; it shows its line again soon.
    """

    def __init__(self, screen: Screen):
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Takes it away; handlers of loggers further up write after that."""
        self._screen.clear()


class _Collector(logging.Handler):
    def __init__(self, level: int):
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def shown_unless_configured() -> AbstractContextManager[None]:
    """Shows messages while the block runs, unless the program has handlers that get them.

    That of absl does not count: `tfds build` installs it, and it drops what a build announces.
    """
    handlers = (*LOGGER.handlers, *logging.getLogger().handlers)
    others = (each for each in handlers if not isinstance(each, Aside))
    if any(type(handler).__module__.partition(".")[0] != "absl" for handler in others):
        return contextlib.nullcontext()
    return shown()


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Shows messages on stderr, and nowhere else, while the block runs."""
    with _handled_by(_Console()):
        yield


@contextlib.contextmanager
def collected() -> Iterator[list[logging.LogRecord]]:
    """Collects the messages that the block logs, for another process to show them."""
    collector = _Collector(logging.INFO)
    with _handled_by(collector):
        yield collector.records


def show(records: Iterable[logging.LogRecord]) -> None:
    """Logs what another process has collected."""
    for record in records:
        log = logging.getLogger(record.name)
        if log.isEnabledFor(record.levelno):
            log.handle(record)


@contextlib.contextmanager
def _handled_by(handler: logging.Handler) -> Iterator[None]:
    level, propagate = LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    if level == logging.NOTSET:
        LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.propagate = propagate
        LOGGER.setLevel(level)


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[logging.LogRecord]]:
    """Collects the warnings that the block logs, which `shown` then does not show."""
    collector = _Collector(logging.WARNING)
    others = list(LOGGER.handlers)
    for handler in others:
        handler.addFilter(_is_no_warning)
    LOGGER.addHandler(collector)
    try:
        yield collector.records
    finally:
        LOGGER.removeHandler(collector)
        for handler in others:
            handler.removeFilter(_is_no_warning)


def _is_no_warning(record: logging.LogRecord) -> bool:
    return record.levelno < logging.WARNING


def _without_bars() -> AbstractContextManager[None]:
    """Takes away the bars of others, such as TensorFlow Datasets, while the block writes."""
    if "tqdm" not in sys.modules:
        return contextlib.nullcontext()
    from tqdm import tqdm

    return tqdm.external_write_mode(file=sys.stderr)
