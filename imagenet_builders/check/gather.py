"""Surveys what is staged, inspects each file once, and makes rows and problems of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagenet_builders.check import explain, inspect_files, others
from imagenet_builders.check.report import BAD, MISSING, ODD, OK, SPARE, Report, Row
from imagenet_builders.check.targets import Surveyed, Target, all_targets, survey
from imagenet_builders.datasets import identity
from imagenet_builders.locate import links
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.official import official_archive
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import ERROR, WARNING, Counted, Inspection, Problem
from imagenet_builders.sources.kind import Expected

# Missing classes that a problem names.
_NAMED = 5

# Files that are opened at a time: each waits for the storage, not for this machine.
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Checked:
    """A row, with what only later steps of the check need.

    Attributes:
        row: The row.
        target: The target that it belongs to.
        found: The source, or None where nothing is staged.
        problems: What is wrong with the source.
        counted: What was counted in the source.
    """

    row: Row
    target: Target
    found: Found | None = None
    problems: tuple[Problem, ...] = ()
    counted: Counted = dataclasses.field(default_factory=Counted)


def check(
    manual_dir: Path,
    asked: Sequence[tuple[str, str | None]],
    *,
    add_name: bool = False,
    source: str | None = None,
) -> tuple[Report, list[Checked], list[Surveyed]]:
    """Checks what is staged.

    Args:
        manual_dir: The directory with the archives; it is only read.
        asked: Datasets asked for, each with a configuration or None for all of them; if empty,
            whatever is found.
        add_name: Look for each dataset in the directory of its name below `manual_dir`.
        source: The kind of source that a build would be asked to take, or None for the preferred.

    Returns:
        The report, still without the needs of a build, and for later steps its rows and the
        surveys that they were made from.
    """
    names = tuple(f"{name}/{config}" if config else name for name, config in asked)
    wrong_place = explain.not_a_directory(manual_dir)
    if wrong_place is not None:
        return Report(manual_dir, names, (), (wrong_place,), None), [], []
    targets = all_targets(manual_dir, asked, add_name=add_name)
    surveyed = [survey(target, source=source) for target in targets]
    shown = [each for each in surveyed if each.buildable or _is_missed(each, surveyed)]
    if not shown:  # All that is there is something else, which is not built from here.
        shown = [each for each in surveyed if each.survey.is_other]
    looks = _inspect_all(shown)
    checked = [one for each in shown for one in _rows(each, looks)]
    problems = [problem for one in checked for problem in one.problems]
    problems += _foreign_links(manual_dir, checked)
    unusual = explain.unusual(manual_dir, surveyed)
    more, instead = explain.of_surveys(manual_dir, surveyed, shown, unusual, add_name=add_name)
    problems += more
    everything = surveyed
    if asked:  # What other datasets are made of is known, too.
        everything = [survey(each) for each in all_targets(manual_dir, (), add_name=add_name)]
    explained = [path for one in unusual for path in one.paths]
    # Whoever checks these is told what is in them.
    explained += [above for path in instead for above in (path, *path.parents)]
    rows = tuple(one.row for one in checked)
    rest = others.others(manual_dir, explain.used([*surveyed, *everything]), explained)
    return Report(manual_dir, names, rows, merged(problems), None, tuple(rest)), checked, shown


def _foreign_links(manual_dir: Path, checked: Sequence[Checked]) -> list[Problem]:
    """Warnings of links that lead out of `manual_dir` and that somebody else has made."""
    taken = [one for one in checked if one.found is not None and one.row.preferred]
    paths = [path for one in taken if one.found is not None for path in one.found.paths]
    found = links.added(
        links.above(manual_dir, dict.fromkeys(paths)), *(one.counted.links for one in taken)
    )
    return [
        Problem(
            WARNING,
            found[owner].path,
            "no link out of the directory but by its owner, by root or by you",
            f"a link that user {owner} made, to {found[owner].target}{links.more(found[owner])}",
            "",
            "see whether that is meant: what it leads to is read with your rights and goes into "
            "the dataset",
        )
        for owner in links.made_by_others(found, manual_dir)
    ]


def merged(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Equal problems merged into one that names all their datasets; errors first."""
    by_words: dict[Problem, list[Problem]] = {}
    for problem in problems:
        words = dataclasses.replace(problem, datasets=(), severity="")
        by_words.setdefault(words, []).append(problem)
    whole = [
        dataclasses.replace(
            words,
            severity=ERROR if any(each.severity == ERROR for each in same) else WARNING,
            datasets=tuple(dict.fromkeys(name for each in same for name in each.datasets)),
        )
        for words, same in by_words.items()
    ]
    return tuple(sorted(whole, key=lambda problem: problem.severity != ERROR))


