"""Builds by the engine alone: rows of a file, written to shards of any output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imagenet_builders.build.steps import write_splits
from imagenet_builders.formats.tfrecord.example import FlatExample, serialize
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.identity import describe
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.plan import SplitPlan
from imagenet_builders.plan.recipe import ImagePolicy, Note, PlanConfig, SplitRecipe, plan_splits
from imagenet_builders.publish.incomplete import IncompleteDir
from imagenet_builders.publish.target import Target
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import Rows, SourceFile
from imagenet_builders.write import marks
from imagenet_builders.write.outputs.output import Output
from imagenet_builders.write.results import SplitResult

SPLIT = "train"
SKIPPED = "skipped"
"""A row whose key begins so is an image that is left out."""


def make_recipe(directory: Path, sizes: list[int], *, prefix: str = "key") -> SplitRecipe:
    """A split of random images of the given sizes, in one file."""
    path = directory / "images"
    path.write_bytes(np.random.default_rng(1).bytes(sum(sizes)))
    rows, offset = Rows(), 0
    for number, size in enumerate(sizes):
        rows.add(f"{prefix} {number}", number, 0, offset, size)
        offset += size
    return SplitRecipe(
        SPLIT, Index(rows.table(), (SourceFile.of(path),)), make_examples, _sizes_of_images
    )


def make_examples(
    rows: Any, reader: Reader, policy: ImagePolicy, notes: list[Note]
) -> Iterator[tuple[str, FlatExample]]:
    for row in reader.images(rows):
        if row.key.startswith(SKIPPED):
            notes.append(Note(row.key, "skipped", policy.bad_images, row.path, row.offset))
        else:
            yield row.key, {"image": row.data, "label": row.label, "key": row.key}


def _sizes_of_images(index: Index) -> np.ndarray:
    return index.table["size"].to_numpy()


def planned(recipe: SplitRecipe, shards: int) -> SplitPlan:
    [plan] = plan_splits([recipe], PlanConfig(count_shards=lambda size, count: shards))
    return plan


def planned_records(plan: SplitPlan) -> list[bytes]:
    """The records of a plan, in order."""
    with Reader(plan.files) as reader:
        examples = make_examples(plan.rows, reader, ImagePolicy("skip"), [])
        return [b"".join(serialize(example)) for _, example in examples]


def write(
    recipe: SplitRecipe,
    output: Output,
    target: Path,
    *,
    shards: int,
    workers: int = 1,
    token: str = "0" * 16,
    former_marks: bool = False,
) -> tuple[IncompleteDir, str, SplitResult]:
    """Writes all shards of a split that are not there yet.

    Args:
        recipe: The split.
        output: How shards become files.
        target: Where it would be published.
        shards: Number of shards.
        workers: Number of processes.
        token: Of the build; what another one left is used.
        former_marks: Write down what is built as it was done before marks had a format.

    Returns:
        Where the shards are, what there is to say of an earlier build, and what was built.
    """
    plan = planned(recipe, shards)
    description = describe(
        [plan],
        [()],
        dataset="a dataset",
        file_format=output.name,
        mark_format=marks.FORMAT,
        version="1",
    )
    if former_marks:
        del description["mark format"]
    target.parent.mkdir(exist_ok=True)
    incomplete = IncompleteDir(Target(target), token)
    said = incomplete.open(description)

    def shard_path(split: str, number: int, count: int) -> Path:
        name = f"name-{split}.{output.suffix}-{number:05}-of-{count:05}"
        return incomplete.shards / name

    with LocalWorkers(workers) as processes:
        [result] = write_splits(
            [recipe],
            [plan],
            name="name",
            shard_path=shard_path,
            output=output,
            incomplete=incomplete,
            options=BuildOptions(bad_images="skip"),
            workers=processes,
        )
    return incomplete, said, result


def shard_results(incomplete: IncompleteDir) -> list[Any]:
    """What the marks say of the shards, in order."""
    shards = sorted(path for path in incomplete.shards.iterdir() if path.is_file())
    return [marks.read_mark(incomplete.mark_of(shard)) for shard in shards]
