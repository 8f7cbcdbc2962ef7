"""How images of ILSVRC2012 are known, and those of its relatives that nothing here builds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagenet_builders import labels
from imagenet_builders.datasets.description import Signs, Tally
from imagenet_builders.datasets.ilsvrc2012.splits import classes
from imagenet_builders.locate.glimpse import Glimpse

# Copies on Hugging Face add the class, and sites pad numbers as they like.
_NAMES = {
    "train": r"n[0-9]{8}_[0-9]+(_n[0-9]{8})?",
    "validation": r"ILSVRC2012_val_[0-9]+(_n[0-9]{8})?",
    "test": r"ILSVRC2012_test_[0-9]+",
}

_BLURRED = re.compile(r"(?:train|val(?:idation)?)[^a-z]?blurred", re.IGNORECASE)

# Classes whose numbers of images must be the official ones. The full ImageNet has as many as
# ILSVRC2012 in two classes; of the others it has more or fewer.
_MIN_CLASSES = 3
_MIN_SHARE = 0.9


def _has_exactly_the_classes(seen: Glimpse) -> str | None:
    if seen.classes != frozenset(classes()):
        return None
    return f"it has exactly its {len(classes()):,} classes"


def _has_the_numbers(tally: Tally) -> str | None:
    official = labels.train_counts()
    same = [wnid for wnid, number in tally.counts.items() if official.get(wnid) == number]
    if len(same) < max(_MIN_CLASSES, _MIN_SHARE * len(tally.counts)):
        return None
    if not all(re.fullmatch(rf"{same[0]}_[0-9]+\.JPEG", key) for key in tally.keys(same[0])):
        return None  # Pictures made from all of its images have these numbers, too.
    return (
        f"{len(same):,} of the {len(tally.counts):,} classes have as many images as its train "
        f"split, such as {same[0]} with {tally.counts[same[0]]:,}"
    )


def _is_called_blurred(seen: Glimpse) -> str | None:
    if _BLURRED.match(seen.path.name) is not None:
        return f"it is called {seen.path.name}"
    return _lie_in_blurred(seen.paths_of_images)


def _lie_in_blurred(paths: Sequence[str]) -> str | None:
    """Evidence where all images lie in folders that are called so."""
    if not paths or not all(any(map(_BLURRED.match, path.split("/")[:-1])) for path in paths):
        return None
    return f"its images have paths such as {paths[0]!r}"


ILSVRC2012 = Signs(
    title="ILSVRC2012",
    names=_NAMES,
    by_names=_has_exactly_the_classes,
    by_index=_has_the_numbers,
)

FACE_BLURRED = Signs(
    title="the face-blurred version of ILSVRC2012",
    by_names=_is_called_blurred,
    is_built=False,
)
"""Its folders are `train_blurred` and `val_blurred`.

Source: the readme of princetonvisualai/imagenet-face-obfuscation on GitHub.
"""

TRAIN_ONLY = {"train": _NAMES["train"]}
"""The names of images of Task 3, and of the full ImageNet: as those of train images."""

ALL = (ILSVRC2012, FACE_BLURRED)
