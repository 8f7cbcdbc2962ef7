"""Recipes of splits: an index, and the function that makes examples of its rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from imagenet_builders.plan.index import Index
from imagenet_builders.plan.plan import ShardCounter, SplitPlan, plan_split
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.words import counted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from imagenet_builders.formats.tfrecord.example import FlatExample
    from imagenet_builders.options import BuildOptions
    from imagenet_builders.sources.reader import Reader


@dataclasses.dataclass(frozen=True)
class Note:
    """An image that is not stored as it was found.

    Attributes:
        key: The example's key.
        action: `repaired` or `skipped`.
        reason: What was wrong and, for a repair, what was done.
        path: The file it was read from.
        offset: Byte offset in that file.
    """

    key: str
    action: str
    reason: str
    path: str
    offset: int


@dataclasses.dataclass(frozen=True)
class ImagePolicy:
    """How a build looks at images, and what it does with a bad one.

    Attributes:
        bad_images: `fail` or `skip`.
        decode: Decode every pixel of every image.
    """

    bad_images: str = "fail"
    decode: bool = False

    @classmethod
    def of(cls, options: BuildOptions) -> ImagePolicy:
        """The policy that the options of a build ask for."""
        return cls(options.bad_images, options.decode)


@dataclasses.dataclass(frozen=True)
class Part:
    """How much of an official split is staged.

    Attributes:
        classes: Number of classes that have an image; None in a split without labels.
        of_classes: Number of classes of the official split, or None likewise.
        images: Number of images.
        of_images: Number of images of the official split; None where it is not known.
        known_as: The name by which people know these classes, or None.
    """

    classes: int | None
    of_classes: int | None
    images: int
    of_images: int | None
    known_as: str | None = None

    def __str__(self) -> str:
        """How much it is, in a phrase."""
        images = counted(self.images, "image")
        if self.of_images is not None:
            images = f"{self.images:,} of {self.of_images:,} images"
        if self.classes is None or self.of_classes is None:
            return images
        known_as = f" ({self.known_as})" if self.known_as else ""
        return f"{images}, {self.classes:,} of {self.of_classes:,} classes{known_as}"


MakeExamples = Callable[
    ["pa.Table", "Reader", ImagePolicy, list[Note]], "Iterator[tuple[str, FlatExample]]"
]
"""Yields key and example of each row, in the order of the rows.

It takes rows, what reads the files that they point into, the policy for images, and a list that
receives a `Note` for each image that is repaired or skipped. It stands at
the top of a module, where other processes find it.
"""


@dataclasses.dataclass(frozen=True)
class SplitRecipe:
    """How to make the examples of a split.

    Attributes:
        split: Name of the split.
        index: Its rows.
        examples: Makes examples of rows.
        example_sizes: Computes the bytes of each serialized example from the index, shape (rows,).
        counts: Other numbers worth knowing about the split, by names with underscores; shown at the
            end of a build and kept in `provenance.json`.
        recount: Gives such of these numbers as rows of the index tell, of some of these; needed
            where not all are stored.
        also_read: Files that the index was made from besides those that its rows point into.
        layout: Its layout under `manual_dir`, in words; kept in `provenance.json`.
        classes: The wnids in the order of their labels, as an archive has them; empty where they
            are known without it.
        part: How much of the official split it is; None if it is all of it.
        made_with: What decides the bytes of images that are made anew, by names with underscores:
            options, and the versions of libraries. Another build goes on with the shards of this
            one, or adds to them, only if it is the same; kept in `provenance.json`.
    """

    split: str
    index: Index
    examples: MakeExamples
    example_sizes: Callable[[Index], np.ndarray]
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    recount: Callable[[pa.Table], Mapping[str, int]] | None = None
    also_read: tuple[SourceFile, ...] = ()
    layout: str = ""
    classes: tuple[str, ...] = ()
    part: Part | None = None
    made_with: Mapping[str, str | int] = dataclasses.field(default_factory=dict)

    def counts_of(self, planned: pa.Table, notes: Iterable[Note]) -> Mapping[str, int]:
        """`counts` of what is stored.

        Args:
            planned: The rows of the plan.
            notes: What was repaired or skipped of them.
        """
        skipped = {note.key for note in notes if note.action == "skipped"}
        if self.recount is None or (not skipped and planned.num_rows == len(self.index)):
            return self.counts
        import pyarrow as pa
        import pyarrow.compute as pc

        left_out = pc.is_in(planned["key"], value_set=pa.array(sorted(skipped), pa.string()))
        stored = self.recount(planned.filter(pc.invert(left_out)))
        return {name: stored.get(name, number) for name, number in self.counts.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """The part of TensorFlow Datasets' `DownloadConfig` that concerns the plan.

    Attributes:
        count_shards: Computes the number of shards.
        max_examples_per_split: Number of examples to take from the front of each split, or None.
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
            made_with=recipe.made_with,
        )
        for recipe in recipes
    ]
