"""Where the splits of imagenet2012 are staged, and the rows in them, whatever they are staged as.

Labels come from the class in a train image's name and from the number in a validation image's name,
never from the order of anything: the official validation archive is not sorted, and one directory
entry in it would shift every label that is taken by position.
"""

from __future__ import annotations

from pathlib import Path

from imagenet_builders.datasets.ilsvrc2012 import layouts
from imagenet_builders.datasets.ilsvrc2012.images import NAME, index_split
from imagenet_builders.locate.found import Survey

__all__ = ["NAME", "SPLITS", "index_split", "survey"]

SPLITS = ("train", "validation", "test")


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """All that is staged of the dataset; see `imagenet_builders.datasets.SURVEYS`."""
    del config
    return layouts.survey(NAME, manual_dir, {split: split for split in SPLITS}, boxes=False)
