"""Small shards of an export as one part, so that what a part takes is not taken for each of them.

The engine writes parts: a directory, a mark and a rename for each, and its files are flushed
together. A form with a thousand shards would have a thousand of all that, which for a small dataset
is most of the work. So as many consecutive shards as make `PART_BYTES` are a part. A form writes
each shard as if it were a part of its own; what was written of each is told apart in the end.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.export.form import Part, Subject
from imagenet_builders.export.source import Planned
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import ImagePolicy, MakeExamples, Note
from imagenet_builders.sources.columns import number_array, numbers_in
from imagenet_builders.write.outputs.output import Piece, Written
from imagenet_builders.write.unread import unread_examples

if TYPE_CHECKING:
    import pyarrow as pa

    from imagenet_builders.formats.tfrecord.example import FlatExample
    from imagenet_builders.sources.reader import Reader

PART_BYTES = 32 << 20
"""So many bytes of images make a part: what is written in the time that a process takes to start.
Of all of ILSVRC2012, each shard has more."""

_SHARD = "shard of the part"

WriteShard = Callable[[Subject, Part, Path, "Iterable[FlatExample]"], Written]
"""See `Form.write`."""


def group(planned: Planned, *, unread: bool) -> tuple[Planned, dict[str, list[range]]]:
    """Puts small shards together.

    Args:
        planned: The splits, cut into shards.
        unread: Whether examples may have images that were not read yet; see `Form`.

    Returns:
        The splits, cut into parts, whose examples have the number of their shard; and for each
        split the shards of each part.
    """
    recipes, plans = [], []
    shards: dict[str, list[range]] = {}
    for recipe, plan in zip(planned.recipes, planned.plans, strict=True):
        shards[plan.split] = parts = _parts(plan.shard_sizes())
        ends = tuple(plan.ends[part.stop - 1] for part in parts)
        plans.append(dataclasses.replace(plan, rows=_numbered(plan), ends=ends))
        examples = functools.partial(_examples, recipe.examples, unread)
        recipes.append(dataclasses.replace(recipe, examples=examples))
    return Planned(planned.subject, recipes, plans), shards


def _parts(sizes: Sequence[int]) -> list[range]:
    parts, start, size = [], 0, 0
    for number, each in enumerate(sizes):
        size += each
        if size >= PART_BYTES or number + 1 == len(sizes):
            parts.append(range(start, number + 1))
            start, size = number + 1, 0
    return parts


def _numbered(plan: SplitPlan) -> pa.Table:
    """The rows of a plan with the number of their shard."""
    import numpy as np
    import pyarrow as pa

    rows_of = np.diff([0, *plan.ends])
    numbers = np.repeat(np.arange(plan.shard_count, dtype=np.int32), rows_of)
    return plan.rows.append_column(_SHARD, number_array(numbers, pa.int32()))


def _examples(
    examples: MakeExamples,
    unread: bool,
    rows: pa.Table,
    reader: Reader,
    policy: ImagePolicy,
    notes: list[Note],
) -> Iterator[tuple[str, FlatExample]]:
    """Yields the examples of each shard, each with the number of that; see `MakeExamples`."""
    import numpy as np

    numbers = numbers_in(rows[_SHARD])
    every = unread_examples(examples, rows, reader, policy, notes) if unread else None
    if every is not None:
        for (key, features), shard in zip(every, numbers.tolist(), strict=True):
            features[_SHARD] = shard
            yield key, features
        return
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    rows = rows.drop_columns([_SHARD])
    for start, end in itertools.pairwise(starts):
        shard = int(numbers[start])
        some = rows.slice(start, end - start)
        for key, example in examples(some, reader, policy, notes):
            yield key, {**example, _SHARD: shard}


def write(
    write_shard: WriteShard,
    subject: Subject,
    shards: Sequence[Part],
    directory: Path,
    examples: Iterable[FlatExample],
) -> Written:
    """Writes the shards of a part, each of which becomes files of its own.

    Args:
        write_shard: Writes one; see `Form.write`.
        subject: The dataset.
        shards: Those of the part.
        directory: Where they are written.
        examples: Their examples, as `group` has them made.

    Raises:
        ImagenetBuildersError: As `Form.write`.
    """
    groups = itertools.groupby(examples, key=lambda example: example[_SHARD])
    there = next(groups, None)
    all_written = []
    for shard in shards:
        if there is None or there[0] != shard.number:  # All of its images were left out.
            all_written.append(write_shard(subject, shard, directory, ()))
            continue
        all_written.append(write_shard(subject, shard, directory, there[1]))
        there = next(groups, None)
    written = Written.of_files(
        sum(each.examples for each in all_written),
        sum(each.record_bytes for each in all_written),
        [file for each in all_written for file in each.files],
    )
    pieces = tuple(Piece(each.examples, len(each.files)) for each in all_written)
    return dataclasses.replace(written, pieces=pieces)
