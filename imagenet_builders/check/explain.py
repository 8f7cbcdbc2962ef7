"""Explains why something is not found: another name, another folder, an unfinished copy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.check import inspect_files, near_names
from imagenet_builders.check.near_names import Unusual
from imagenet_builders.check.targets import Surveyed, Target, all_targets, survey
from imagenet_builders.datasets import identity
from imagenet_builders.locate.found import Mismatch
from imagenet_builders.sources.inspection import ERROR, WARNING, Problem
from imagenet_builders.words import counted

_NAMED = 4
_LOOK = "see whether that is meant"


def not_a_directory(manual_dir: Path) -> Problem | None:
    """The problem of a `manual_dir` that is no directory or cannot be read, or None."""
    try:
        if manual_dir.is_dir():
            next(manual_dir.iterdir(), None)
            return None
        there = manual_dir.exists()
    except OSError as error:
        return inspect_files.unreadable(manual_dir, error)
    if there:
        return Problem(
            ERROR,
            str(manual_dir),
            "the directory that holds the archives",
            "a file",
            "",
            f"give the directory that it is in, {manual_dir.absolute().parent}",
        )
    close = near_names.similar(manual_dir)
    return Problem(
        ERROR,
        str(manual_dir),
        "the directory that holds the archives",
        "nothing",
        "another spelling, or a file system that is not mounted on this machine",
        f"check whether {_any(close)} is meant" if close else "check the path",
    )


def used(surveyed: Iterable[Surveyed]) -> list[Path]:
    """The files and folders that could be read."""
    return [
        path
        for each in surveyed
        for found in (*each.survey.found.values(), *each.survey.boxes.values())
        for one in found
        for path in one.paths
    ]


def unusual(manual_dir: Path, surveyed: Sequence[Surveyed]) -> list[Unusual]:
    """Files whose names are nearly those of official archives, where these are looked for."""
    paths = used(surveyed)
    places = [manual_dir, *(each.target.manual_dir for each in surveyed)]
    places += [path.parent for path in paths]
    places += [path for path in near_names.near(manual_dir) if path.parent == manual_dir]
    return near_names.unusual_names(places, paths)


def not_it(target: Target, split: str, mismatch: Mismatch) -> Problem:
    """The problem of a source that is another dataset, or another split."""
    expected = f"{identity.title_of(target.dataset)}, split {split}"
    return Problem(ERROR, str(mismatch.path), expected, mismatch.what, "", mismatch.action)


def of_surveys(
    manual_dir: Path,
    surveyed: Sequence[Surveyed],
    shown: Sequence[Surveyed],
    unusual: Sequence[Unusual],
    *,
    add_name: bool,
) -> tuple[list[Problem], list[Path]]:
    """The problems of what is not found, and the warnings of the surveys.

    Args:
        manual_dir: The directory that was surveyed.
        surveyed: All targets.
        shown: The targets that the report shows: found, or asked for.
        unusual: Files whose names are nearly those of official archives.
        add_name: Whether each dataset was surveyed in the directory of its name.

    Returns:
        The problems, and the directories that they advise to check instead.
    """
    problems: list[Problem] = []
    instead: list[Path] = []
    # A folder may be a source, and a place where others are looked for.
    said = {
        one.problem for each in surveyed for found in each.survey.found.values() for one in found
    }
    explained: set[Path] = set()
    for each in shown:
        problems += _of_one(each, unusual, explained)
    problems += [
        each.target.problem(WARNING, "", warning, action=_LOOK)
        for each in surveyed
        for warning in each.survey.warnings
        if warning not in said
    ]
    if any(each.survey.is_other for each in shown):
        pass
    elif not any(each.buildable for each in surveyed):
        elsewhere, instead = _elsewhere(manual_dir, surveyed, add_name=add_name)
        problems += elsewhere
    elif missed := [each for each in shown if not each.buildable and each.error is None]:
        elsewhere, instead = _elsewhere(manual_dir, missed, add_name=add_name)
        problems += elsewhere
    problems += _too_low(manual_dir, shown)
    problems += [
        Problem(
            WARNING,
            str(one.path),
            f"the name {one.official}",
            one.path.name,
            one.sentence,
            one.action,
            datasets.made_of(one.official),
        )
        for one in unusual
        if one.path not in explained
    ]
    return problems, instead


def _of_one(each: Surveyed, unusual: Sequence[Unusual], explained: set[Path]) -> list[Problem]:
    target = each.target
    if each.error is not None:
        expected = f"{target.name}, or nothing of it"
        return [target.problem(ERROR, expected, str(each.error), action="see the reason given")]
    problems: list[Problem] = []
    if each.survey.is_other:  # Its rows say so.
        return []
    buildable = each.buildable
    for split in [one.name for one in target.config.splits] if buildable else [""]:
        if split in buildable:
            continue
        lacking = list(dict.fromkeys(filter(None, _looked_for(each, split))))
        near = [
            one
            for one in unusual
            if one.official in target.dataset.archives
            and (not lacking or any(one.official in text for text in lacking))
        ]
        explained.update(one.path for one in near)
        what = f"split {split} of {target.name}" if split else target.name
        action = "stage it, or build without it" if buildable else "stage it, or look elsewhere"
        problems.append(
            target.problem(
                ERROR if not buildable else WARNING,
                f"{what}: {_any(lacking)}" if lacking else what,
                _found(each, split),
                "; ".join(one.sentence for one in near),
                "; ".join(one.action for one in near) or action,
            )
        )
    if not target.dataset.needs_boxes:
        action = "stage it, or build a dataset of which no image has boxes"
        problems += [
            target.problem(WARNING, boxes, "nothing", action=action)
            for split in buildable
            for boxes in target.split(split).box_archives[:1]
            if not each.survey.boxes.get(split)
        ]
    return problems


def _looked_for(each: Surveyed, split: str) -> list[str]:
    """What the survey did not find of a split; of all splits for an empty name."""
    missing = each.survey.missing
    if split and split in missing:
        return list(missing[split])
    if not split:
        return [text for texts in missing.values() for text in texts]
    return [text for key, texts in missing.items() if key.startswith(split) for text in texts]


def _found(each: Surveyed, split: str) -> str:
    found = each.survey.found
    if found.get(split) if split else found:
        return "its images, but not its boxes"
    if split and each.survey.boxes.get(split):
        return "its boxes, but not its images"
    return "nothing"


def _elsewhere(
    manual_dir: Path, surveyed: Sequence[Surveyed], *, add_name: bool
) -> tuple[list[Problem], list[Path]]:
    """The problem of archives that are in directories near `manual_dir` instead, and these."""
    there: dict[Path, dict[str, set[str]]] = {}
    by_name: list[str] = []
    for path in near_names.near(manual_dir):
        for each in surveyed:
            splits = survey(each.target, path).buildable
            if splits:
                there.setdefault(path, {}).setdefault(each.target.name, set()).update(splits)
                if path == manual_dir / each.target.dataset.name:
                    by_name.append(each.target.name)
    required = any(each.target.required for each in surveyed)
    if not there:
        if required:  # Each has its own problem already.
            return [], []
        nothing = Problem(
            ERROR,
            str(manual_dir),
            "at least one archive of the ImageNet family, or a folder of its images",
            *_nothing(manual_dir),
            "give the directory that holds them; the docs list what is looked for (layouts)",
        )
        return [nothing], []
    if by_name and not add_name:
        action = "check (and build) with --add-name-to-manual-dir"
        if len(set(by_name)) == 1:
            action += f", or with {manual_dir / by_name[0].partition('/')[0]}"
    elif add_name:
        action = f"check without --add-name-to-manual-dir, with {_any(there)}"
    elif _are_apart(there):
        action = (
            f"make a directory with links to all that is in {_all(list(map(str, there)))}, and "
            "check (and build) with that: each of them has other splits"
        )
    else:
        action = f"check {_any(there)} instead"
    listed = [f"{', '.join(sorted(of))} in {path}" for path, of in there.items()]
    problem = Problem(
        ERROR,
        str(manual_dir),
        "the directory that holds the archives",
        f"none of them, but {_all(listed)}",
        "a directory too high or too low",
        action,
    )
    return [problem], list(there)


def _are_apart(there: Mapping[Path, Mapping[str, set[str]]]) -> bool:
    """Whether no single directory has all splits of a dataset that several directories have."""
    for name in {name for of in there.values() for name in of}:
        splits = [of.get(name, set()) for of in there.values()]
        if set().union(*splits) not in splits:
            return True
    return False


def _nothing(manual_dir: Path) -> tuple[str, str]:
    """What there is where nothing is found, and why that may be."""
    if not any(os.scandir(manual_dir)):
        return "nothing: the directory is empty", ""
    cause = "another directory is meant, or they are packed in a way that is not read"
    return "nothing of it, but what is listed below", cause


def _too_low(manual_dir: Path, shown: Sequence[Surveyed]) -> list[Problem]:
    """The problem of a `manual_dir` that is itself a split of another dataset."""
    found = [one for each in shown for sources in each.survey.found.values() for one in sources]
    if not found or any(one.paths[0] != manual_dir for one in found):
        return []
    here = Path(os.path.abspath(manual_dir))
    taken = {each.target.dataset.name for each in shown}
    targets = all_targets(here.parent, [], add_name=False)
    for each in (survey(one) for one in targets if one.dataset.name not in taken):
        for split, sources in each.buildable.items():
            if all(one.paths[0].name != here.name for one in sources):
                continue
            names = tuple(each.target.name for each in shown if each.buildable)
            return [
                Problem(
                    WARNING,
                    str(manual_dir),
                    f"the classes of {_any(names)}, of which this is taken for a part",
                    f"the {split} split of {each.target.name} in {here.parent}",
                    "a directory too low",
                    f"check {here.parent}, if that is meant",
                    names,
                )
            ]
    return []


def _any(things: Iterable[object]) -> str:
    texts = [str(thing) for thing in things]
    more = f" or one of {counted(len(texts) - _NAMED, 'other')}" if len(texts) > _NAMED else ""
    return " or ".join(texts[:_NAMED]) + more


def _all(texts: Sequence[str]) -> str:
    more = f"; and {counted(len(texts) - _NAMED, 'other')}" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
