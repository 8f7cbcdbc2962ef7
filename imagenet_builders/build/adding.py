"""Adds splits that were staged after their dataset was built; the others are kept."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from imagenet_builders.errors import ImagenetBuildersError, OptionError
from imagenet_builders.locate.found import Survey
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.publish import addition
from imagenet_builders.publish.addition import Kept, NotAddableError
from imagenet_builders.words import logger

_LOG = logger(__name__)


@dataclasses.dataclass(frozen=True)
class Addition:
    """What is added to a dataset.

    Attributes:
        kept: What is there.
        splits: The splits that are staged and not there.
        unstaged: The splits that are there and not staged any more.
        strict: Whether it is an error if they cannot be added.
    """

    kept: Kept
    splits: tuple[str, ...]
    unstaged: frozenset[str]
    strict: bool

    def of(self, staged: Survey) -> Survey:
        """What is staged of the splits that are added."""
        return staged.of_splits(self.splits)

    def refuse(self, reason: str) -> None:
        """Says that nothing is added, or raises `OptionError` (`strict`)."""
        _refuse(self.kept.path, self.splits, reason, strict=self.strict)


def look(
    path: Path, survey: Callable[[Path], Survey], manual_dir: Path, options: BuildOptions
) -> Addition | None:
    """Looks for splits that are staged and not in the dataset that is there.

    Args:
        path: The directory of the dataset.
        survey: Says what is staged of it.
        manual_dir: Where the archives are, if anywhere: whoever only reads has none.
        options: How to build.

    Returns:
        What can be added; None if there is nothing, or if it cannot, which is said.

    Raises:
        OptionError: It cannot be added, and `options.strict` is set.
    """
    try:
        staged = survey(manual_dir)
        splits = tuple(addition.staged_later(path, staged, options.source))
        if not splits and not staged.boxes and not _is_patched(staged):
            return None
        if splits and not os.access(path.parent, os.W_OK | os.X_OK):
            # To build it anew needs the same permission.
            why = f"you may not write to {path.parent}; ask its owner"
            _tell(_not_added(path, splits, why), strict=options.strict)
            return None
        kept = addition.read(path)
        for what in kept.built_without(staged):
            sentence = (
                f"{path} was built without {what}, staged by now; to have all in it, build it anew "
                "with --overwrite"
            )
            _tell(sentence, strict=options.strict)
    except NotAddableError as error:
        if splits:
            _refuse(path, splits, str(error), strict=options.strict)
        return None
    except OptionError:
        raise
    except (ImagenetBuildersError, OSError):
        return None
    if not splits:
        return None
    return Addition(kept, splits, addition.unstaged(kept, staged.buildable), options.strict)


def _is_patched(staged: Survey) -> bool:
    """Whether a split may have more archives than one, so that one may have come later."""
    return any(len(one.paths) > 1 for found in staged.buildable.values() for one in found)


def _refuse(path: Path, splits: Sequence[str], reason: str, *, strict: bool) -> None:
    sentence = _not_added(path, splits, reason)
    _tell(f"{sentence}; to build all that is staged anew, say --overwrite", strict=strict)


def _not_added(path: Path, splits: Sequence[str], reason: str) -> str:
    return f"{path} is without {' and '.join(splits)}, staged by now; it cannot be added: {reason}"


def _tell(sentence: str, *, strict: bool) -> None:
    if strict:
        raise OptionError(sentence)
    _LOG.warning(sentence)


def new_ones(
    added: Addition, recipes: Sequence[SplitRecipe], plans: Sequence[SplitPlan]
) -> list[int]:
    """Which of the splits that are staged are added; none if what is kept would differ now.

    Args:
        added: What is added.
        recipes: All that is staged.
        plans: The plan of each.

    Raises:
        OptionError: What is kept would differ now, and `strict` is set.
    """
    new = []
    for kept, recipe in itertools.product(added.kept.splits.values(), recipes):
        reason = kept.made_otherwise(recipe.made_with)
        if reason is not None:
            added.refuse(reason)
            return []
    for number, (recipe, plan) in enumerate(zip(recipes, plans, strict=True)):
        of_same = added.kept.splits.get(recipe.split)
        if of_same is None:
            new.append(number)
            continue
        reason = of_same.difference(plan, recipe.also_read)
        if reason is not None:
            added.refuse(
                f"{reason}; to add what is new all the same, stage it alone, in another "
                "--manual-dir"
            )
            return []
    return new


def announce(added: Addition, name: str, splits: Sequence[str]) -> None:
    """Says what is added and what is kept.

    Args:
        added: What is added.
        name: Full name of the dataset.
        splits: The splits that are built.
    """
    _LOG.info(
        f"{name} is there without {' and '.join(splits)}, staged by now: added to it; "
        f"{', '.join(added.kept.splits)} kept unchanged"
    )
