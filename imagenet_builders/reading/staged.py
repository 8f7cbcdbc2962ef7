"""Examples in place: read from staged archives by the index and the order of a build, unbuilt."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagenet_builders import datasets
from imagenet_builders.errors import OptionError
from imagenet_builders.locate.hash_cache import cache_directory
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import ImagePolicy, PlanConfig, SplitRecipe, plan_splits
from imagenet_builders.reading.split_text import Splits, names_in
from imagenet_builders.records.values import flat_of_example
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.scratch.space import make_scratch
from imagenet_builders.sources.columns import rows_at
from imagenet_builders.sources.reader import Reader
from imagenet_builders.words import counted


class StagedExamples:
    """The examples of what is staged, in the order of the dataset that a build makes of it.

    Args:
        name: The dataset, with its configuration if it has several.
        manual_dir: Where it is staged, in any layout that is built from.
        options: Where the index is kept, and what else a build is told; the source, for one.
        split: What will be read, the only splits to be indexed; by default all.

    Attributes:
        name: Its full name.
        lengths: As `BuiltExamples` has them; a split is one shard here.

    Raises:
        OptionError: There is no such dataset or split, or archives would have to be unpacked, and
            nobody chose where.
        StagingError: Nothing of it is staged.
        SourceError: What is staged is damaged.
    """

    def __init__(self, name: str, manual_dir: Path, options: BuildOptions, split: Splits = "all"):
        short, _, config = name.partition("/")
        dataset = datasets.find(short)
        if dataset is None:
            raise OptionError(datasets.no_such(short))
        chosen = dataset.config(config or dataset.configs[0].name)
        if chosen is None:
            raise OptionError(
                f"{short} has no configuration {config!r}; it has {', '.join(dataset.config_names)}"
            )
        self.name = "/".join(filter(None, (short, chosen.name, dataset.version)))
        only = names_in(split, [each.name for each in chosen.splits])
        self._policy = ImagePolicy.of(options)
        self._at_end = contextlib.ExitStack()
        with LocalWorkers(options.workers or 1) as workers:
            # What is unpacked stays, like what a build unpacks, until a build is done with it.
            scratch = make_scratch(options.scratch_for(cache_directory()), options)
            context = BuildContext(
                scratch,
                options,
                workers,
                at_end=self._at_end,
                # The cache is in the home, which may have a small quota: it is for indexes only.
                may_unpack=options.scratch_choice() is not None,
            )
            recipes = dataset.indexed(manual_dir, chosen.name, context, only)
            plans = plan_splits(recipes, PlanConfig(count_shards=lambda size, examples: 1))
        self._plans = {plan.split: plan for plan in plans}
        self._examples: Mapping[str, Any] = {each.split: _function(each) for each in recipes}
        self.lengths: Mapping[str, list[int]] = {
            split: [plan.rows.num_rows] for split, plan in self._plans.items()
        }
        self._readers = threading.local()

    def flat(self, split: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Examples of a split; see `BuiltExamples.flat`.

        Raises:
            SourceError: An image is bad, or an archive has changed.
        """
        import numpy as np

        plan = self._plans[split]
        rows = rows_at(plan.rows, np.array(numbers, np.int64))
        made = self._examples[split](rows, self._reader(split), self._policy, [])
        found = [flat_of_example(example) for _, example in made]
        if len(found) != len(numbers):
            raise OptionError(
                f"{self.name}: {counted(len(numbers) - len(found), 'image')} of those asked for "
                "would be left out of a build with bad_images=skip; read with bad_images=fail to "
                "see which"
            )
        return found

    def _reader(self, split: str) -> Reader:
        """The reader of this thread, whose files another process cannot have closed."""
        # A file that is read at a place may be read by a fork, too.
        readers = vars(self._readers)
        if split not in readers:
            plan = self._plans[split]
            readers[split] = Reader(plan.files, plan.access)
        reader: Reader = readers[split]
        return reader

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_readers": None, "_at_end": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._readers = threading.local()
        self._at_end = contextlib.ExitStack()


def _function(recipe: SplitRecipe) -> Any:
    return recipe.examples
