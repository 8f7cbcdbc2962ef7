"""How images of ImageNet-21k are known."""

from __future__ import annotations

from collections.abc import Mapping

from imagenet_builders import labels
from imagenet_builders.datasets.description import Signs
from imagenet_builders.datasets.ilsvrc2012.signs import TRAIN_ONLY
from imagenet_builders.datasets.imagenet21k_winter21.classes import removed_from_fall11
from imagenet_builders.locate.glimpse import Glimpse

# Subsets of fall 2011 that others made have fewer of its classes of people.
_MANY = 1_000


def _has_classes_of_people(seen: Glimpse) -> str | None:
    people = sorted(seen.classes & removed_from_fall11())
    if len(people) < _MANY:
        return None
    return f"{len(people):,} of its classes, such as {people[0]}, were removed in 2021"


def subsets() -> Mapping[str, frozenset[str]]:
    """Known sets of classes of `whole`; see `Config.subsets`."""
    known = frozenset(labels.wnids("imagenet21k_winter21"))
    return {
        "ImageNet-21K-P": frozenset(labels.wnids("imagenet21k_p")),
        "ILSVRC2012, without the one that was removed": (
            known & frozenset(labels.wnids("imagenet2012"))
        ),
    }


SIGNS = Signs(
    title="ImageNet-21k of winter 2021",
    names={**TRAIN_ONLY, "validation": TRAIN_ONLY["train"]},
)

FALL11 = Signs(title="ImageNet-21k of fall 2011", by_names=_has_classes_of_people, is_built=False)

ALL = (SIGNS, FALL11)
