"""Recipes of splits that a worker makes while this process imports TensorFlow Datasets.

What is staged is found and indexed meanwhile, and nothing is written. The builder takes the recipes
where it would make them, when it holds its lock, with all that was to be said. If the worker has
none, because something is wrong, the builder makes them itself, and says what that is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders import datasets
from imagenet_builders.options import BuildOptions
from imagenet_builders.run import console
from imagenet_builders.run.garbage import uncollected
from imagenet_builders.run.jobs import Report
from imagenet_builders.run.local import LocalWorkers

if TYPE_CHECKING:
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.index import Index
    from imagenet_builders.plan.recipe import SplitRecipe

# All workers together are faster with what is more than this, or in folders.
_LITTLE_BYTES = 4 << 30
_FEW_FILES = 100

# It cannot be made, so that nothing is written for a build that may be refused.
_NO_SCRATCH = Path(os.devnull, "scratch")


@dataclasses.dataclass(frozen=True)
class Asked:
    """What recipes are made of.

    Attributes:
        dataset: Name of the dataset.
        config: Its configuration, or None.
        manual_dir: Where it is staged.
        options: How it is built.
        scratch: Where indexes are kept.
    """

    dataset: str
    config: str | None
    manual_dir: Path
    options: BuildOptions
    scratch: Path = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Made:
    """Recipes that a worker has made.

    Attributes:
        recipes: All of a build.
        indexes: As `plan.index.NotedIndexes.noted` has them.
        said: What was logged.
        known: Names of the datasets that the worker knows.
    """

    recipes: list[SplitRecipe]
    indexes: Mapping[str, Index | None]
    said: list[logging.LogRecord]
    known: list[str]


class RecipesAhead:
    """Recipes that are made in a worker, if it is worth it.

    Args:
        workers: The workers of the build; some are started if there is much to build.
        asked: What is built first.
    """

    def __init__(self, workers: LocalWorkers, asked: Asked):
        self._asked = asked
        self._workers = workers
        self._staged: frozenset[tuple[str, int, int]] | None = None
        self._made: Callable[[], Made | None] | None = None
        if workers.are_started and not asked.options.stage:
            self._staged = _little_in(asked.manual_dir)
            if self._staged is not None:
                self._made = workers.begin(make, asked)

    def take(self, asked: Asked, context: BuildContext) -> list[SplitRecipe] | None:
        """Gives the recipes once.

        Args:
            asked: What they should be made of.
            context: Of the build, which keeps the indexes.

        Returns:
            The recipes; None if they were not made, or of something else, or if something has been
            staged since, as while the build waited for another to end.
        """
        if self._made is None or asked != self._asked or context.copies:
            return None
        with contextlib.suppress(OSError):  # As in `build.ahead`.
            self._workers.start()
        import pyarrow  # noqa: F401  # While the worker is still busy: it sends tables.

        made, self._made = self._made(), None
        if made is None or _little_in(asked.manual_dir) != self._staged:
            return None
        if made.known != datasets.names():  # What is another dataset is told by what all are.
            return None
        console.show(made.said)
        context.cache.take_over(made.indexes)
        return made.recipes


def make(asked: Asked, report: Report) -> Made | None:
    """Finds and indexes what is staged; a job for a worker.

    Returns:
        The recipes; None where something was unpacked, which only a build may use.

    Raises:
        ImagenetBuildersError: What is staged is missing or damaged, or would have to be unpacked.
        OSError: It cannot be read.
    """
    del report
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.index import NotedIndexes

    cache = NotedIndexes(asked.scratch)
    with LocalWorkers(1) as workers, console.collected() as said, uncollected():
        context = BuildContext(_NO_SCRATCH, asked.options, workers, may_unpack=False)
        recipes = datasets.get(asked.dataset).indexed(
            asked.manual_dir, asked.config, context.with_cache(cache)
        )
    if any(file.copy for recipe in recipes for file in recipe.index.files):
        return None
    return Made(recipes, cache.noted(), said, datasets.names())


def _little_in(directory: Path) -> frozenset[tuple[str, int, int]] | None:
    """Name, size and time of each file, where a few of no great size are all that is there."""
    try:
        with os.scandir(directory) as entries:
            some = list(itertools.islice(entries, _FEW_FILES + 1))
        found = [(each.name, each.stat()) for each in some if each.is_file()]
    except OSError:
        return None
    if len(found) < len(some) or len(found) > _FEW_FILES:
        return None
    if sum(status.st_size for _, status in found) > _LITTLE_BYTES:
        return None
    return frozenset((name, status.st_size, status.st_mtime_ns) for name, status in found)