def _is_missed(each: Surveyed, surveyed: Sequence[Surveyed]) -> bool:
    """Whether the report shows a target although nothing of it can be built."""
    if each.error is not None:
        return True
    if not each.target.required:
        return False
    if not each.target.one_of:
        return True
    # One configuration is enough for a dataset that was asked for without one.
    others = [one for one in surveyed if one.target.dataset == each.target.dataset]
    return others[0] is each and not any(one.buildable for one in others)


def is_file(path: Path, kind: str) -> bool:
    """Whether a source is a file; most kinds tell that without asking the storage."""
    return kinds.kind(kind).form == "files" or not os.path.isdir(path)


def _inspect_all(shown: Sequence[Surveyed]) -> dict[Path, Inspection]:
    """Inspects every file once, many at a time."""
    kinds: dict[Path, str] = {}
    for each in shown:
        for found in (*each.survey.found.values(), *each.survey.boxes.values()):
            for one in found:
                for path in one.paths:
                    kinds.setdefault(path, one.kind)
    files = [path for path in kinds if is_file(path, kinds[path])]
    with ThreadPoolExecutor(_THREADS) as threads:
        looks = threads.map(
            lambda path: inspect_files.inspect_file(path, kinds[path], official_archive(path.name)),
            files,
        )
        return dict(zip(files, looks, strict=True))


def _rows(each: Surveyed, looks: Mapping[Path, Inspection]) -> list[Checked]:
    target, survey = each.target, each.survey
    rows: list[Checked] = []
    for split in (each.name for each in target.config.splits):
        for part, by_split in (("images", survey.found), ("boxes", survey.boxes)):
            sources = by_split.get(split, ())
            if sources:
                # A build takes the first that can be read as it is.
                taken = next((one for one in sources if not one.problem), sources[0])
                rows += [
                    _row(target, found, part, looks, preferred=found is taken) for found in sources
                ]
            elif part == "images" or target.dataset.needs_boxes:
                rows.append(_nothing(each, split, part))
    return rows


def _nothing(each: Surveyed, split: str, part: str) -> Checked:
    target = each.target
    official = target.split(split)
    row = Row(
        target.dataset.name,
        target.config.name,
        split,
        part,
        images_expected=official.images if part == "images" else None,
        verdict=MISSING,
    )
    return Checked(row, target)


