"""What verification found: of a split, and of a dataset."""

from __future__ import annotations

import dataclasses

from imagenet_builders.verify.problems import Problem


@dataclasses.dataclass(frozen=True)
class SplitVerdict:
    """What was read of a split.

    Attributes:
        examples: Number of records that were read.
        expected_examples: Number of records according to `dataset_info.json`.
        official_examples: Images that the official split has, or None where it is not known.
        record_bytes: Bytes of the records that were read.
        shards: Number of shards.
        classes: Number of labels that examples have; that of images without one, -1, is none.
    """

    examples: int
    expected_examples: int
    official_examples: int | None
    record_bytes: int
    shards: int
    classes: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What verification found.

    Attributes:
        dataset: Its name with configuration and version; its directory where these are unknown.
        directory: Where it is.
        file_format: Name of the output that wrote it, or None where that is unknown.
        splits: What was read of each split.
        problems: The first of the problems.
        problem_count: The number of all problems; 0 for a dataset that is right.
        notes: Sentences about what is worth knowing but no problem.
        sealed: Whether its provenance has checksums of every file.
        decoded: Whether every pixel was decoded.
        seconds: How long it took.
    """

    dataset: str
    directory: str
    file_format: str | None = None
    splits: dict[str, SplitVerdict] = dataclasses.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    notes: tuple[str, ...] = ()
    sealed: bool = False
    decoded: bool = False
    seconds: float = 0.0
