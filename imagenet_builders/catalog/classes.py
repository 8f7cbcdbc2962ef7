"""The classes of a dataset: words, numbers in each label space, and official numbers of images."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from imagenet_builders import labels
from imagenet_builders.catalog.model import ClassRow
from imagenet_builders.datasets.description import Config
from imagenet_builders.errors import LabelError
from imagenet_builders.words import counted


def rows(
    names: Sequence[str], config: Config | None, counts: Mapping[str, Mapping[int, int]]
) -> tuple[ClassRow, ...]:
    """The classes of a dataset.

    Args:
        names: Their names, in the order of their labels.
        config: The configuration of the dataset, or None for one of somebody else.
        counts: Split to the number of images of each label that was looked at.

    Returns:
        A row for each class.
    """
    official = _official(names, config)
    return tuple(
        ClassRow(
            label=label,
            wnid=name,
            words=known.words,
            gloss=known.gloss,
            ids=known.ids,
            counts={split: there.get(label, 0) for split, there in counts.items()},
            official={split: numbers[label] for split, numbers in official.items()},
        )
        for label, name in enumerate(names)
        for known in [_known(name)]
    )


def differences(classes: Sequence[ClassRow], complete: Sequence[str]) -> list[str]:
    """How numbers of images differ from the official ones, in sentences.

    Args:
        classes: The classes.
        complete: The splits all of whose images were looked at.
    """
    said = []
    for split in complete:
        pairs = [
            (row, row.counts[split], row.official[split])
            for row in classes
            if split in row.counts and split in row.official
        ]
        other = [(row, found, official) for row, found, official in pairs if found != official]
        if not other:
            continue
        row, found, official = other[0]
        said.append(
            f"{split}: {len(other):,} of {counted(len(pairs), 'class', 'classes')} have another "
            f"number of images than the official one, such as {row.wnid}: {found:,} and not "
            f"{official:,}"
        )
    return said


def _official(names: Sequence[str], config: Config | None) -> dict[str, tuple[int, ...]]:
    """Split to the official numbers of images, in the order of the labels."""
    if config is None or tuple(names) != config.classes():
        return {}
    numbers = {split.name: split.counts(len(names)) for split in config.splits}
    return {name: counts for name, counts in numbers.items() if counts is not None}


class _Known(NamedTuple):
    """What is known of a class, in whatever dataset it is."""

    words: str
    gloss: str
    ids: Mapping[str, int]


@functools.cache
def _known(name: str) -> _Known:
    spaces = (labels.space(each) for each in labels.SPACES)
    ids = {space.name: space.id_of(name) for space in spaces if name in space}
    try:
        return _Known(labels.words(name), labels.gloss(name), ids)
    except LabelError:
        return _Known("", "", ids)
