"""What is wrong with a dataset, as sentences; however many problems there are, few are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from imagenet_builders.words import printable

REBUILD = "build it anew with --overwrite"
REBUILD_DECODED = (
    "the archive that it was built from may have the same damage: compare that (check --hash), "
    "then build with --overwrite --decode"
)

SHOWN = 20
"""Number of problems that are kept of a shard, and of a dataset; the others are only counted."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        path: The file or directory.
        what: What is wrong, in words.
        record: The record in the file, counted from 0, or None.
        offset: Byte offset in the file, or None.
        expected: What should be there, or None.
        found: What is there, or None.
        advice: What to do.
    """

    path: str
    what: str
    record: int | None = None
    offset: int | None = None
    expected: str | None = None
    found: str | None = None
    advice: str = REBUILD

    @property
    def sentence(self) -> str:
        """The whole problem in one sentence, without control characters."""
        where = self.path
        if self.record is not None:
            where += f", record {self.record:,}"
        if self.offset is not None:
            where += f", at byte {self.offset:,}"
        text = f"{where}: {self.what}"
        if self.expected is not None:
            text += f"; expected {self.expected}"
            text += f", found {self.found}" if self.found is not None else ""
        elif self.found is not None:
            text += f"; found {self.found}"
        text += f"; {self.advice}"
        return printable(text)


class Problems:
    """Collects problems: keeps the first `SHOWN` of them and counts all.

    Attributes:
        kept: The first problems.
        count: The number of all.
        notes: Sentences about what is worth knowing but no problem.
    """

    def __init__(self, notes: Iterable[str] = ()) -> None:
        self.kept: list[Problem] = []
        self.count = 0
        self.notes = list(notes)

    def add(self, problem: Problem) -> None:
        """Adds a problem."""
        self.count += 1
        if len(self.kept) < SHOWN:
            self.kept.append(problem)

    def note(self, sentence: str) -> None:
        """Adds a note."""
        self.notes.append(sentence)

    def extend(self, problems: Iterable[Problem], count: int) -> None:
        """Adds `count` problems, of which some are given."""
        room = SHOWN - len(self.kept)
        self.kept += list(problems)[:room]
        self.count += count
