"""Indexes imagenet12k from its shards."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from imagenet_builders.datasets.ilsvrc2012 import examples
from imagenet_builders.datasets.imagenet12k.dataset import DATASET
from imagenet_builders.datasets.imagenet12k.layouts import NAME, SHARDS
from imagenet_builders.errors import SourceError
from imagenet_builders.images import OPTIONAL_REPAIRS
from imagenet_builders.locate.choose import choose, layout_of
from imagenet_builders.locate.found import Found
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.index import Index
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.sources.folder_images import source_files
from imagenet_builders.words import logger

_LOG = logger(__name__)

make_examples = dataclasses.replace(examples.IMAGES, also_repair=OPTIONAL_REPAIRS).make
"""As `examples.make_examples`; every image that can be repaired is."""


def recipes(
    manual_dir: Path, context: BuildContext, only: Collection[str] | None
) -> list[SplitRecipe]:
    """Finds and indexes the splits staged under `manual_dir`; warns of missing images.

    Args:
        manual_dir: The directory with the shards.
        context: What to index with.
        only: Names of the splits to index; None for all.

    Returns:
        A recipe for each split that is staged.

    Raises:
        StagingError: Nothing is staged.
        SourceError: A shard is damaged or missing; or images are missing and `strict` is set.
    """
    staged = DATASET.survey(manual_dir).of_splits(only).reading(context.copies)
    return [
        SplitRecipe(
            split,
            _index(found, context),
            make_examples,
            examples.example_sizes,
            layout=layout_of(found),
        )
        for split, found in choose(staged, context.options.source).items()
    ]


def _index(found: Found, context: BuildContext) -> Index:
    files = tuple(source_files(found.paths, found.copies))

    def make() -> Index:
        return Index(SHARDS.index(found.split, files, context.workers), files)

    index = context.cache.get([NAME, found.split], files, make)
    lacking = SHARDS.lacking(found.split, len(index))
    if lacking is not None:
        text = f"{found}: {lacking}"
        if context.options.strict:
            raise SourceError(f"{text}; stage them all, or build without --strict")
        _LOG.warning(text)
    return index
