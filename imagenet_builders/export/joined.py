"""All splits of a dataset as one part, for forms that make a single file of all of it.

The engine writes shards of splits. Here it is given one shard of one split, whose examples are
those of all splits, one after another in the order of the dataset. What was written is told apart
again afterwards, so that a provenance has the splits that there are.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from imagenet_builders.export.form import SPLIT
from imagenet_builders.export.source import Planned
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples, Note, SplitRecipe
from imagenet_builders.sources.columns import number_array, numbers_in
from imagenet_builders.sources.reader import Access, Reader
from imagenet_builders.sources.rows import SourceFiles
from imagenet_builders.write.results import SplitResult
from imagenet_builders.write.shard import ask_for
from imagenet_builders.write.source_errors import reading_errors

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "all"
"""What the split of all examples is called."""


@dataclasses.dataclass(frozen=True)
class _Split:
    """A split, as data that may be passed to another process.

    Attributes:
        name: Its name.
        examples: Makes its examples.
        plan: Its rows, in shards: so much is asked for ahead.
    """

    name: str
    examples: MakeExamples
    plan: SplitPlan


def join(planned: Planned) -> Planned:
    """One split with the examples of all, in one shard.

    Args:
        planned: The splits.
    """
    import numpy as np
    import pyarrow as pa

    recipes, plans = planned.recipes, planned.plans
    # Which rows there are, the splits know; these are for their number and their bytes.
    tables = [plan.rows.select(["key", "size"]) for plan in plans]
    rows = pa.concat_tables(tables, promote_options="default").combine_chunks()
    rows = rows.append_column("file", number_array(np.zeros(rows.num_rows, np.int32), pa.int32()))
    files = SourceFiles(dict.fromkeys(file for plan in plans for file in plan.files))
    also_read = tuple(dict.fromkeys(file for recipe in recipes for file in recipe.also_read))
    splits = [
        _Split(recipe.split, recipe.examples, _compact(plan))
        for recipe, plan in zip(recipes, plans, strict=True)
    ]
    recipe = SplitRecipe(
        NAME,
        Index(rows, files, _NOTHING),
        functools.partial(_examples, splits),
        lambda index: numbers_in(index.table["size"]),
        also_read=also_read,
    )
    made_with = plans[0].made_with
    plan = SplitPlan(NAME, rows, files, (rows.num_rows,), _NOTHING, made_with)
    return Planned(planned.subject, [recipe], [plan])


def _compact(plan: SplitPlan) -> SplitPlan:
    return dataclasses.replace(plan, files=SourceFiles(plan.files))


def part(joined: SplitResult, planned: Planned) -> list[SplitResult]:
    """What was written of each split; the file that it is in is that of all.

    Args:
        joined: What was written of all.
        planned: The splits.
    """
    results = []
    for recipe, plan in zip(planned.recipes, planned.plans, strict=True):
        notes = _notes(joined, plan)
        skipped = sum(note.action == "skipped" for note in notes)
        results.append(
            dataclasses.replace(
                joined,
                split=recipe.split,
                shard_lengths=(plan.rows.num_rows - skipped,),
                notes=notes,
                files=tuple(plan.files) + recipe.also_read,
                counts=recipe.counts_of(plan.rows, notes),
                layout=recipe.layout,
                part=recipe.part,
                made_with=recipe.made_with,
            )
        )
    return results


def _notes(joined: SplitResult, plan: SplitPlan) -> tuple[Note, ...]:
    if not joined.notes:
        return ()
    keys = {note.key for note in joined.notes}
    keys.intersection_update(plan.rows["key"].to_pylist())
    paths = {file.path for file in plan.files}
    return tuple(note for note in joined.notes if note.key in keys and note.path in paths)


def _examples(
    splits: Sequence[_Split],
    rows: pa.Table,
    reader: Reader,
    policy: ImagePolicy,
    notes: list[Note],
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of all splits, each with the name of its own; see `MakeExamples`."""
    del rows
    shards = [(split, number) for split in splits for number in range(split.plan.shard_count)]
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        asked: Future[None] | None = None
        for position, (split, number) in enumerate(shards):
            if asked is not None:
                asked.result()
            if position + 1 < len(shards):
                following, which = shards[position + 1]
                asked = thread.submit(_ask_for, following.plan, which)
            some, files = split.plan.shard(number)
            with Reader(files, split.plan.access) as own:
                done = 0
                for key, example in reading_errors(split.examples(some, own, policy, notes), own):
                    reader.bytes_read += own.bytes_read - done
                    done = own.bytes_read
                    yield key, {**example, SPLIT: split.name}


def _ask_for(plan: SplitPlan, number: int) -> None:
    rows, files = plan.shard(number)
    ask_for(rows, files, plan.access)


def _no_ranges(reader: Reader, rows: pa.Table) -> Iterator[tuple[int, int, int]]:
    del reader, rows
    return iter(())


def _no_images(reader: Reader, rows: pa.Table) -> Iterator[object]:
    del reader, rows
    return iter(())


_NOTHING = Access(_no_images, _no_ranges)  # type: ignore[arg-type]  # It has none.
