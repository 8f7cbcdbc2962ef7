"""What the package logs while something is done."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextlib.contextmanager
def warned(pattern: str) -> Iterator[list[str]]:
    """Collects the warnings of the block, one of which must contain the pattern."""
    logger, handler = logging.getLogger("imagenet_builders"), _Warnings()
    logger.addHandler(handler)
    try:
        yield handler.texts
    finally:
        logger.removeHandler(handler)
    assert any(re.search(pattern, text) for text in handler.texts), handler.texts
