"""What a source holds, as far as names say: images, classes, shards, batches; and what lacks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from imagenet_builders.check import inspect_files
from imagenet_builders.check.targets import Target
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import WARNING, Counted, Inspection, Problem
from imagenet_builders.sources.kinds import Expected

# So many missing classes are named.
_NAMED = 5


def inspect_source(
    target: Target, found: Found, looks: Mapping[Path, Inspection]
) -> tuple[Counted, list[Problem]]:
    """Counts what a source holds, where names are enough, and says what lacks.

    Args:
        target: What it provides a split of.
        found: The source.
        looks: What a look at each file showed.

    Returns:
        What was counted, and the problems.
    """
    path = found.paths[0]
    try:
        of_split = target.split(found.split)
        expected = Expected(of_split.images, of_split.folders, of_split.files)
        counted, problems = kinds.kind(found.kind).count(found, looks, expected)
    except OSError as error:
        where = Path(error.filename) if error.filename else path
        return Counted(), [inspect_files.unreadable(where, error)]
    lacking = _missing_classes(path, counted, target.config.classes())
    official = expected.images
    count = counted.images
    if (
        lacking is None
        and os.path.isdir(path)
        and None not in (count, official)
        and count != official
    ):
        lacking = Problem(
            WARNING,
            str(path),
            f"{official:,} images",
            f"{count:,}",
            "a subset, or a copy that was not finished",
            "copy what is missing, or build without it",
        )
    return counted, [*problems, *([lacking] if lacking is not None else [])]


def _missing_classes(path: Path, counted: Counted, known: Sequence[str]) -> Problem | None:
    """The problem of classes that are not there, or None.

    Args:
        path: The source.
        counted: What was counted of it.
        known: All classes of the dataset.
    """
    if counted.classes is None:
        return None
    missing = sorted(set(known) - counted.classes)
    if not missing:
        return None
    more = ", ..." if len(missing) > _NAMED else ""
    return Problem(
        WARNING,
        str(path),
        f"all {len(known):,} classes",
        f"{len(known) - len(missing):,}; none of {', '.join(missing[:_NAMED])}{more} "
        f"({len(missing):,} in all)",
        "a subset, or a copy that was not finished",
        "copy what is missing, or build without it; --strict refuses it",
    )
