"""Indexes the images of a part of ILSVRC2012 from a source of any kind.

Labels come from the class in a train image's name and from the number in a validation image's name,
never from the order of anything: the official validation archive is not sorted, and one directory
entry in it would shift every label that is taken by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders import labels
from imagenet_builders.datasets.ilsvrc2012.splits import classes as wnids
from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.access import saying_why
from imagenet_builders.locate.found import Found
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.scratch.means import ScratchMeans
from imagenet_builders.sources import kinds
from imagenet_builders.sources.columns import numbers_in
from imagenet_builders.sources.rows import PassedOver
from imagenet_builders.words import counted, logger

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = logger(__name__)


def index_found(
    what: Sequence[str],
    found: Found,
    naming: Naming,
    context: BuildContext,
) -> Index:
    """Indexes a source of the images of a split.

    Args:
        what: Names for the cache: dataset, split, and what else decides the rows.
        found: The source.
        naming: The rule that gets key and label from an image's name.
        context: What to index with.

    Returns:
        The rows in the order of the source; keys are the images' official file names. The same
        images have the same keys and labels in every kind of source.

    Raises:
        SourceError: It is damaged, is not what its name says, or cannot be read.
    """
    with saying_why(found.paths[0]):
        kind = kinds.kind(found.kind)
        if kind.images is None:
            raise SourceError(
                f"{found}: images of ILSVRC2012 are not read from a source of this kind; stage the "
                "official archive"
            )
        means = ScratchMeans(f"split {found.split}", context)
        prepared = kind.images(found, naming, means, strict=context.options.strict)
        if prepared.odd is not None:
            if context.options.strict:
                raise SourceError(f"{prepared.odd}; move it elsewhere, or build without --strict")
            _LOG.warning(f"{prepared.odd}; it is passed over")
        files = prepared.files
        index = context.cache.get(
            [*what, found.kind],
            [*files, *prepared.also_read],
            lambda: Index(prepared.make(), files),
            kind.access,
        )
    report_passed_over(found.paths[0], index.table, strict=context.options.strict)
    if _has_rows(found, index):
        _check_complete(found, naming, index, strict=context.options.strict)
    return index


def report_passed_over(path: Path, table: pa.Table, *, strict: bool) -> None:
    """Warns of files that are no images and were passed over when a table of rows was made.

    Args:
        path: The source.
        table: The rows of all images in it.
        strict: Refuse them.

    Raises:
        SourceError: There are such files, and `strict` is set.
    """
    left = PassedOver.of(table)
    if not left.count:
        return
    text = f"{path} holds what is not one of its images: {left}"
    if strict:
        raise SourceError(f"{text}; build without --strict to pass it over")
    _LOG.warning(f"{text}; it is passed over")


def _check_complete(found: Found, naming: Naming, index: Index, *, strict: bool) -> None:
    """Compares the numbers of images with the official ones, in sources of any size.

    Raises:
        SourceError: They differ, and `strict` is set.
    """
    import numpy as np

    classes = ""
    if naming.part == "train":
        official = list(labels.train_counts().values())
        numbers = np.bincount(numbers_in(index.table["label"]), minlength=len(official))
        odd = np.flatnonzero(numbers != official).tolist()
        if not odd:
            return
        expected = sum(official)
        few = ", ".join(
            f"{wnids()[label]} has {numbers[label]:,} of {official[label]:,}" for label in odd[:3]
        )
        classes = (
            f"; {counted(len(odd), 'class differs', 'classes differ')}: {few}"
            f"{', ...' if len(odd) > 3 else ''}"
        )
    elif naming.count in (None, len(index)):
        return
    else:
        expected = naming.count or 0
    text = (
        f"{found}: expected the official {expected:,} images of {found.split}, found "
        f"{len(index):,}{classes}"
    )
    if strict:
        raise SourceError(f"{text}; copy all of it, or build without --strict")
    _LOG.warning(text)


def index_split(found: Found, context: BuildContext) -> Index:
    """Indexes a split of ILSVRC2012 for any dataset, with one cache; see `index_found`."""
    return index_found(["ilsvrc2012", found.split], found, Naming(found.split), context)


def index_splits(chosen: Mapping[str, Found], context: BuildContext) -> dict[str, Index]:
    """Indexes splits, each for any dataset; warns of those that an archive of several lacks.

    Args:
        chosen: Split to its source.
        context: What to index with.

    Returns:
        Split to its rows. None of an archive that has several splits is empty.

    Raises:
        SourceError: As `index_found`; or no split has an image.
    """
    indexes = {split: index_split(found, context) for split, found in chosen.items()}
    whole = {split: index for split, index in indexes.items() if _has_rows(chosen[split], index)}
    for split in (each for each in indexes if whole and each not in whole):
        _LOG.warning(f"split {split} will be missing: it is not in {chosen[split]}")
    return whole or indexes


def _has_rows(found: Found, index: Index) -> bool:
    """Whether there are images; where an archive has only one split, a plan says that."""
    return len(index) > 0 or not found.inside
