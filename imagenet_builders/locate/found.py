"""What looking at a `manual_dir` gives: for each split, all that is staged and could provide it.

Made from names and listings alone, without TensorFlow and without reading an image. A build takes
the first of each split (or the one asked for with `--source`); `check` shows them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

KINDS = (
    "tar",
    "tar.gz",
    "class-tars",
    "squashfs",
    "webdataset",
    "tfrecord",
    "zip",
    "npz",
    "folders",
)
"""All kinds of sources; see `Found.kind`."""


@dataclasses.dataclass(frozen=True)
class Found:
    """Something under `manual_dir` that provides a split, or a part of one.

    Attributes:
        split: Name of the split.
        kind: How it is read, in words that a steward knows and `--source` takes: `tar`,
            `tar.gz`, `class-tars`, `folders`, `squashfs`, `webdataset`, `tfrecord`, `zip`, `npz`.
        layout: Whose layout it is, in words (`official archives`, `class folders`, ...).
        paths: What is opened: an archive (and its patch), a folder (and the list of its files), or
            all shards in order. At least one.
        part: What of the split it provides: `images` or `boxes`.
        note: What is worth saying of it (why it is not preferred, what is odd), or empty.
        problem: Why it cannot be read as it is, a sentence, or empty. A build takes something else
            if there is anything.
    """

    split: str
    kind: str
    layout: str
    paths: tuple[Path, ...]
    part: str = "images"
    note: str = ""
    problem: str = ""

    def __str__(self) -> str:
        """Where it is and what it is, in one phrase."""
        first = self.paths[0]
        shards = len(self.paths) if self.kind in ("webdataset", "tfrecord") else 1
        where = f"{first.parent} ({shards:,} files)" if shards > 1 else str(first)
        if self.kind in ("zip", "npz") and len(self.paths) > 1:
            where = " and ".join(map(str, self.paths))
        return f"{where} ({self.layout}, {self.kind})"


@dataclasses.dataclass(frozen=True)
class Survey:
    """All that is staged of a dataset, or of one of its configurations.

    Attributes:
        dataset: Name, with `/config` where there are configurations.
        found: Split to what provides its images, the preferred one first; without the splits of
            which nothing is staged.
        boxes: Split to what provides its boxes, in the same way.
        missing: Split to the paths and patterns that were looked for in vain; `<split> boxes` for
            its boxes.
        warnings: What is odd, in whole sentences.
        needs_boxes: Whether a split cannot be built without its boxes.
    """

    dataset: str
    found: Mapping[str, tuple[Found, ...]]
    boxes: Mapping[str, tuple[Found, ...]] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    needs_boxes: bool = False

    def of_splits(self, names: Collection[str] | None) -> Survey:
        """The same of some splits alone, without what it says of others.

        Args:
            names: The splits; None for all.
        """
        if names is None:
            return self
        return dataclasses.replace(
            self,
            found={split: found for split, found in self.found.items() if split in names},
            boxes={split: found for split, found in self.boxes.items() if split in names},
            missing={
                what: texts
                for what, texts in self.missing.items()
                if what.removesuffix(" boxes") in names
            },
        )
