"""Knows by classes, names and numbers whether what is staged is the dataset that it is taken for.

A build and `check` use the same rules: names alone decide in a survey, an index decides the rest.
What is another dataset is an error, with its name. What is a part of the right one is recorded.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders import datasets
from imagenet_builders.datasets.description import Config, Dataset, Signs, Split, Tally
from imagenet_builders.errors import SourceError
from imagenet_builders.locate import exported
from imagenet_builders.locate.found import Found, Mismatch, Survey
from imagenet_builders.locate.glimpse import Glimpse
from imagenet_builders.locate.search import PROVENANCE
from imagenet_builders.sources import kinds
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.words import counted, logger

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.recipe import SplitRecipe

_LOG = logger(__name__)

# So many images of another split among those of the right one are no strays.
_NO_STRAYS = 10


# --- by names ------------------------------------------------------------------------------------


def judged(dataset: Dataset, config: Config | None, survey: Survey, *, headers: bool) -> Survey:
    """A survey in which each source of images that is another dataset has that as its problem.

    Args:
        dataset: The dataset that was looked for.
        config: Its configuration.
        survey: What was found.
        headers: Whether to look at the first names in files, too.
    """
    if config is None:
        return survey

    splits_of = _splits_of(survey)

    def judge(found: Found) -> Found:
        if found.problem:
            return found
        if (mismatch := _of_derived(found)) is not None:
            return dataclasses.replace(found, problem=str(mismatch), mismatch=mismatch)
        name_only = _is_shared(found, splits_of) or (
            kinds.kind(found.kind).form == "files" and not headers
        )
        seen = _glimpse(found, config.split(found.split), name_only=name_only)
        mismatch = _wrong_split(dataset, found, seen) or _other(dataset, config, seen)
        if mismatch is None:
            return found
        return dataclasses.replace(found, problem=str(mismatch), mismatch=mismatch)

    found = {split: tuple(map(judge, sources)) for split, sources in survey.found.items()}
    return dataclasses.replace(survey, found=found)


def _of_derived(found: Found) -> Mismatch | None:
    """What is an export of a derived dataset, whose images have the names of the original ones."""
    export = exported.around(found.paths[0])
    other = datasets.find(export.dataset.split("/")[0]) if export is not None else None
    if export is None or other is None or not other.is_derived:
        return None
    what = (
        f"this was exported from {export.dataset}, as {PROVENANCE} beside it says, and its images "
        "are not the original ones"
    )
    return Mismatch(found.paths[0], what, "stage the original ones")


def _splits_of(survey: Survey) -> Counter[Path]:
    return Counter(one.paths[0] for sources in survey.found.values() for one in sources)


def _is_shared(found: Found, splits_of: Counter[Path]) -> bool:
    """Whether a source has images of other splits, too, and no folder tells which."""
    return splits_of[found.paths[0]] > 1 and not found.inside


def _glimpse(found: Found, split: Split | None, *, name_only: bool) -> Glimpse:
    """What names show of a source, or of the folder that it has for the split.

    Of a source of several splits that has no such folders, names show nothing of one of them.
    """
    root = found.paths[0]
    inside = (root / name for name in split.folders) if split is not None else ()
    folder = next(filter(os.path.isdir, inside), None)
    if folder is None and name_only:
        return Glimpse(root)
    return kinds.kind(found.kind).glimpse(folder or root, found.inside)


def _wrong_split(dataset: Dataset, found: Found, seen: Glimpse) -> Mismatch | None:
    """What is wrong with images that are of another split of the same dataset."""
    for signs in (signs for signs in dataset.signs if signs.is_built):
        own = _matching(signs, found.split, seen.images)
        rest = sorted(set(seen.images).difference(own))
        for split in signs.names:
            others = _matching(signs, split, rest)
            if not others or (own and len(others) < _NO_STRAYS):
                continue
            what = f"these are images of {split}, such as {others[0]!r}"
            if own:
                what += f", among images of {found.split}, such as {own[0]!r}"
            known_as = dataset.configs[0].subset(seen.classes)
            if known_as is not None:
                what += f", all of the {len(seen.classes):,} classes of {known_as}"
            return Mismatch(seen.path, what, f"stage the official split {found.split}")
    return None


def _other(dataset: Dataset, config: Config, seen: Glimpse) -> Mismatch | None:
    """What images are that are another dataset's, as their names or classes show."""
    for signs in _foreign(dataset):
        evidence = signs.by_names(seen)
        if evidence is not None:
            return _is(signs, evidence, seen.path)
    return _other_names(dataset, seen) or _other_classes(dataset, config, seen)


