"""Finds the shards that an earlier build has finished, which are not written again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.progress import Progress
from imagenet_builders.write.marks import MarkedShard, finished_shard
from imagenet_builders.write.results import ShardResult


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
        plans: The splits.
        sizes: Bytes of each shard of each split.
        name: What is built.
        policy: How this build looks at images.
        workers: The processes that compare checksums.
        small: Bytes that are not worth starting a process for.

    Returns:
        What the finished shards hold.
    """
    marked = [shard for shard in todo if shard.mark.exists()]
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
