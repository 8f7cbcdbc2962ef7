"""What looking at a `manual_dir` gives: for each split, all that is staged and could provide it.

Made from names and listings alone, without TensorFlow and without reading an image. A build takes
the first of each split (or the one asked for with `--source`); `check` shows them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Found:
    """Something under `manual_dir` that provides a split, or a part of one.

    Attributes:
        split: Name of the split.
        kind: How it is read, in words that a steward knows and `--source` takes: `tar`,
            `tar.gz`, `class-tars`, `folders`, `squashfs`, `webdataset`, `tfrecord`, `zip`, `npz`.
        layout: Whose layout it is, in words (`official archives`, `ImageFolder`, ...).
        paths: What is opened: an archive, a folder, or all shards in order. At least one.
        part: What of the split it provides: `images` or `boxes`.
        note: What is worth saying of it (why it is not preferred, what is odd), or empty.
    """

    split: str
    kind: str
    layout: str
    paths: tuple[Path, ...]
    part: str = "images"
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Survey:
    """All that is staged of a dataset, or of one of its configurations.

    Attributes:
        dataset: Name, with `/config` where there are configurations.
        found: Split to what provides its images, the preferred one first; without the splits of
            which nothing is staged.
        boxes: Split to what provides its boxes, in the same way.
        missing: Split to the paths and patterns that were looked for in vain.
        warnings: What is odd, in whole sentences.
    """

    dataset: str
    found: Mapping[str, tuple[Found, ...]]
    boxes: Mapping[str, tuple[Found, ...]] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
