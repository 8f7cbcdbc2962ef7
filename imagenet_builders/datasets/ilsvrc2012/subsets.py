"""Sets of classes of ILSVRC2012 that people know by a name; `subsets/README.md` has the sources."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from imagenet_builders import labels

_HERE = Path(__file__).with_name("subsets")


@functools.cache
def subsets() -> Mapping[str, frozenset[str]]:
    """Name to wnids; see `Config.subsets`."""
    imagenette, imagewoof = _read("imagenette"), _read("imagewoof")
    return {
        "Imagenette": imagenette,
        "Imagewoof": imagewoof,
        "Imagewang": imagenette | imagewoof,
        "ImageNet-100 (the list of CMC)": _read("imagenet_100"),
        "ImageNet-A": _read("imagenet_a"),
        "ImageNet-R": _read("imagenet_r"),
        "Tiny ImageNet": frozenset(labels.wnids("tiny_imagenet")),
        "the dogs of Task 3": frozenset(labels.wnids("dogs")),
    }


def _read(name: str) -> frozenset[str]:
    return frozenset((_HERE / f"{name}.txt").read_text(encoding="ascii").split())
