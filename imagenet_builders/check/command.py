"""Runs the steps of a check in order: inspect, hash, index, compare with the free space."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from imagenet_builders.check import gather, hash_verdicts, hashing, needs, staged_later
from imagenet_builders.check.gather import Checked
from imagenet_builders.check.report import BAD, MISSING, Report
from imagenet_builders.options import BuildOptions, default_data_dir
from imagenet_builders.run.cpus import worker_count
from imagenet_builders.run.progress import Progress, phase
from imagenet_builders.scratch import to_copy
from imagenet_builders.sources.inspection import ERROR, WARNING, Problem
from imagenet_builders.words import logger

_LOG = logger(__name__)


@dataclasses.dataclass(frozen=True)
class Request:
    """What to check.

    Attributes:
        manual_dir: The directory with the archives.
        asked: Datasets asked for, each with a configuration or None for all; empty for whatever
            is found.
        add_name: Look for each dataset in the directory of its name below `manual_dir`.
        hash: Read the archives and compare their hashes.
        deep: Walk every header and name.
        speed: Measure how fast the largest archive is read.
        data_dir: Where datasets would go; None for TFDS's default.
        options: As for a build.
    """

    manual_dir: Path
    asked: tuple[tuple[str, str | None], ...] = ()
    add_name: bool = False
    hash: bool = False
    deep: bool = False
    speed: bool = False
    data_dir: Path | None = None
    options: BuildOptions = dataclasses.field(default_factory=BuildOptions)


def run(request: Request, log: TextIO) -> Report:
    """Checks.

    Args:
        request: What to check.
        log: Stream for progress.

    Returns:
        The report.
    """
    with phase(f"looking at {request.manual_dir}", stream=log):
        report, checked, surveyed = gather.check(
            request.manual_dir,
            request.asked,
            add_name=request.add_name,
            source=request.options.source,
        )
    problems = list(report.problems)
    hashed = hash_verdicts.remembered(checked)
    if request.hash:
        files, unreadable = hash_verdicts.files_to_hash(checked, request.manual_dir)
        hashed |= _hash(files, worker_count(request.options), log)
        problems += [_unreadable_list(each) for each in unreadable]
    checked, more = hash_verdicts.judge_all(checked, hashed, request.manual_dir)
    problems += more
    data_dir = request.data_dir or default_data_dir()
    if request.deep and checked:
        from imagenet_builders.check import deep

        checked, more = deep.index_all(
            checked,
            data_dir,
            request.options,
            lambda name: _LOG.info(f"walking {name}"),
        )
        problems += more
    with phase(f"looking at {data_dir}", stream=log):
        later = staged_later.look(surveyed, data_dir, request.options.source)
    problems += later.problems
    written = [one for one in checked if (one.row.name, one.row.split) not in later.kept]
    needed = needs.needs_of(written, data_dir, request.options)
    if needed is not None:
        chosen = request.data_dir is not None or bool(os.environ.get("TFDS_DATA_DIR"))
        problems += needs.shortages(needed, chosen=chosen)
        targets = [one.target for one in written if one.row.name not in later.whole]
        problems += needs.refusals(needed, targets, chosen=chosen)
    measured = None
    if request.speed:
        from imagenet_builders.check import speed

        scratch = request.options.scratch_for(data_dir)
        with phase("measuring the speed of reading", stream=log):
            measured = speed.measure(_archives_of_datasets(checked), scratch)
    if request.options.strict:
        problems = [dataclasses.replace(problem, severity=ERROR) for problem in problems]
    return dataclasses.replace(
        report,
        rows=tuple(one.row for one in checked),
        problems=gather.merged(problems),
        needs=needed,
        speed=measured,
        notes=later.notes,
    )


def _archives_of_datasets(checked: Sequence[Checked]) -> list[list[Path]]:
    """The archives that a build of each dataset would read."""
    by_dataset: dict[str, dict[Path, None]] = {}
    for one in checked:
        if one.found is not None and one.row.preferred and one.row.verdict not in (MISSING, BAD):
            files = dict.fromkeys(to_copy.archives_of(one.found))
            by_dataset.setdefault(one.row.name, {}).update(files)
    return [list(files) for files in by_dataset.values()]


def _hash(files: list[Path], threads: int, log: TextIO) -> dict[Path, hashing.Hashed]:
    """Hashes files; progress is a bar on a terminal, and else one line per minute."""
    if not files:
        return {}
    known = {path for path in files if hashing.remembered(path) is not None}
    size = sum(hashing.size_of(path) for path in files if path not in known)
    with Progress("hashing", images=0, size=size, stream=log) as progress:
        found = hashing.hash_files(
            files, threads=threads, report=lambda done: progress.update(0, done)
        )
        return {hashed.path: hashed for hashed in found}


def _unreadable_list(said: str) -> Problem:
    path, _, reason = said.partition(": ")
    return Problem(
        WARNING,
        path,
        "a list of hashes",
        reason,
        "",
        "mend it (md5sum writes such lists), or give yourself the permission to read it",
    )
