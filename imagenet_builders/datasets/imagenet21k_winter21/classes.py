"""The classes of both configurations, and their comparison with those that are staged."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from pathlib import Path

from imagenet_builders import labels
from imagenet_builders.errors import SourceError
from imagenet_builders.labels import Space
from imagenet_builders.words import logger

_LOG = logger(__name__)

CONFIGS: Mapping[str, str] = {"whole": "imagenet21k_winter21", "p": "imagenet21k_p"}
"""Configuration to its label space."""

_NAMED = 5


def classes_of(config: str) -> Space:
    """The label space of a configuration."""
    return labels.space(CONFIGS[config])


@functools.cache
def removed_from_fall11() -> frozenset[str]:
    """The 2,674 classes of people that the winter 2021 release no longer has.

    Source: the 21,841 classes of fall 2011 (`imagenet22k_synsets.txt` of timm 1.0.31) less the
    19,167 of winter 2021.
    """
    path = Path(__file__).with_name("removed_from_fall11.txt")
    return frozenset(path.read_text(encoding="ascii").split())


def why_unknown(config: str, wnid: str) -> str:
    """A sentence on a class that the configuration does not have.

    >>> why_unknown("whole", "n09537660")
    'n09537660 is one of the 2,674 classes of people that were removed in 2021, so this is the \
fall 2011 release (21,841 classes), which is another dataset; stage the winter 2021 release'
    """
    if wnid in removed_from_fall11():
        return (
            f"{wnid} is one of the 2,674 classes of people that were removed in 2021, so this is "
            "the fall 2011 release (21,841 classes), which is another dataset; stage the winter "
            "2021 release"
        )
    if wnid in classes_of("whole"):
        return (
            f"{wnid} is a class of winter 2021, but not one of the {len(classes_of(config)):,} of "
            "ImageNet-21K-P, which has only classes of more than 500 images"
        )
    others = [name for name in labels.SPACES if wnid in labels.space(name)]
    hint = f" (it is one of {', '.join(others)})" if others else ""
    return f"{wnid} is not one of the {len(classes_of(config)):,} classes of this dataset{hint}"


def check_classes(
    config: str, where: str, found: Mapping[str, Collection[str]], *, strict: bool
) -> None:
    """Compares the staged classes with those of the configuration; warns of missing ones.

    Args:
        config: Name of the configuration.
        where: The source, for the message.
        found: Split to the classes that have an image in it, all of them known.
        strict: Whether a missing class is an error.

    Raises:
        SourceError: A class is missing and `strict` is set.
    """
    known = classes_of(config).wnids
    splits_without: dict[tuple[str, ...], list[str]] = {}
    for split, classes in found.items():
        missing = tuple(wnid for wnid in known if wnid not in classes)
        if missing:
            splits_without.setdefault(missing, []).append(split)
    if not splits_without:
        return
    reports = [
        f"{len(missing):,} of the {len(known):,} classes "
        f"{'has' if len(missing) == 1 else 'have'} no {' or '.join(splits)} image "
        f"({', '.join(missing[:_NAMED])}{', ...' if len(missing) > _NAMED else ''})"
        for missing, splits in splits_without.items()
    ]
    text = f"imagenet21k_winter21/{config} in {where}: {', and '.join(reports)}"
    if strict:
        raise SourceError(f"{text}; stage them all, or build without --strict")
    _LOG.warning(
        f"{text}; the dataset will have no examples of them, and the labels of the others stay "
        "the same"
    )