def _other_names(dataset: Dataset, seen: Glimpse) -> Mismatch | None:
    """What images are most of which have names that the dataset's images do not have."""
    own_names = _expressions(signs for signs in dataset.signs if signs.is_built)
    alien = [name for name in seen.images if not _is_one(name, own_names)]
    if not own_names or 2 * len(alien) <= len(seen.images):
        return None
    theirs = [
        signs
        for signs in _foreign(dataset)
        if all(_is_one(name, _expressions([signs])) for name in seen.images)
    ]
    if len(theirs) == 1:
        return _is(theirs[0], f"its images have names such as {alien[0]!r}", seen.path)
    if not theirs:
        return None
    title = title_of(dataset)
    what = f"no image of {title} has a name such as {alien[0]!r}, and most of these do"
    return Mismatch(seen.path, what, f"stage {title}, or build the dataset that this is")


def _is(signs: Signs, evidence: str, path: Path) -> Mismatch:
    return Mismatch(path, f"this is {signs.title}, as {evidence}", _what_to_do(signs))


def of_classes(
    dataset: Dataset, config: Config, path: Path, classes: Iterable[str]
) -> Mismatch | None:
    """What a source is whose classes are another dataset's.

    Args:
        dataset: The dataset that is taken to be there.
        config: Its configuration.
        path: The source.
        classes: The wnids that it has.

    Returns:
        What it is, or None where it is not known to be another dataset.
    """
    return _other(dataset, config, Glimpse(path, frozenset(classes)))


def of_archives(
    dataset: Dataset, config: Config | None, survey: Survey, context: BuildContext
) -> Mismatch | None:
    """What archives are that could not be indexed, if their classes are another dataset's.

    To list the classes of an archive takes long, so it is done only to say why a build failed.
    """
    from imagenet_builders.scratch.means import ScratchMeans

    for found in (sources[0] for sources in survey.found.values() if sources):
        if found.mismatch is not None:
            return found.mismatch
        classes_in = kinds.kind(found.kind).classes
        if config is None or classes_in is None:
            continue
        try:
            wnids = classes_in(found, ScratchMeans(f"split {found.split}", context))
            mismatch = of_classes(dataset, config, found.paths[0], wnids)
        except (SourceError, OSError):  # What is said already is wrong with it.
            continue
        if mismatch is not None:
            return mismatch
    return None


def _other_classes(dataset: Dataset, config: Config, seen: Glimpse) -> Mismatch | None:
    """What classes are most of which are another dataset's alone."""
    known = frozenset(config.classes())
    unknown = sorted(seen.classes - known)
    if not dataset.fixed_classes or 2 * len(unknown) <= len(seen.classes):
        return None
    text = (
        f"{len(unknown):,} of its {counted(len(seen.classes), 'class', 'classes')}, such as "
        f"{unknown[0]}, {'is' if len(unknown) == 1 else 'are'} not "
        f"among the {len(known):,} of {title_of(dataset)}"
    )
    theirs = [
        (each, one)
        for each in datasets.original()
        for one in each.configs
        if any(signs.is_built for signs in each.signs) and seen.classes <= frozenset(one.classes())
    ]
    if not theirs:
        return None
    other, one = max(theirs, key=lambda each: len(each[1].classes()))
    what = f"this is a part of {title_of(other)}, as {text}, and all are classes of "
    signs = next(signs for signs in other.signs if signs.is_built)
    return Mismatch(seen.path, what + _full_name(other, one), _what_to_do(signs))


def title_of(dataset: Dataset) -> str:
    """What a dataset is called in sentences about what is staged."""
    return next((signs.title for signs in dataset.signs if signs.is_built), dataset.name)


def _what_to_do(signs: Signs) -> str:
    """What to do with the images of a dataset that was not asked for."""
    if not signs.is_built:
        return "no dataset of this package is built from it, so stage the original"
    owners = " or ".join(each.name for each in datasets.original() if signs in each.signs)
    return f"build {owners} from it (the documentation says how to stage it, under layouts)"


def _foreign(dataset: Dataset) -> Iterator[Signs]:
    """The signs of all that is not the dataset: of others, and of relatives that are not built."""
    own = [signs for signs in dataset.signs if signs.is_built]
    seen: list[Signs] = []
    for signs in (signs for each in datasets.every() for signs in each.signs):
        if signs not in own and signs not in seen:
            seen.append(signs)
            yield signs


