"""The images of all classes, as datasets of them find and index what is staged."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from imagenet_builders.datasets.ilsvrc2012 import layouts
from imagenet_builders.locate.found import Survey
from imagenet_builders.locate.search import Layout

if TYPE_CHECKING:
    from imagenet_builders.datasets.description import Dataset
    from imagenet_builders.plan.context import BuildContext
    from imagenet_builders.plan.index import Index


def find(name: str, manual_dir: Path, also: tuple[Layout, ...] = ()) -> Survey:
    """What is staged of each split.

    Args:
        name: Name of the dataset.
        manual_dir: Where.
        also: Layouts of this dataset alone.
    """
    parts = {split: split for split in ("train", "validation", "test")}
    return layouts.survey(name, manual_dir, parts, boxes=False, also=also)


def indexed(
    dataset: Dataset,
    manual_dir: Path,
    config: str | None,
    context: BuildContext,
    only: Collection[str] | None,
) -> list[tuple[str, Index, str]]:
    """Indexes the source of each split that a build takes.

    Args:
        dataset: The dataset.
        manual_dir: Where it is staged.
        config: Its configuration, or None.
        context: Of the build.
        only: The splits to index; None for all that are staged.

    Returns:
        Name of each split, its index, and its layout in words.
    """
    from imagenet_builders.datasets.ilsvrc2012.images import index_splits
    from imagenet_builders.locate.choose import choose, layout_of

    staged = dataset.survey(manual_dir, config).of_splits(only).reading(context.copies)
    chosen = choose(staged, context.options.source)
    return [
        (split, index, layout_of(chosen[split]))
        for split, index in index_splits(chosen, context).items()
    ]
