"""The values of a report: rows of the table, problems, and the needs of a build."""

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
    """A source of a split, or of its boxes.

    Attributes:
        dataset: Name of the dataset.
        config: Configuration, or None where there are none.
        split: Name of the split.
        part: `images` or `boxes`.
        kind: Kind of the source, such as `tar`; empty where nothing is staged.
        layout: The layout that it belongs to, in words.
        paths: Its files or folders.
        preferred: Whether a build would take this source.
        images_expected: Images of the official split; None where that is not known.
        images_found: Images there; None where they have not been counted.
        size: Bytes of the files; None where there are too many files to ask.
        official_size: Bytes of the official files; None where that is not known.
        verdict: `official` (by its hash), `listed` (as the site's own list of hashes has it), `ok`,
            `odd`, `spare` (another is preferred), `bad` or `missing`.
        note: A remark, or empty.
        unread: Which names a build will read and the check has not, in words; empty for none.
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
    unread: str = ""
    hashes: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The dataset, with its configuration if it has any."""
        return full_name(self.dataset, self.config)


@dataclasses.dataclass(frozen=True)
class Other:
    """Something that is there and is not read.

    Attributes:
        path: The file or folder; the first of several whose names differ in numbers alone.
        count: How many there are.
        what: What it is, in words; empty where that is not known.
        way: The way from there to what is read, in words; empty where there is nothing to say.
        is_folder: Whether it is a folder.
    """

    path: Path
    count: int = 1
    what: str = ""
    way: str = ""
    is_folder: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """A directory that a build writes to.

    Attributes:
        path: The directory; it may not exist yet.
        needed: Bytes that the build needs there, estimated.
        free: Bytes free; None where the file system does not say.
        files: Files that the build makes there.
        free_files: Files that can still be made; None where the file system does not say.
        quota: Whose quota leaves no more bytes free, in words; None where the file system does.
        files_quota: The same of files.
        quotas_seen: Whether all quotas are counted.
    """

    path: Path
    needed: int
    free: int | None
    files: int
    free_files: int | None
    quota: str | None = None
    files_quota: str | None = None
    quotas_seen: bool = False


@dataclasses.dataclass(frozen=True)
class Needs:
    """The space that a build of everything asked for needs.

    Attributes:
        output: The directory for datasets.
        scratch: The directory for indexes and unpacked archives; the most that is there at one
            time.
        unknown: Datasets whose size cannot be estimated; they are not counted.
        same_device: Whether both are on one file system, and must fit together.
        copies: The part of `scratch` that copies need (`--stage`); None without that option.
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
        needs: The space that a build needs, or None where nothing can be built.
        others: What else is there, the known packagings first.
        speed: The speed of reading the largest archive, if it was measured.
        notes: What else a build will do, in whole sentences.
    """

    manual_dir: Path
    asked_for: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    needs: Needs | None
    others: tuple[Other, ...] = ()
    speed: Speed | None = None
    notes: tuple[str, ...] = ()

    @property
    def can_be_built(self) -> bool:
        """Whether everything asked for can be built."""
        return bool(self.rows) and all(problem.severity != ERROR for problem in self.problems)


def full_name(dataset: str, config: str | None) -> str:
    """The name of a dataset, with its configuration if it has any."""
    return f"{dataset}/{config}" if config else dataset