def _row(
    target: Target, found: Found, part: str, looks: Mapping[Path, Inspection], *, preferred: bool
) -> Checked:
    official = target.split(found.split)
    known = [official_archive(path.name) for path in found.paths]
    sizes = [looks[path].size if path in looks else None for path in found.paths]
    problems = [
        problem for path in found.paths if path in looks for problem in looks[path].problems
    ]
    if found.mismatch is not None:
        problems.append(explain.not_it(target, found.split, found.mismatch))
    elif found.problem:
        problems.append(kinds.kind(found.kind).not_whole(found))
    # What an archive of the official size holds is known.
    is_official = all(
        archive is not None and archive.size is not None and archive.size == size
        for archive, size in zip(known, sizes, strict=True)
    )
    counted = Counted(official.images if is_official and not problems else None)
    if is_official:
        counted = dataclasses.replace(counted, unread=f"the names in {found.paths[0]}")
    is_sound = all(problem.severity != ERROR for problem in problems)
    if preferred and is_sound and not is_official:
        counted, more = _inspect_source(target, found, looks)
        problems += more
    row = Row(
        target.dataset.name,
        target.config.name,
        found.split,
        part,
        kind=found.kind,
        layout=found.layout,
        paths=found.paths,
        preferred=preferred,
        images_expected=official.images if part == "images" else None,
        images_found=counted.images if part == "images" else None,
        size=_sum(sizes),
        official_size=_sum([archive.size if archive else None for archive in known]),
        verdict=_verdict(problems, preferred=preferred),
        note=found.note,
        unread=counted.unread,
    )
    problems_of = _of(target, problems, preferred=preferred)
    return Checked(row, target, found, problems_of, counted)


def _inspect_source(
    target: Target, found: Found, looks: Mapping[Path, Inspection]
) -> tuple[Counted, list[Problem]]:
    """Counts what a source holds, where names are enough, and reports what is missing."""
    path = found.paths[0]
    try:
        of_split = target.split(found.split)
        naming = of_split.naming() if of_split.naming is not None else None
        if found.part == "boxes":
            assert naming is not None
            return kinds.kind(found.kind).count_boxes(found, naming)
        expected = Expected(of_split.images, of_split.folders, of_split.files, naming)
        count_images = target.dataset.count or kinds.kind(found.kind).count
        counted, problems = count_images(found, looks, expected)
    except OSError as error:
        where = Path(error.filename) if error.filename else path
        return Counted(), [inspect_files.unreadable(where, error)]
    other = identity.of_classes(target.dataset, target.config, path, counted.classes or ())
    if other is not None:
        return counted, [*problems, explain.not_it(target, found.split, other)]
    lacking = _missing_classes(path, counted, target)
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
            f"{official:,} images of {found.split}",
            f"{count:,}",
            "a subset, or a copy that was not finished",
            "copy what is missing, or build without it",
        )
    return counted, [*problems, *([lacking] if lacking is not None else [])]


def _missing_classes(path: Path, counted: Counted, target: Target) -> Problem | None:
    """The problem of missing classes, or None."""
    there = counted.classes
    if there is None and counted.images is not None and not target.dataset.fixed_classes:
        there = frozenset()  # No folder is named by one, which such a dataset has its classes of.
    if there is None:
        return None
    config = target.config
    known = config.classes()
    known_as = config.subset(there)
    missing = sorted(set(known) - there)
    if not missing:
        return None
    more = ", ..." if len(missing) > _NAMED else ""
    action = "copy what is missing, or build without; --strict refuses it"
    if known_as:
        action = "stage the other classes, or build without; --strict refuses it"
    severity = WARNING
    if not target.dataset.fixed_classes:
        severity = ERROR
        action = "copy what is missing; if it is the official archive, build with --classes archive"
        if not there:
            action = (
                "stage the official archive, or folders with the wnids of their classes as names"
            )
    return Problem(
        severity,
        str(path),
        f"all {len(known):,} classes",
        f"{len(known) - len(missing):,}; none of {', '.join(missing[:_NAMED])}{more} "
        f"({len(missing):,} in all)",
        f"this is {known_as}" if known_as else "a subset, or a copy that was not finished",
        action,
    )


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _of(target: Target, problems: Iterable[Problem], *, preferred: bool) -> tuple[Problem, ...]:
    """The problems of a target; a source that a build does not read gives warnings only."""
    return tuple(
        dataclasses.replace(
            problem,
            severity=problem.severity if preferred else WARNING,
            datasets=(target.name,),
        )
        for problem in problems
    )


def _verdict(problems: Sequence[Problem], *, preferred: bool) -> str:
    if any(problem.severity == ERROR for problem in problems):
        return BAD
    if not preferred:
        return SPARE
    return ODD if problems else OK
