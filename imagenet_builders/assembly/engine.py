"""The build of a dataset's splits: index all, plan all, write all shards from one queue."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.assembly import index as index_lib
from imagenet_builders.assembly.index import Index
from imagenet_builders.assembly.plan import ShardCounter, SplitPlan, plan_split
from imagenet_builders.assembly.progress import Progress
from imagenet_builders.assembly.shards import Note, ShardJob, ShardResult
from imagenet_builders.assembly.workers import Workers
from imagenet_builders.errors import SourceError
from imagenet_builders.options import BuildOptions
from imagenet_builders.sources.rows import SourceFile

if TYPE_CHECKING:
    import numpy as np

# Less than this is written here: starting a process takes as long.
_SMALL_BYTES = 32 << 20


@dataclasses.dataclass(frozen=True)
class SplitRecipe:
    """How the examples of a split come about.

    Attributes:
        split: Name of the split.
        index: Its rows.
        examples: `module:function` that makes examples of rows; see `ShardJob`.
        example_sizes: Gives the bytes of each serialized example from the index, shape (rows,).
        counts: What else is worth knowing of all that is staged of the split, as names with
            underscores and numbers; told at the end of a build and kept in `provenance.json`.
        also_read: Files that the index was made from besides those that its rows point into.
    """

    split: str
    index: Index
    examples: str
    example_sizes: Callable[[Index], np.ndarray]
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    also_read: tuple[SourceFile, ...] = ()
    layout: str = ""


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """What was built of a split.

    Attributes:
        split: Name of the split.
        shard_lengths: Number of examples in each shard.
        record_bytes: Bytes of the serialized examples, without frames.
        file_bytes: Bytes of the shards.
        notes: Images repaired or skipped, in the order of the records.
        files: The files read.
        counts: As in the split's recipe.
    """

    split: str
    shard_lengths: tuple[int, ...]
    record_bytes: int
    file_bytes: int
    notes: tuple[Note, ...]
    files: tuple[SourceFile, ...]
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def examples(self) -> int:
        """Number of examples."""
        return sum(self.shard_lengths)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What TensorFlow Datasets' `DownloadConfig` says of the plan.

    Attributes:
        count_shards: Gives the number of shards.
        max_examples_per_split: Only so many examples from the front of each split, or None.
        ignore_duplicates: Keep the first of examples with the same key.
    """

    count_shards: ShardCounter
    max_examples_per_split: int | None = None
    ignore_duplicates: bool = False


def build_splits(
    recipes: Sequence[SplitRecipe],
    *,
    name: str,
    shard_path: Callable[[str, int, int], Path],
    file_format: str,
    config: PlanConfig,
    options: BuildOptions,
    workers: Workers,
) -> list[SplitResult]:
    """Plans the splits and writes all their shards.

    Args:
        recipes: The splits.
        name: What is built, for the progress bar.
        shard_path: From split, shard and number of shards to the file.
        file_format: Name of the file format.
        config: How to plan.
        options: How to write.
        workers: Who writes.

    Returns:
        What was built, in the order of `recipes`.

    Raises:
        ImagenetBuildersError: A source is damaged, or an image is and the policy is to fail.
        OSError: A file cannot be read or written.
    """
    plans = [
        plan_split(
            recipe.split,
            recipe.index,
            count_shards=config.count_shards,
            example_sizes=recipe.example_sizes(recipe.index),
            max_examples=config.max_examples_per_split,
            ignore_duplicates=config.ignore_duplicates,
        )
        for recipe in recipes
    ]
    # Made one by one: together, the jobs hold all rows once more.
    jobs = (
        _shard_job(plan, recipe, number, shard_path, file_format, options)
        for plan, recipe in zip(plans, recipes, strict=True)
        for number in range(plan.shard_count)
    )
    images = sum(plan.rows.num_rows for plan in plans)
    size = sum(plan.rows["size"].to_numpy().sum() for plan in plans)
    results: list[ShardResult] = []
    with Progress(name, images=images, size=int(size)) as progress:
        for _, result in workers.run(
            "imagenet_builders.assembly.shards:write_shard",
            jobs,
            report=progress.update,
            prefetch="imagenet_builders.assembly.shards:prefetch",
            here=size < _SMALL_BYTES,
        ):
            results.append(result)
    for plan in plans:
        for file in plan.files:
            file.check_still_there()
    return [_collect(plan, recipe, results) for plan, recipe in zip(plans, recipes, strict=True)]


def _shard_job(
    plan: SplitPlan,
    recipe: SplitRecipe,
    number: int,
    shard_path: Callable[[str, int, int], Path],
    file_format: str,
    options: BuildOptions,
) -> ShardJob:
    rows, files = plan.shard(number)
    return ShardJob(
        split=plan.split,
        number=number,
        path=str(shard_path(plan.split, number, plan.shard_count)),
        file_format=file_format,
        examples=recipe.examples,
        rows=index_lib.to_bytes(rows),
        files=files,
        bad_images=options.bad_images,
    )


def _collect(plan: SplitPlan, recipe: SplitRecipe, results: Sequence[ShardResult]) -> SplitResult:
    """Puts the shards of a split together, in order."""
    shards = sorted((r for r in results if r.split == plan.split), key=lambda r: r.number)
    result = SplitResult(
        split=plan.split,
        shard_lengths=tuple(shard.examples for shard in shards),
        record_bytes=sum(shard.record_bytes for shard in shards),
        file_bytes=sum(shard.file_bytes for shard in shards),
        notes=tuple(note for shard in shards for note in shard.notes),
        files=plan.files + recipe.also_read,
        counts=recipe.counts,
    )
    if result.examples == 0:
        raise SourceError(
            f"split {plan.split!r}: every one of its {plan.rows.num_rows} images is bad, so there "
            f"is nothing to build; the first: {result.notes[0].path}: {result.notes[0].reason}"
        )
    return result
