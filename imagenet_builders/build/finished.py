"""Finished shards: those of an earlier build, which are not written again, and in the end all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from imagenet_builders.build.running import Running
from imagenet_builders.errors import TargetError
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.publish import provenance
from imagenet_builders.publish.addition import KeptSplit
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.progress import Progress
from imagenet_builders.write.marks import MarkedShard, finished_shard
from imagenet_builders.write.outputs.output import Output, RecordIndex
from imagenet_builders.write.results import ShardResult, SplitResult


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard to write.

    Attributes:
        which: The position of its plan.
        number: Its number there.
        path: Its file.
        mark: The file of its mark.
    """

    which: int
    number: int
    path: Path
    mark: Path


def finished_before(
    todo: list[Shard],
    marked_names: Collection[str],
    plans: Sequence[SplitPlan],
    sizes: Sequence[Sequence[int]],
    name: str,
    policy: ImagePolicy,
    workers: Workers,
    *,
    small: int,
) -> list[ShardResult]:
    """Takes the shards that an earlier build has finished out of what is to do.

    Args:
        todo: All shards; those that are finished are removed.
        marked_names: Names of those that have a mark.
        plans: The splits.
        sizes: Bytes of each shard of each split.
        name: What is built.
        policy: How this build looks at images.
        workers: The processes that compare checksums.
        small: Bytes that are not worth starting a process for.

    Returns:
        What the finished shards hold.
    """
    marked = [shard for shard in todo if shard.path.name in marked_names]
    size = sum(sizes[shard.which][shard.number] for shard in marked)
    results = []
    with Progress(f"checking what is finished of {name}", images=0, size=size) as progress:
        for position, result in workers.run(
            finished_shard,
            [
                MarkedShard(
                    plans[shard.which].split,
                    shard.number,
                    os.fspath(shard.path),
                    os.fspath(shard.mark),
                    policy,
                )
                for shard in marked
            ],
            in_process=size < small,
        ):
            shard = marked[position]
            progress.update(0, sizes[shard.which][shard.number])
            if result is not None:
                todo.remove(shard)
                results.append(result)
    return results


def seal(
    running: Running,
    results: Sequence[SplitResult],
    *,
    name: str,
    plans: Mapping[str, str],
    limit: int | None,
    shard_path: Callable[[str, int, int], Path],
    output: Output | None,
) -> None:
    """Writes the provenance of a dataset whose other files are all there, and makes sure of that.

    Args:
        running: The build.
        results: What was built; nothing by TensorFlow Datasets' own way to write.
        name: Full name of the dataset.
        plans: Split to the digest of its plan.
        limit: The `max_examples_per_split` that makes it a part of the dataset, or None.
        shard_path: As for `steps.write_splits`.
        output: How shards became files; None if TensorFlow Datasets wrote them.

    Raises:
        TargetError: A file is missing, or has another size than was written, or the provenance
            cannot be written.
    """
    if results or limit == 0:
        provenance.write_provenance(
            running.session.incomplete.place,
            dataset=name,
            results=results,
            options=running.request.options,
            plans=plans,
            max_examples_per_split=limit,
            seconds=running.session.seconds,
            kept={each.split: each.record for each in running.kept},
            builds=running.added.kept.builds if running.added else (),
        )
    index = output.index if output is not None else None
    _check_shards(running.kept, results, shard_path, running.session.incomplete, index)


def _check_shards(
    kept: Iterable[KeptSplit],
    results: Iterable[SplitResult],
    shard_path: Callable[[str, int, int], Path],
    incomplete: IncompleteDir,
    index: RecordIndex | None,
) -> None:
    """Makes sure that all shards are still there, before they are published.

    On file systems for scratch data, programs remove old files.
    """
    names, confirmed = list[str](), list[str]()
    splits: list[SplitResult | KeptSplit] = [*kept, *results]
    for result in splits:
        # The storage has confirmed what has a mark; what is kept may be a copy.
        shards = confirmed if isinstance(result, SplitResult) else names
        for number, size in enumerate(result.shard_bytes):
            path = shard_path(result.split, number, len(result.shard_bytes))
            shards.append(path.name)
            found = incomplete.size_of(path.name)
            if found != size:
                raise TargetError(
                    f"{path} had {size:,} bytes when it was written and has {found:,} now; find "
                    "out what changed it, then run the same command again"
                )
            if index is not None:
                names.append(index.name_of(path.name))
                incomplete.size_of(names[-1])
    if names or confirmed:  # Of TensorFlow Datasets' own way to write, they are not known.
        incomplete.expect([*names, provenance.FILE_NAME], confirmed)
