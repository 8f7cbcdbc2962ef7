"""Indexes what is staged with the function that a build calls, which walks every header and name.

It finds what a build would find. The index stays in the scratch directory, so a build that follows
with the same directory has nothing left to index.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagenet_builders.check.gather import Checked
from imagenet_builders.check.report import BAD, MISSING
from imagenet_builders.check.targets import Target
from imagenet_builders.errors import ArchiveError, ImagenetBuildersError
from imagenet_builders.locate.found import Found
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.plan import check_once
from imagenet_builders.run import console
from imagenet_builders.run.cpus import worker_count
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import phase
from imagenet_builders.scratch.space import make_scratch
from imagenet_builders.sources.inspection import ERROR, WARNING, Problem, halves
from imagenet_builders.sources.reader import keep_files_open
from imagenet_builders.words import printable


def index_all(
    checked: Sequence[Checked],
    data_dir: Path,
    options: BuildOptions,
    announce: Callable[[str], None] = lambda text: None,
) -> tuple[list[Checked], list[Problem]]:
    """Indexes every dataset that a build could build.

    Args:
        checked: What was checked.
        data_dir: Directory for the datasets, which may decide where the scratch directory is.
        options: As for the build.
        announce: Is called with the target that is indexed next.

    Returns:
        The rows with their numbers of images, and the problems.

    Raises:
        OptionError: The scratch directory was chosen and cannot be used.
    """
    jobs = _jobs(checked)
    counts: dict[str, dict[str, int]] = {}
    problems: list[Problem] = []
    with (
        LocalWorkers(worker_count(options), on_start=keep_files_open) as workers,
        contextlib.ExitStack() as at_end,
    ):
        scratch = make_scratch(options.scratch_for(data_dir), options)
        context = BuildContext(scratch, options, workers, at_end=at_end)
        for target, found in jobs:
            announce(f"{target.name}: {', '.join(found)}")
            with console.collected_warnings() as warnings, phase(f"walking {target.name}") as shown:
                try:
                    recipes = target.dataset.indexed(
                        target.manual_dir,
                        target.config.name,
                        dataclasses.replace(context, workers=shown.counting(workers)),
                        found if target.dataset.splits_apart else None,
                    )
                    for each in recipes:
                        check_once(each.split, each.index)
                    indexed = {each.split: len(each.index) for each in recipes}
                    counts.setdefault(target.name, {}).update(indexed)
                except (ImagenetBuildersError, OSError) as error:
                    problems.append(_problem(target, error))
            problems += [
                target.problem(
                    WARNING, "", warning.getMessage(), action="see whether that is meant"
                )
                for warning in warnings
                # `explain` has reported what is not staged.
                if not hasattr(warning, "missing_split")
            ]
    return [_counted(one, counts) for one in checked], problems


def _jobs(checked: Sequence[Checked]) -> list[tuple[Target, dict[str, Found]]]:
    """What one call indexes: a split, or all splits of a dataset that indexes them together."""
    jobs: dict[tuple[Target, str], dict[str, Found]] = {}
    bad: set[tuple[Target, str]] = set()
    for one in checked:
        if one.found is None or not one.row.preferred:
            continue
        job = (one.target, one.row.split if one.target.dataset.splits_apart else "")
        if one.row.verdict == BAD:  # The inspection has said why.
            bad.add(job)
        if one.row.part == "images":
            jobs.setdefault(job, {})[one.row.split] = one.found
    return [
        (target, found) for (target, split), found in jobs.items() if (target, split) not in bad
    ]


def _problem(target: Target, error: Exception) -> Problem:
    expected, action = "a source with every header and name sound", "see the reason given"
    problem = target.problem(ERROR, expected, str(error), action=action)
    if isinstance(error, ArchiveError):
        text = problem.found.removeprefix(f"{printable(error.archive)}: ")
        text = text.removeprefix(f"{printable(error.archive)}, ")
        expected, text = halves(expected, text)
        return dataclasses.replace(
            problem, path=str(Path(error.archive)), expected=expected, found=text
        )
    return problem


def _counted(one: Checked, counts: Mapping[str, Mapping[str, int]]) -> Checked:
    row = one.row
    if not row.preferred or row.verdict == MISSING:
        return one
    number = counts.get(row.name, {}).get(row.split)
    if number is None:
        return dataclasses.replace(one, row=dataclasses.replace(row, verdict=BAD))
    counted = number if row.part == "images" else None
    return dataclasses.replace(one, row=dataclasses.replace(row, images_found=counted, unread=""))
