"""The kind of source `webdataset`: shards of samples in tars, as `timm/imagenet-1k-wds` has them.

A sample is what lies side by side in a shard and has one name: `n01440764_10026.cls` (the class,
0 to 999), `.jpg`, and `.json` (class, file name and size of the image). Its row points to the body
of the `.jpg`, and its key is the name with `.JPEG`, as in the official archives.

The label is that of the name: of the class in it, or of the number of a validation image. What
`.cls` and `.json` say must be the same. Either may be absent, and their order is free. Members with
other extensions are passed over, for WebDataset lets a sample carry whatever it likes; members that
are not of a sample are an error. Headers, `.cls` and `.json` are read, images are not.

    sets = shard_sets(os.listdir(directory))        # {"train": ShardSet, "validation": ShardSet}
    files = source_files(directory / name for name in sets["train"].names)
    index = Index(index_shards("train", files, workers), tuple(files))

Source: `wds/tfds_to_wds.py` of rwightman/imagenet-12k, which wrote the shards; WebDataset's
`TarWriter`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import tar
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.sources import shard_sets as sets
from imagenet_builders.sources import tar_archives
from imagenet_builders.sources.columns import number_array
from imagenet_builders.sources.indexing import Runner
from imagenet_builders.sources.inspection import ERROR, Counted, Inspection, Problem
from imagenet_builders.sources.kind import Expected, Kind
from imagenet_builders.sources.rows import Rows, SourceFile, opened
from imagenet_builders.sources.shard_sets import ShardSet, ShardsJob
from imagenet_builders.sources.webdataset_runs import shard_rows
from imagenet_builders.sources.webdataset_samples import STAGE_JPEG, WEBP

if TYPE_CHECKING:
    import pyarrow as pa


# So many members at the beginning of a shard tell how its images are encoded.
_PEEK = 8
# A column of what shards count classes from.
_BASE = "base"


@dataclasses.dataclass(frozen=True)
class Collection:
    """A collection of shards as it was published. Its functions go to worker processes.

    Attributes:
        stem: What the names of shards begin with, before split and number.
        shards: Split to the number of its shards.
        images: Split to the number of its images.
        classes: Number of classes.
        rule: Gives, for a split, what gets key and label from the name of an image. That raises
            ValueError with the reason for a name that should not be there.
        bases: The numbers that `.cls` may be counted from: one of these in all shards of a split.
    """

    stem: str
    shards: Mapping[str, int]
    images: Mapping[str, int]
    classes: int
    rule: Callable[[str], Callable[[str], tuple[str, int]]]
    bases: tuple[int, ...] = (0,)

    def sets(self, names: Iterable[str]) -> dict[str, ShardSet]:
        """The sets of shards among the names in a directory.

        Args:
            names: File names; those that are not of shards are passed over.

        Returns:
            Split to its shards. A set that lacks its last shards looks whole; `index` counts
            images.
        """
        pattern = re.compile(rf"{self.stem}-({'|'.join(self.shards)})-([0-9]+)\.tar")
        found: dict[str, list[tuple[int, str]]] = {}
        digits: dict[str, int] = {}
        for name in names:
            match = pattern.fullmatch(name)
            if match is not None:
                found.setdefault(match[1], []).append((int(match[2]), name))
                digits[match[1]] = len(match[2])
        return {
            split: sets.numbered_set(numbers, functools.partial(self._name, split, digits[split]))
            for split, numbers in found.items()
        }

    def range_of(self, split: str) -> str:
        """The names of the first and last shard of a split, in words for messages.

        >>> IMAGENET_1K.range_of("train")
        'imagenet1k-train-0000.tar to imagenet1k-train-1023.tar'
        """
        first, last = (self._name(split, 4, number) for number in (0, self.shards[split] - 1))
        return f"{first} to {last}"

    def _name(self, split: str, digits: int, number: int) -> str:
        return f"{self.stem}-{split}-{number:0{digits}}.tar"

    def index(self, split: str, files: Sequence[SourceFile], workers: Runner) -> pa.Table:
        """The rows of a split.

        Args:
            split: Name of the split.
            files: All its shards, in the order of `ShardSet.names`; the files of the index.
            workers: Who reads them.

        Returns:
            A table of `row_schema()`, in the order of the shards and of each shard.

        Raises:
            SourceError: A shard is missing, changed, or cannot be opened; or shards count classes
                from different numbers.
            ArchiveError: A shard is damaged or empty, or holds what it should not; an image is
                missing; a label is not that of the image's name.
        """
        sets.check_complete(split, files, self.sets)
        table = sets.index(functools.partial(shards_table, self), split, files, workers)
        if len(self.bases) > 1:
            _check_one_base(table, files)
            table = table.drop_columns([_BASE])
        self._check_last_shards(split, files, table.num_rows)
        return table

    def _check_last_shards(self, split: str, files: Sequence[SourceFile], images: int) -> None:
        """Refuses the first of the published shards without the last, as in a broken-off copy.

        They have as many images each as the published ones, but together fewer than all.
        """
        all_images, shards = self.images[split], self.shards[split]
        found = len(files)
        if images >= all_images or found >= shards or images // found != all_images // shards:
            return
        raise SourceError(
            f"{os.path.dirname(files[0].path)}: expected {shards:,} shards of split {split!r}, "
            f"found the first {found:,} of them with {images:,} of its {all_images:,} images; copy "
            f"those after {os.path.basename(files[-1].path)} too"
        )

    def lacking(self, split: str, images: int) -> str | None:
        """What to say where a split has another number of images than as published, or None.

        Args:
            split: Name of the split.
            images: Number of images in all its shards.
        """
        if images == self.images[split]:
            return None
        return f"expected {self.images[split]:,} images in all shards, found {images:,}"

    def count(
        self, found: Found, inspected: Mapping[Path, Inspection], expected: Expected
    ) -> tuple[Counted, list[Problem]]:
        """Says what shards lack, and whether their images are JPEGs; see `Kind.count`."""
        counted, problems = sets.count(self.shards, found, inspected, expected)
        first = str(found.paths[0])
        with contextlib.suppress(ArchiveError), opened(SourceFile.of(first)) as fd:
            members = [each.name for each in itertools.islice(tar.walk(fd, first), _PEEK)]
            if any(name.lower().endswith(".webp") for name in members):
                wrong = Problem(ERROR, first, "JPEG images", WEBP, "", STAGE_JPEG)
                return counted, [*problems, wrong]
        return counted, problems


def _naming(split: str) -> Callable[[str], tuple[str, int]]:
    return Naming(split).row_of


IMAGENET_1K = Collection(
    "imagenet1k",
    {"train": 1024, "validation": 64},
    {"train": 1_281_167, "validation": 50_000},
    1000,
    _naming,
)
"""`timm/imagenet-1k-wds`."""


def shard_sets(names: Iterable[str]) -> dict[str, ShardSet]:
    """The sets of shards of ILSVRC2012 among the names in a directory; see `Collection.sets`.

    >>> shard_sets(["imagenet1k-validation-02.tar", "imagenet1k-validation-00.tar", "info.json"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'validation': ShardSet(names=('imagenet1k-validation-00.tar', 'imagenet1k-validation-02.tar'),
      problem='expected 3 shards, found 2: imagenet1k-validation-01.tar is missing; copy the
      missing files')}
    """
    return IMAGENET_1K.sets(names)


def index_shards(split: str, files: Sequence[SourceFile], workers: Runner) -> pa.Table:
    """The rows of a split of ILSVRC2012; see `Collection.index`."""
    return IMAGENET_1K.index(split, files, workers)


def shards_table(
    collection: Collection, job: ShardsJob, report: Callable[[int, int], None]
) -> pa.Table:
    """The rows of some shards; a job for the workers.

    Args:
        collection: What they are of.
        job: Which.
        report: Not used; the signature is that of every job of the workers.

    Returns:
        A table of `row_schema()`, in the order of the job and of each shard. If the collection has
        several bases, it has a column `base` with the one that was found in each row's shard, or -1
        if nothing tells it.

    Raises:
        SourceError: As `Collection.index`.
    """
    import numpy as np
    import pyarrow as pa

    rows = Rows()
    bases: list[np.ndarray] = []
    rows_of = functools.partial(
        shard_rows, collection.rule(job.split), collection.classes, collection.bases
    )
    for part, base in sets.each_shard(job, rows_of):
        rows.extend(part)
        bases.append(np.full(len(part), -1 if base is None else base, np.int8))
    table = rows.table()
    if len(collection.bases) > 1:
        table = table.append_column(_BASE, number_array(np.concatenate(bases), pa.int8()))
    return table


def _check_one_base(table: pa.Table, files: Sequence[SourceFile]) -> None:
    """Refuses shards that count classes from different numbers."""
    import pyarrow.compute as pc

    first: dict[int, str] = {}
    for base in (0, 1):
        row = pc.index(table[_BASE], base).as_py()
        if row >= 0:
            first[base] = files[table["file"][row].as_py()].path
    if len(first) > 1:
        raise SourceError(
            f"{first[1]}: this shard counts classes from 1, where {first[0]} counts them from 0, "
            "so they are of two collections; stage the shards of one"
        )


KIND = Kind(
    name="webdataset",
    recognise=functools.partial(sets.recognise_sets, IMAGENET_1K.sets),
    images=functools.partial(sets.prepare_images, IMAGENET_1K.index),
    inspect=tar_archives.inspect,
    count=IMAGENET_1K.count,
    not_whole=sets.not_whole,
)