def _matching(signs: Signs, split: str, images: Iterable[str]) -> list[str]:
    """The images with names of a split; all of them where no name tells the split."""
    if split not in signs.names:
        return list(images)
    return [name for name in images if _is_one(name, [signs.names[split]])]


def _expressions(all_signs: Iterable[Signs]) -> list[str]:
    return [expression for signs in all_signs for expression in signs.names.values()]


def _is_one(name: str, expressions: Iterable[str]) -> bool:
    return any(_compiled(expression).fullmatch(name) for expression in expressions)


@functools.cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{expression})\.(?:jpe?g|png)", re.IGNORECASE)


# --- by an index ---------------------------------------------------------------------------------


def checked(
    dataset: Dataset, config: Config | None, recipe: SplitRecipe, survey: Survey
) -> SplitRecipe:
    """A recipe that says how much of the official split it is; warns of a known subset.

    Args:
        dataset: The dataset that is to be built.
        config: Its configuration.
        recipe: One of its splits.
        survey: What was found.

    Raises:
        SourceError: The images are of another dataset.
    """
    import numpy as np

    from imagenet_builders.plan.recipe import Part

    official = config.split(recipe.split) if config is not None else None
    if config is None or official is None or not len(recipe.index):
        return recipe
    _check_names(dataset, config, recipe, survey)
    classes = recipe.classes or config.classes()
    labels = numbers_in(recipe.index.table["label"])
    numbers = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
    counts = {wnid: n for wnid, n in zip(classes, numbers, strict=True) if n}
    if counts:
        _check_counts(dataset, config, official, recipe, counts)
    part = Part(
        len(counts) if counts else None,
        len(classes) if counts else None,
        len(recipe.index),
        official.images,
        config.subset(counts) if counts else None,
    )
    if part.known_as is not None:
        _LOG.warning(
            f"split {recipe.split} is a part of {_full_name(dataset, config)}: these are the "
            f"{part.classes:,} classes of {part.known_as}"
        )
    is_whole = part.classes == part.of_classes and part.of_images in (None, part.images)
    return recipe if is_whole else dataclasses.replace(recipe, part=part)


def _check_names(dataset: Dataset, config: Config, recipe: SplitRecipe, survey: Survey) -> None:
    """Refuses files whose first names are another dataset's; of a copy, those of the copy."""
    places = {file.path: file.place for file in recipe.index.files}
    splits_of = _splits_of(survey)
    for found in survey.found.get(recipe.split, ()):
        place = places.get(os.path.abspath(found.paths[0]))
        kind = kinds.kind(found.kind)
        if place is None or kind.form == "folder" or _is_shared(found, splits_of):
            continue
        seen = kind.glimpse(Path(place), found.inside)._replace(path=found.paths[0])
        mismatch = _wrong_split(dataset, found, seen) or _other(dataset, config, seen)
        if mismatch is not None:
            raise SourceError(str(mismatch))


def _check_counts(
    dataset: Dataset, config: Config, official: Split, recipe: SplitRecipe, counts: dict[str, int]
) -> None:
    """Refuses images that are of another dataset, as their numbers and keys show."""
    path = os.path.commonpath([file.path for file in recipe.index.files])
    tally = Tally(counts, functools.partial(_keys_of, recipe, config))
    for signs in _foreign(dataset):
        evidence = signs.by_index(tally)
        if evidence is not None:
            raise SourceError(str(_is(signs, evidence, Path(path))))
    per_class = official.counts(len(config.classes()))
    if per_class is None or recipe.classes:
        return
    most = dict(zip(config.classes(), per_class, strict=True))
    more = [wnid for wnid, number in counts.items() if number > most[wnid]]
    if more:
        first = more[0]
        raise SourceError(
            f"{path}: expected images of the official split {recipe.split}, found more than it has "
            f"of {counted(len(more), 'class', 'classes')}, such as {counts[first]:,} of {first} in "
            f"place of {most[first]:,}, so these are another split or release of "
            f"{title_of(dataset)} or another dataset, or somebody has added images; stage "
            "the official split"
        )


def _keys_of(recipe: SplitRecipe, config: Config, wnid: str) -> list[str]:
    import pyarrow.compute as pc

    table = recipe.index.table
    label = (recipe.classes or config.classes()).index(wnid)
    keys: list[str] = table.filter(pc.equal(table["label"], label))["key"].to_pylist()
    return keys


def _full_name(dataset: Dataset, config: Config) -> str:
    return f"{dataset.name}/{config.name}" if config.name else dataset.name
