"""How things are worded for people: numbers, and text that came from anywhere.

Names and contents of files may hold characters that act on a terminal, or that make a line read as
another. `printable` is the one function that takes them away. What leaves for people goes through
it: errors when they are made, log messages, what the command line prints.

>>> size_text(265_728), counted(1, "image"), counted(1_200, "image"), duration_text(4_000)
('266 kB', '1 image', '1,200 images', '1:06:40')
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

_Value = TypeVar("_Value")

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def size_text(size: int) -> str:
    """A number of bytes in the unit that fits, in about six characters."""
    for unit, factor in _UNITS:
        if size >= factor:
            return f"{size / factor:.{0 if size >= 100 * factor else 1}f} {unit}"
    return f"{size} B"


def sizes_apart(size: int, other: int) -> tuple[str, str]:
    """Two numbers of bytes that a message compares: exact where their short forms are the same.

    >>> sizes_apart(148_400_000_000, 148_100_000_000)
    ('148,400,000,000 bytes', '148,100,000,000 bytes')
    """
    texts = size_text(size), size_text(other)
    if texts[0] == texts[1]:
        return counted(size, "byte"), counted(other, "byte")
    return texts


def counted(count: int, what: str, plural: str | None = None) -> str:
    """A number and what it counts, in the singular or the plural.

    >>> counted(0, "shard"), counted(1, "archive"), counted(2, "class", "classes")
    ('0 shards', '1 archive', '2 classes')
    """
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def duration_text(seconds: float) -> str:
    """A duration as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def printable(text: str) -> str:
    r"""Text in which every character that does not show is an escape.

    Such are control characters (ESC, BEL, new lines, DEL, those of C1), separators of lines and
    paragraphs, marks that change the direction of writing or join and hide letters, lone
    surrogates, and what Unicode has not assigned. Letters of all scripts stay, and so does what was
    escaped before.

    >>> printable("a\x1b[2J\u202eb\n"), printable("é, 日本")
    ('a\\x1b[2J\\u202eb\\n', 'é, 日本')
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def is_printable(text: str) -> bool:
    r"""Whether all of a text shows, so that `printable` gives it as it is.

    >>> is_printable("naïve"), is_printable("two\nlines")
    (True, False)
    """
    return text.isprintable()


def all_printable(value: _Value) -> _Value:
    """A value, with all text and paths in it printable.

    Args:
        value: Text, a path, a number, a dataclass, or tuples, lists and mappings of these.

    Returns:
        One like it.
    """
    return _all_printable(value)  # type: ignore[no-any-return]  # Of the same type.


def _all_printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Path):
        return type(value)(printable(str(value)))
    if isinstance(value, tuple | list):
        parts = map(_all_printable, value)
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, Mapping):
        return {printable(str(key)): _all_printable(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(
            value, **{name: _all_printable(getattr(value, name)) for name in fields}
        )
    return value


def logger(name: str) -> logging.Logger:
    """The logger of a module of this package; whoever shows its messages, they are printable.

    Args:
        name: The name of the module.
    """
    found = logging.getLogger(name)
    found.addFilter(_make_printable)
    return found


def _make_printable(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), None
    return True
