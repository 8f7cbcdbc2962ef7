"""The steps of a build: plans all splits, then writes all shards from one queue."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

import imagenet_builders
from imagenet_builders.build import adding
from imagenet_builders.build.finished import Shard, finished_before
from imagenet_builders.build.index_files import INDEX_BYTES_A_RECORD, write_indexes
from imagenet_builders.build.kept_shards import keep
from imagenet_builders.build.running import Built, Running
from imagenet_builders.errors import BadImageError, SourceError
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan import index as index_lib
from imagenet_builders.plan import recipe as recipe_lib
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.identity import describe
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import ImagePolicy, PlanConfig, SplitRecipe
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.publish.published import Task
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.progress import Progress, phase
from imagenet_builders.words import counted, logger
from imagenet_builders.write import marks
from imagenet_builders.write.marks import BYTES_A_RECORD
from imagenet_builders.write.outputs.output import Output
from imagenet_builders.write.results import ShardResult, SplitResult
from imagenet_builders.write.shard import ShardJob, prefetch, write_shard
from imagenet_builders.write.space import Needs, check_space

_LOG = logger(__name__)

_SMALL_BYTES = 32 << 20

# With less, a process has descriptors left for its other files, by the usual limit of 1,024.
_MANY_SHARDS = 900
_FILES = 4096

# A shard, its mark and its index.
_FILES_A_SHARD = 3

_NEEDS = Needs(BYTES_A_RECORD + INDEX_BYTES_A_RECORD)


def build_splits(
    recipes: Sequence[SplitRecipe],
    context: BuildContext,
    running: Running,
    *,
    name: str,
    shard_path: Callable[[str, int, int], Path],
    output: Output,
    plan_config: PlanConfig,
) -> Built | None:
    """Plans the splits and writes them into the incomplete directory.

    Args:
        recipes: The splits.
        context: How to build.
        running: The build.
        name: Full name of the dataset.
        shard_path: From split, shard and number of shards to the file.
        output: How shards become files.
        plan_config: How to plan.

    Returns:
        What was written; None if another process has published the same meanwhile, or if nothing
        can be added.

    Raises:
        ImagenetBuildersError: A source is damaged, or an image is and the policy is to fail; or a
            shard cannot be written; or a dataset that is replaced would lose a split; or what is
            to be kept is damaged.
        OSError: A file cannot be read.
    """
    if running.task is Task.REPLACE:
        running.request.check_splits(recipe.split for recipe in recipes)
    with phase(f"planning {name}"):
        plans = recipe_lib.plan_splits(recipes, plan_config)
    added = running.added
    _warn_of_open_files(name, output, [plan.shard_count for plan in plans])
    if added is not None:
        new = adding.new_ones(added, recipes, plans)
        if not new:
            return None
        recipes, plans = [recipes[each] for each in new], [plans[each] for each in new]
        adding.announce(added, name, [recipe.split for recipe in recipes])
    description = describe(
        plans,
        [recipe.also_read for recipe in recipes],
        dataset=name,
        file_format=output.name,
        mark_format=marks.FORMAT,
        version=imagenet_builders.__version__,
    )
    running.session.check_lock()
    if added is not None:
        description["kept"] = added.kept.identity()
    elif running.request.is_met_meanwhile(description):
        _LOG.info(
            f"{name} was built meanwhile by another process, from the same sources and with the "
            "same options; it is not built again"
        )
        return None
    running.session.open(description)
    if added is not None:
        kept = keep(
            added.kept,
            name,
            output,
            running.session.incomplete,
            context.workers,
            small=_SMALL_BYTES,
        )
        added = dataclasses.replace(added, kept=kept)
    try:
        results = write_splits(
            recipes,
            plans,
            name=name,
            shard_path=shard_path,
            output=output,
            incomplete=running.session.incomplete,
            options=context.options,
            workers=context.workers,
        )
    except BadImageError:
        raise
    except SourceError:
        # A file in a folder can change without its folder showing it.
        context.cache.forget()
        raise
    digests = {split: each["plan"] for split, each in description["splits"].items()}
    return Built(results, digests, added)


def _warn_of_open_files(name: str, output: Output, shards: Sequence[int]) -> None:
    """Warns of so many shards that their readers cannot have all of them open."""
    if output.keeps_open and sum(shards) >= _MANY_SHARDS:
        limit = max(_FILES, 1 << (2 * sum(shards)).bit_length())
        _LOG.warning(
            f"{name} gets {sum(shards):,} shards as {output.name}, whose readers keep every shard "
            "open that they have read from: with the usual limit of 1,024 files they end with "
            f'"Too many open files"; readers say `ulimit -n {limit}` first, or you build fewer '
            "shards (--num-shards)"
        )


def write_splits(
    recipes: Sequence[SplitRecipe],
    plans: Sequence[SplitPlan],
    *,
    name: str,
    shard_path: Callable[[str, int, int], Path],
    output: Output | Callable[[str, int, int], Output],
    incomplete: IncompleteDir,
    options: BuildOptions,
    workers: Workers,
    needs: Needs = _NEEDS,
) -> list[SplitResult]:
    """Writes all shards of the splits that are not finished.

    Args:
        recipes: The splits.
        plans: Their plans.
        name: What is built, for the progress bar.
        shard_path: From split, shard and number of shards to the file.
        output: How shards become files, or what says that of split, shard and number of shards.
        incomplete: Where finished shards and their marks are; it is open.
        options: How to write.
        workers: The processes that write.
        needs: The room that is needed besides that of the images.

    Returns:
        What was built, in the order of `recipes`.

    Raises:
        ImagenetBuildersError: A source is damaged, or an image is and the policy is to fail; or a
            shard cannot be written.
        OSError: A file cannot be read.
    """
    todo = [
        Shard(which, number, path, incomplete.mark_of(path))
        for which, plan in enumerate(plans)
        for number in range(plan.shard_count)
        for path in [shard_path(plan.split, number, plan.shard_count)]
    ]
    total = counted(len(todo), "shard")
    images = sum(plan.rows.num_rows for plan in plans)
    sizes = [plan.shard_sizes() for plan in plans]
    size = sum(map(sum, sizes))
    # To start a process takes as long as to write this much.
    in_process = size < _SMALL_BYTES
    results = finished_before(
        todo,
        incomplete.marked(),
        plans,
        sizes,
        name,
        ImagePolicy.of(options),
        workers,
        small=_SMALL_BYTES,
    )
    if results:
        _LOG.info(f"{name}: already finished: {len(results):,} of {total}")
    before = {(result.split, result.number) for result in results}
    left = sum(sizes[shard.which][shard.number] for shard in todo)
    left = left * needs.copies + needs.bytes_a_record * images
    files = _FILES_A_SHARD * len(todo) + needs.files_a_record * images
    check_space(incomplete.shards, left, files, needs.flag)
    # Made one by one: together, the jobs hold all rows once more.
    jobs = (_shard_job(plans[s.which], recipes[s.which], s, output, options) for s in todo)
    progress = Progress(name, images=images, size=size)
    progress.was_done(
        sum(result.examples for result in results),
        size - sum(sizes[shard.which][shard.number] for shard in todo),
    )
    with progress:
        written: Iterator[tuple[int, ShardResult]] = workers.run(
            write_shard, jobs, report=progress.update, prefetch=prefetch, in_process=in_process
        )
        for _, result in written:
            results.append(result)
    for plan in plans:
        for file in plan.files:
            file.check_still_there()
    crcs = None
    if isinstance(output, Output) and output.index is not None:
        counts = {plan.split: plan.shard_count for plan in plans}
        offsets = {
            shard_path(each.split, each.number, counts[each.split]).name: each.offsets
            for each in results
            if each.offsets is not None
        }
        crcs = write_indexes(output.index, offsets, incomplete)
    return [
        _collect(plan, recipe, results, before, shard_path, crcs)
        for plan, recipe in zip(plans, recipes, strict=True)
    ]


def _shard_job(
    plan: SplitPlan,
    recipe: SplitRecipe,
    shard: Shard,
    output: Output | Callable[[str, int, int], Output],
    options: BuildOptions,
) -> ShardJob:
    rows, files = plan.shard(shard.number)
    if not isinstance(output, Output):
        output = output(plan.split, shard.number, plan.shard_count)
    return ShardJob(
        split=plan.split,
        number=shard.number,
        path=str(shard.path),
        output=output,
        examples=recipe.examples,
        rows=index_lib.to_bytes(rows),
        files=files,
        access=plan.access,
        policy=ImagePolicy.of(options),
        mark=str(shard.mark),
    )


def _collect(
    plan: SplitPlan,
    recipe: SplitRecipe,
    results: Sequence[ShardResult],
    before: Set[tuple[str, int]],
    shard_path: Callable[[str, int, int], Path],
    index_crcs: Mapping[str, str] | None,
) -> SplitResult:
    """Puts the shards of a split together, in order; some were finished before this build."""
    shards = sorted((r for r in results if r.split == plan.split), key=lambda r: r.number)
    # An earlier build may have made a shard from the same file in another directory.
    paths = {os.path.basename(file.path): file.path for file in plan.files}
    result = SplitResult(
        split=plan.split,
        shard_lengths=tuple(shard.examples for shard in shards),
        record_bytes=sum(shard.record_bytes for shard in shards),
        shard_bytes=tuple(shard.file_bytes for shard in shards),
        shard_crc32c=tuple(shard.crc32c for shard in shards),
        index_crc32c=None
        if index_crcs is None
        else tuple(
            index_crcs[shard_path(plan.split, shard.number, plan.shard_count).name]
            for shard in shards
        ),
        notes=tuple(
            dataclasses.replace(note, path=paths.get(os.path.basename(note.path), note.path))
            for shard in shards
            for note in shard.notes
        ),
        files=plan.files + recipe.also_read,
        counts=recipe.counts,
        layout=recipe.layout,
        part=recipe.part,
        bytes_before=sum(r.file_bytes for r in shards if (r.split, r.number) in before),
    )
    if result.examples == 0:
        raise SourceError(
            f"split {plan.split!r}: every one of its {plan.rows.num_rows} images is bad, so there "
            f"is nothing to build; the first: {result.notes[0].path}: {result.notes[0].reason}"
        )
    return result


def of_archives(results: Iterable[SplitResult], unpacked: Mapping[str, str]) -> list[SplitResult]:
    """Results that name archives in place of the files that were unpacked from them.

    Args:
        results: What was built.
        unpacked: As in `BuildContext`; the archives are among the files of a result.
    """
    return [
        dataclasses.replace(
            result,
            files=tuple(file for file in result.files if file.path not in unpacked),
            notes=tuple(
                dataclasses.replace(note, path=f"{unpacked[note.path]}, unpacked")
                if note.path in unpacked
                else note
                for note in result.notes
            ),
        )
        for result in results
    ]
