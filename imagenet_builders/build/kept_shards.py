"""Keeps the shards of a dataset that splits are added to."""

from __future__ import annotations

import dataclasses
import functools
import os
from concurrent.futures import ThreadPoolExecutor

from imagenet_builders.build.index_files import write_indexes
from imagenet_builders.publish.addition import Kept, KeptSplit
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.progress import Progress
from imagenet_builders.write.kept import KeptShard, check_kept, copy, link
from imagenet_builders.write.outputs.output import Output
from imagenet_builders.write.space import check_space

_COPIES_AT_ONCE = 4


def keep(
    kept: Kept,
    name: str,
    output: Output,
    incomplete: IncompleteDir,
    workers: Workers,
    *,
    small: int,
) -> Kept:
    """Puts all shards that are kept into the incomplete dataset, and compares their checksums.

    Their index files are written anew, so a dataset that was built without any has them, too.

    Args:
        kept: What is there.
        name: Full name of the dataset.
        output: What wrote its shards.
        incomplete: Where the new dataset is put together.
        workers: The processes that compare.
        small: Bytes that are not worth starting a process for.

    Returns:
        The same, with the checksums of the index files in what is recorded of each split.

    Raises:
        TargetError: A shard is not what it was when it was built, or there is no room for copies.
    """
    there = kept.path.absolute()
    shards = [
        KeptShard(
            os.fspath(there / each),
            os.fspath(incomplete.shards / each),
            count,
            size,
            crc32c,
            output,
        )
        for split in kept.splits.values()
        for each, count, size, crc32c in split.shard_facts()
    ]
    to_copy = [shard for shard in shards if not link(shard, incomplete.directory)]
    check_space(incomplete.shards, sum(shard.size for shard in to_copy), len(to_copy))
    size = sum(shard.size for shard in to_copy)
    copying = functools.partial(copy, directory=incomplete.directory)
    with (
        Progress(f"copying what {name} has", images=0, size=size) as progress,
        ThreadPoolExecutor(_COPIES_AT_ONCE) as threads,
    ):
        for shard, _ in zip(to_copy, threads.map(copying, to_copy), strict=True):
            progress.update(0, shard.size)
    total = sum(shard.size for shard in shards)
    images = sum(shard.examples for shard in shards)
    offsets = {}
    with Progress(f"checking what {name} has", images=images, size=total) as progress:
        for position, found in workers.run(
            check_kept, shards, report=progress.update, in_process=total < small
        ):
            if found is not None:
                offsets[os.path.basename(shards[position].path)] = found
    if output.index is None:
        return kept
    crcs = write_indexes(output.index, offsets, incomplete)
    return dataclasses.replace(
        kept, splits={split: _recorded(each, crcs) for split, each in kept.splits.items()}
    )


def _recorded(split: KeptSplit, crcs: dict[str, str]) -> KeptSplit:
    """A split with the checksums of its index files in what is recorded of it."""
    record = {**split.record, "index_crc32c": [crcs[shard] for shard in split.shards]}
    return dataclasses.replace(split, record=record)
