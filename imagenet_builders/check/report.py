"""What a check finds, as values: rows of a table, problems, and what a build needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.sources.inspection import ERROR, Problem

if TYPE_CHECKING:
    from imagenet_builders.check.speed import Speed

# Verdicts on a row, from the worst to the best.
MISSING, BAD, ODD, SPARE, OK, LISTED, OFFICIAL = (
    "missing",
    "bad",
    "odd",
    "spare",
    "ok",
    "listed",
    "official",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A split, or its boxes, and something that provides it.

    Attributes:
        dataset: Name of the dataset.
        config: Configuration, or None where there are none.
        split: Name of the split.
        part: `images` or `boxes`.
        kind: How it is read, such as `tar`; empty where nothing is staged.
        layout: Whose layout it is, in words.
        paths: What is read.
        preferred: Whether a build would take this one.
        images_expected: Images of the official split; None where that is not known.
        images_found: Images there; None where they have not been counted.
        size: Bytes of the files; None where that would take a look at too many.
        official_size: Bytes of the official files; None where that is not known.
        verdict: `official` (by its hash), `listed` (as the site's own list of hashes has it), `ok`,
            `odd`, `spare` (another is preferred), `bad` or `missing`.
        note: What else is worth saying.
        hashes: Path to algorithm to hash in hexadecimal, as far as known.
    """

    dataset: str
    config: str | None
    split: str
    part: str
    kind: str = ""
    layout: str = ""
    paths: tuple[Path, ...] = ()
    preferred: bool = True
    images_expected: int | None = None
    images_found: int | None = None
    size: int | None = None
    official_size: int | None = None
    verdict: str = OK
    note: str = ""
    hashes: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The dataset, with its configuration if it has any."""
        return full_name(self.dataset, self.config)


@dataclasses.dataclass(frozen=True)
class Place:
    """A directory that a build writes to.

    Attributes:
        path: The directory; it may not exist yet.
        needed: Bytes that are needed there, about.
        free: Bytes free; None where the file system does not say.
        files: Files that are needed there.
        free_files: Files that can still be made; None where the file system does not say.
    """

    path: Path
    needed: int
    free: int | None
    files: int
    free_files: int | None


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a build of everything asked for writes.

    Attributes:
        output: Where the datasets go.
        scratch: Where indexes and what must be unpacked go; the largest that is there at one time.
        unknown: The datasets of which the size cannot be estimated, which are not counted.
        same_device: Whether both are on one file system, and must fit together.
        copies: Bytes of the copies in scratch (`--stage`), the most that are there at one time;
            they are counted there. None where nothing is copied because nobody asked for it.
    """

    output: Place
    scratch: Place
    unknown: tuple[str, ...] = ()
    same_device: bool = False
    copies: int | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """All that a check found.

    Attributes:
        manual_dir: What was checked.
        asked_for: Datasets asked for, with `/config` where one was; empty for all that is found.
        rows: The table.
        problems: All problems, errors first.
        needs: What a build needs, or None where nothing can be built.
        speed: How fast the largest archive is read, if that was measured.
    """

    manual_dir: Path
    asked_for: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    needs: Needs | None
    speed: Speed | None = None

    @property
    def can_be_built(self) -> bool:
        """Whether everything asked for can be built."""
        return bool(self.rows) and all(problem.severity != ERROR for problem in self.problems)


def full_name(dataset: str, config: str | None) -> str:
    """The name of a dataset, with its configuration if it has any."""
    return f"{dataset}/{config}" if config else dataset
