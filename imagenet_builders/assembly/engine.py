"""The build of a dataset's splits: plan all, then write all shards from one queue."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.assembly import durable
from imagenet_builders.assembly import index as index_lib
from imagenet_builders.assembly.index import Index
from imagenet_builders.assembly.plan import ShardCounter, SplitPlan, plan_split
from imagenet_builders.assembly.progress import Progress
from imagenet_builders.assembly.shards import Note, ShardJob, ShardResult
from imagenet_builders.assembly.space import check_space
from imagenet_builders.assembly.workers import Workers
from imagenet_builders.assembly.workplace import MarkedShard, Workplace
from imagenet_builders.errors import SourceError, TargetError
from imagenet_builders.options import BuildOptions
from imagenet_builders.sources.rows import SourceFile

if TYPE_CHECKING:
    import numpy as np

_SMALL_BYTES = 32 << 20

# The shard itself and its mark.
_FILES_A_SHARD = 2


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
        layout: How it is staged, in words; kept in `provenance.json`.
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
        shard_bytes: Bytes of each shard.
        shard_crc32c: CRC-32C of each shard's file, 8 hexadecimal digits.
        notes: Images repaired or skipped, in the order of the records.
        files: The files read.
        counts: As in the split's recipe.
        layout: As in the split's recipe.
    """

    split: str
    shard_lengths: tuple[int, ...]
    record_bytes: int
    shard_bytes: tuple[int, ...]
    shard_crc32c: tuple[str, ...]
    notes: tuple[Note, ...]
    files: tuple[SourceFile, ...]
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    layout: str = ""

    @property
    def examples(self) -> int:
        """Number of examples."""
        return sum(self.shard_lengths)

    @property
    def file_bytes(self) -> int:
        """Bytes of the shards."""
        return sum(self.shard_bytes)


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


def plan_splits(recipes: Sequence[SplitRecipe], config: PlanConfig) -> list[SplitPlan]:
    """Plans the splits.

    Args:
        recipes: The splits.
        config: How to plan.

    Returns:
        A plan for each recipe.

    Raises:
        SourceError: A split has no rows, or the same key twice.
    """
    return [
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


def write_splits(
    recipes: Sequence[SplitRecipe],
    plans: Sequence[SplitPlan],
    *,
    name: str,
    shard_path: Callable[[str, int, int], Path],
    file_format: str,
    workplace: Workplace,
    options: BuildOptions,
    workers: Workers,
) -> list[SplitResult]:
    """Writes all shards of the splits that are not finished.

    Args:
        recipes: The splits.
        plans: Their plans.
        name: What is built, for the progress bar.
        shard_path: From split, shard and number of shards to the file.
        file_format: Name of the file format.
        workplace: Where finished shards and their marks are; it is open.
        options: How to write.
        workers: Who writes.

    Returns:
        What was built, in the order of `recipes`.

    Raises:
        ImagenetBuildersError: A source is damaged, or an image is and the policy is to fail; or a
            shard cannot be written.
        OSError: A file cannot be read.
    """
    todo = [
        _Shard(which, number, path, workplace.mark_of(path))
        for which, plan in enumerate(plans)
        for number in range(plan.shard_count)
        for path in [shard_path(plan.split, number, plan.shard_count)]
    ]
    images = sum(plan.rows.num_rows for plan in plans)
    sizes = [plan.shard_sizes() for plan in plans]
    size = sum(map(sum, sizes))
    # Less than this is written here: starting a process takes as long.
    here = size < _SMALL_BYTES
    results: list[ShardResult] = []
    with Progress(name, images=images, size=size) as progress:
        marked = [shard for shard in todo if shard.mark.exists()]
        for position, result in workers.run(
            "imagenet_builders.assembly.workplace:finished_shard",
            [_marked_job(plans[shard.which], shard, options) for shard in marked],
            report=progress.update,
            here=here,
        ):
            if result is not None:
                todo.remove(marked[position])
                results.append(result)
        if results:
            progress.say(f"{name}: {len(results):,} shards are finished already")
        left = sum(sizes[shard.which][shard.number] for shard in todo)
        check_space(workplace.directory, left, _FILES_A_SHARD * len(todo))
        # Made one by one: together, the jobs hold all rows once more.
        for _, result in workers.run(
            "imagenet_builders.assembly.shards:write_shard",
            (_shard_job(plans[s.which], recipes[s.which], s, file_format, options) for s in todo),
            report=progress.update,
            prefetch="imagenet_builders.assembly.shards:prefetch",
            here=here,
        ):
            results.append(result)
    for plan in plans:
        for file in plan.files:
            file.check_still_there()
    return [_collect(plan, recipe, results) for plan, recipe in zip(plans, recipes, strict=True)]


def check_shards(
    results: Sequence[SplitResult], shard_path: Callable[[str, int, int], Path]
) -> None:
    """Makes sure that all shards are there still, before they are published.

    File systems for scratch data are tidied by programs that remove what is old.

    Args:
        results: What was built.
        shard_path: As for `write_splits`.

    Raises:
        TargetError: A shard is missing, or has another size than was written.
    """
    for result in results:
        for number, size in enumerate(result.shard_bytes):
            path = shard_path(result.split, number, len(result.shard_bytes))
            with durable.writing(path):
                found = path.stat().st_size
            if found != size:
                raise TargetError(
                    f"{path} had {size:,} bytes when it was written and has {found:,} now; see who "
                    "changed it, then run the same command again"
                )


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A shard to be made: which plan, which shard of it, its file and its mark."""

    which: int
    number: int
    path: Path
    mark: Path


def _marked_job(plan: SplitPlan, shard: _Shard, options: BuildOptions) -> MarkedShard:
    return MarkedShard(
        plan.split, shard.number, str(shard.path), str(shard.mark), options.bad_images
    )


def _shard_job(
    plan: SplitPlan, recipe: SplitRecipe, shard: _Shard, file_format: str, options: BuildOptions
) -> ShardJob:
    rows, files = plan.shard(shard.number)
    return ShardJob(
        split=plan.split,
        number=shard.number,
        path=str(shard.path),
        file_format=file_format,
        examples=recipe.examples,
        rows=index_lib.to_bytes(rows),
        files=files,
        bad_images=options.bad_images,
        mark=str(shard.mark),
    )


def _collect(plan: SplitPlan, recipe: SplitRecipe, results: Sequence[ShardResult]) -> SplitResult:
    """Puts the shards of a split together, in order."""
    shards = sorted((r for r in results if r.split == plan.split), key=lambda r: r.number)
    # A shard of an earlier build may have been made from the same file in another place.
    paths = {os.path.basename(file.path): file.path for file in plan.files}
    result = SplitResult(
        split=plan.split,
        shard_lengths=tuple(shard.examples for shard in shards),
        record_bytes=sum(shard.record_bytes for shard in shards),
        shard_bytes=tuple(shard.file_bytes for shard in shards),
        shard_crc32c=tuple(shard.crc32c for shard in shards),
        notes=tuple(
            dataclasses.replace(note, path=paths.get(os.path.basename(note.path), note.path))
            for shard in shards
            for note in shard.notes
        ),
        files=plan.files + recipe.also_read,
        counts=recipe.counts,
        layout=recipe.layout,
    )
    if result.examples == 0:
        raise SourceError(
            f"split {plan.split!r}: every one of its {plan.rows.num_rows} images is bad, so there "
            f"is nothing to build; the first: {result.notes[0].path}: {result.notes[0].reason}"
        )
    return result
