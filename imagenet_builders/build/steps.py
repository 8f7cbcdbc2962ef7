"""The steps of a build: plans all splits, then writes all shards from one queue."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import imagenet_builders
from imagenet_builders.build import adding
from imagenet_builders.build.destination import NEEDS, Destination, Shards, check_room
from imagenet_builders.build.finished import Shard
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
from imagenet_builders.words import logger
from imagenet_builders.write import marks
from imagenet_builders.write.outputs.output import Output
from imagenet_builders.write.results import ShardResult, SplitResult
from imagenet_builders.write.shard import (
    AlsoWritten,
    ShardJob,
    ShardsJob,
    prefetch,
    prefetch_shards,
    write_shard,
    write_shards,
)
from imagenet_builders.write.space import Needs

_LOG = logger(__name__)

# To start a process takes as long as to write this much, and to decode an image as long as that.
_SMALL_BYTES = 32 << 20
_DECODED_BYTES = 1 << 19

# With less, a process has descriptors left for its other files, by the usual limit of 1,024.
_MANY_SHARDS = 900
_FILES = 4096


@dataclasses.dataclass(frozen=True)
class Begun:
    """A dataset whose build has begun.

    Attributes:
        running: The build.
        name: Full name of the dataset, for messages.
        output: How shards become files.
        shard_path: From split, shard and number of shards to the file.
    """

    running: Running
    name: str
    output: Output
    shard_path: Callable[[str, int, int], Path]

    def destination(self, *, together: bool) -> Destination:
        """Where its shards are written.

        Args:
            together: Whether those of another output are, too.
        """
        name = f"{self.name} as {self.output.name}" if together else self.name
        return Destination(name, self.running.session.incomplete, self.output, self.shard_path)


def build_splits(
    recipes: Sequence[SplitRecipe],
    context: BuildContext,
    begun: Sequence[Begun],
    plan_config: PlanConfig,
) -> list[Built | None]:
    """Plans the splits and writes them into the incomplete directories.

    Args:
        recipes: The splits.
        context: How to build.
        begun: What is built of them: a dataset, or the same in several outputs, of which then none
            is one that splits are added to.
        plan_config: How to plan.

    Returns:
        What was written of each; None if another process has published the same meanwhile, or if
        nothing can be added.

    Raises:
        ImagenetBuildersError: A source is damaged, or an image is and the policy is to fail; or a
            shard cannot be written; or a dataset that is replaced would lose a split; or what is
            to be kept is damaged.
        OSError: A file cannot be read.
    """
    for each in begun:
        if each.running.task is Task.REPLACE:
            each.running.request.check_splits(recipe.split for recipe in recipes)
    with phase(f"planning {begun[0].name}"):
        plans = recipe_lib.plan_splits(recipes, plan_config)
    for each in begun:
        _warn_of_open_files(each.name, each.output, [plan.shard_count for plan in plans])
    added = begun[0].running.added
    if added is not None:
        new = adding.new_ones(added, recipes, plans)
        if not new:
            return [None]
        recipes, plans = [recipes[each] for each in new], [plans[each] for each in new]
        adding.announce(added, begun[0].name, [recipe.split for recipe in recipes])
    digests: dict[int, dict[str, str]] = {}
    for number, each in enumerate(begun):
        found = _opened(each, recipes, plans)
        if found is not None:
            digests[number] = found
    if added is not None:
        [only] = begun
        incomplete = only.running.session.incomplete
        kept = keep(
            added.kept, only.name, only.output, incomplete, context.workers, small=_SMALL_BYTES
        )
        added = dataclasses.replace(added, kept=kept)
    if not digests:
        return [None for _ in begun]
    try:
        results = write_everywhere(
            recipes,
            plans,
            [begun[number].destination(together=len(digests) > 1) for number in digests],
            name=begun[0].name,
            options=context.options,
            workers=context.workers,
        )
    except BadImageError:
        raise
    except SourceError:
        # A file in a folder can change without its folder showing it.
        context.cache.forget()
        raise
    built = dict(zip(digests, results, strict=True))
    return [
        Built(built[number], digests[number], added) if number in digests else None
        for number in range(len(begun))
    ]


def _opened(
    begun: Begun, recipes: Sequence[SplitRecipe], plans: Sequence[SplitPlan]
) -> dict[str, str] | None:
    """Makes the incomplete directory ready; the digest of each plan, or None if it is built."""
    running, added = begun.running, begun.running.added
    description = describe(
        plans,
        [recipe.also_read for recipe in recipes],
        dataset=begun.name,
        file_format=begun.output.name,
        mark_format=marks.FORMAT,
        version=imagenet_builders.__version__,
    )
    running.session.check_lock()
    if added is not None:
        description["kept"] = added.kept.identity()
    elif running.request.is_met_meanwhile(description):
        _LOG.info(
            f"{begun.name} was built meanwhile by another process, from the same sources and with "
            "the same options; it is not built again"
        )
        return None
    running.session.open(description)
    return {split: each["plan"] for split, each in description["splits"].items()}


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
    needs: Needs = NEEDS,
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
    [results] = write_everywhere(
        recipes,
        plans,
        [Destination(name, incomplete, output, shard_path, needs)],
        name=name,
        options=options,
        workers=workers,
    )
    return results


def write_everywhere(
    recipes: Sequence[SplitRecipe],
    plans: Sequence[SplitPlan],
    destinations: Sequence[Destination],
    *,
    name: str,
    options: BuildOptions,
    workers: Workers,
) -> list[list[SplitResult]]:
    """Writes the same splits to several destinations, for which images are read once.

    Args:
        recipes: The splits.
        plans: Their plans.
        destinations: Where, and how.
        name: What is built, for the progress bar.
        options: How to write.
        workers: The processes that write.

    Returns:
        What was built in each, in the order of `recipes`; see `write_splits`.
    """
    images = sum(plan.rows.num_rows for plan in plans)
    sizes = [plan.shard_sizes() for plan in plans]
    size = sum(map(sum, sizes))
    policy = ImagePolicy.of(options)
    decoded = images if policy.decode else _made_anew(recipes, plans)
    in_process = size + decoded * _DECODED_BYTES < _SMALL_BYTES
    everywhere = [Shards(destination, plans) for destination in destinations]
    for shards in everywhere:
        shards.find_finished(sizes, policy, workers, small=_SMALL_BYTES)
    check_room(everywhere, sizes, images)
    todo: dict[tuple[int, int], list[tuple[Shards, Shard]]] = {}
    for shards in everywhere:
        for shard in shards.todo:
            todo.setdefault((shard.which, shard.number), []).append((shards, shard))
    order = sorted(todo)
    # Made one by one: together, the jobs hold all rows once more.
    jobs = (_shards_job(plans[w], recipes[w], todo[w, n], policy) for w, n in order)
    progress = Progress(name, images=images, size=size)
    unwritten = {(plans[which].split, number) for which, number in order}
    progress.was_done(
        sum(
            result.examples
            for result in everywhere[0].results
            if (result.split, result.number) not in unwritten
        ),
        size - sum(sizes[which][number] for which, number in order),
    )
    with progress:
        written: Iterator[tuple[int, tuple[ShardResult, ...]]]
        if len(everywhere) > 1:
            written = workers.run(
                write_shards,
                jobs,
                report=progress.update,
                prefetch=prefetch_shards,
                in_process=in_process,
            )
        else:
            one_by_one: Iterator[tuple[int, ShardResult]] = workers.run(
                write_shard,
                (job.shard for job in jobs),
                report=progress.update,
                prefetch=prefetch,
                in_process=in_process,
            )
            written = ((position, (result,)) for position, result in one_by_one)
        for position, results in written:
            for (shards, _), result in zip(todo[order[position]], results, strict=True):
                shards.results.append(result)
    for plan in plans:
        for file in plan.files:
            file.check_still_there()
    return [shards.collected(recipes) for shards in everywhere]


def _made_anew(recipes: Sequence[SplitRecipe], plans: Sequence[SplitPlan]) -> int:
    """How many images are decoded, because they are encoded anew."""
    return sum(p.rows.num_rows for r, p in zip(recipes, plans, strict=True) if r.made_with)


def _shards_job(
    plan: SplitPlan,
    recipe: SplitRecipe,
    places: Sequence[tuple[Shards, Shard]],
    policy: ImagePolicy,
) -> ShardsJob:
    first, *others = [
        (shards.destination.output_of(plan.split, shard.number, plan.shard_count), shard)
        for shards, shard in places
    ]
    output, shard = first
    rows, files = plan.shard(shard.number)
    job = ShardJob(
        split=plan.split,
        number=shard.number,
        path=str(shard.path),
        output=output,
        examples=recipe.examples,
        rows=index_lib.to_bytes(rows),
        files=files,
        access=plan.access,
        policy=policy,
        mark=str(shard.mark),
    )
    return ShardsJob(job, tuple(AlsoWritten(str(each.path), other) for other, each in others))


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
