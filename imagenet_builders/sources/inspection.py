"""What an inspection of staged files finds: the values that a kind of source hands to `check`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from imagenet_builders.errors import ArchiveError, ImagenetBuildersError
from imagenet_builders.formats import signatures
from imagenet_builders.formats.signatures import Signature
from imagenet_builders.locate.links import Links
from imagenet_builders.words import printable

ERROR = "error"
"""A build of it would fail, or would not be what it claims to be."""
WARNING = "warning"
"""A build would go on, and somebody should know."""

COPY_AGAIN = "copy it again, and compare its hash (--hash)"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is wrong, or odd.

    Attributes:
        severity: `ERROR` or `WARNING`.
        path: Where.
        expected: What should be there.
        found: What is there.
        cause: How that probably came about; empty where nobody knows.
        action: What to do about it.
        datasets: Whom it concerns, names with `/config` where there are configurations.
    """

    severity: str
    path: str
    expected: str
    found: str
    cause: str
    action: str
    datasets: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Wrong:
    """What is wrong with the bytes of a file; the words of a `Problem`."""

    expected: str
    found: str
    cause: str = ""
    action: str = COPY_AGAIN


def foreign(block: bytes, name: str, expected: Signature) -> Wrong | None:
    """What is wrong with a file that is something else by its first bytes, or None.

    Args:
        block: The first `signatures.BYTES` of the file.
        name: What it should be, in words.
        expected: The format that it should have.
    """
    other = signatures.foreign(block, expected)
    return None if other is None else Wrong(name, other.name, "", other.action)


def refused(error: ImagenetBuildersError, path: Path) -> Problem:
    """The problem of a source that a build will refuse, in the words of the build.

    Args:
        error: What the rule of a build says.
        path: The source.
    """
    where = error.archive if isinstance(error, ArchiveError) else str(path)
    shown = printable(where)
    text = str(error).removeprefix(f"{shown}: ").removeprefix(f"{shown}, ")
    expected, text = halves("what a build reads", text)
    return Problem(ERROR, where, expected, text, "", "see the reason given")


def halves(expected: str, text: str) -> tuple[str, str]:
    """What was expected and what was found, where the words of a build say both.

    Args:
        expected: What was expected where they do not.
        text: The words of the build.

    >>> halves("what a build reads", "expected a zip archive, found a tar archive")
    ('a zip archive', 'a tar archive')
    """
    before, found, after = text.partition(", found ")
    if not (found and before.startswith("expected ")):
        return expected, text
    return before.removeprefix("expected "), after


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What the size, the first and the last bytes of a file show.

    Attributes:
        path: The file.
        size: Its bytes, or None where it is not there.
        problems: What is wrong or odd.
        names: Names of the members, where the format has a directory.
    """

    path: Path
    size: int | None
    problems: tuple[Problem, ...] = ()
    names: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Counted:
    """What was counted of a source.

    Attributes:
        images: Images, or None where they would take too long to count.
        classes: Wnids that are there; None where they cannot be known, or there are none.
        mean_bytes: Mean bytes of some of the images, or None.
        total_bytes: About how many bytes all have, where some were looked at, or None.
        unpacked_bytes: Bytes that a build unpacks to scratch space, beside what the kind of source
            always does.
        refused: What a build refuses: a path that does not belong where images lie, or a class
            folder without any, each with the words of what it is.
        passed_over: Files of operating systems among images, which a build passes over and names.
        unread: Which names a build will read and nobody has looked at, in words; empty where there
            are none.
        links: Links among the images that lead out of their folder.
    """

    images: int | None = None
    classes: frozenset[str] | None = None
    mean_bytes: float | None = None
    total_bytes: int | None = None
    unpacked_bytes: int = 0
    refused: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[str, ...] = ()
    unread: str = ""
    links: Links = dataclasses.field(default_factory=dict)
