"""Compares what is staged with the datasets that are there: a build adds the splits they lack."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from imagenet_builders.check.targets import Surveyed
from imagenet_builders.sources.inspection import WARNING, Problem


@dataclasses.dataclass(frozen=True)
class Later:
    """What is staged and not in the datasets that are there.

    Attributes:
        notes: What a build will add, in whole sentences.
        problems: What it will not add.
        kept: Names of datasets, each with a split that it has and that a build will not write.
        whole: Names of datasets to which a build will not write.
    """

    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    kept: frozenset[tuple[str, str]] = frozenset()
    whole: frozenset[str] = frozenset()


def look(surveyed: Iterable[Surveyed], data_dir: Path, source: str | None) -> Later:
    """Looks at the dataset of each survey, if it is there.

    Args:
        surveyed: The surveys.
        data_dir: Directory of the datasets.
        source: The kind of source that a build would be asked to take, or None.
    """
    notes, problems, kept = list[str](), list[Problem](), set[tuple[str, str]]()
    whole = set[str]()
    for each in surveyed:
        path = each.target.path(data_dir)
        if not os.path.isfile(path / "dataset_info.json"):
            continue
        # Plans are made with NumPy, which a check where nothing is built yet does not wait for.
        from imagenet_builders.publish import addition
        from imagenet_builders.publish.addition import NotAddableError
        from imagenet_builders.publish.published import limit_of

        # A part, built to try things out, is replaced as a whole.
        if limit_of(path) is not None:
            continue
        whole.add(each.target.name)
        new = addition.staged_later(path, each.survey, source)
        try:
            there = addition.read(path)
        except NotAddableError as error:
            if new:
                problems.append(_not_added(each, path, new, str(error)))
            continue
        problems += [
            Problem(
                WARNING,
                str(path),
                f"{what}, staged by now",
                "a dataset that was built without",
                "",
                "to have all in it, build it anew with --overwrite",
                (each.target.name,),
            )
            for what in there.built_without(each.survey)
        ]
        reason, copied = there.compare_staged(each.survey, source) if new else (None, [])
        if reason is not None:
            reason += "; to add what is new all the same, stage it alone, in another --manual-dir"
            problems.append(_not_added(each, path, new, reason))
        elif new:
            unless = f", if {', '.join(copied)} is a copy of what it was built from" * bool(copied)
            notes.append(
                f"{path} has no {' and no '.join(new)}, staged by now: a build adds it, and keeps "
                f"{', '.join(there.splits)} unchanged{unless}."
            )
            whole.remove(each.target.name)
            kept |= {(each.target.name, split) for split in there.splits}
    return Later(tuple(notes), tuple(problems), frozenset(kept), frozenset(whole))


def _not_added(each: Surveyed, path: Path, new: Iterable[str], reason: str) -> Problem:
    return Problem(
        WARNING,
        str(path),
        f"a dataset with the {', '.join(new)} that is staged",
        "a dataset without, to which it cannot be added",
        reason,
        "to build all that is staged anew, build with --overwrite",
        (each.target.name,),
    )
