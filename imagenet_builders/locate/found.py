"""What looking at a `manual_dir` gives: for each split, all that is staged and could provide it.

Made from names and listings alone, without TensorFlow and without reading an image. A build takes
the first of each split (or the one asked for with `--source`); `check` shows them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple


class Mismatch(NamedTuple):
    """Why a source is not what it was taken for: it is another dataset, or another split.

    Attributes:
        path: The source, or what of it shows it.
        what: What it is, and how that is known; a clause.
        action: What to do.
    """

    path: Path
    what: str
    action: str

    def __str__(self) -> str:
        """The sentence."""
        return f"{self.path}: {self.what}; {self.action}"


@dataclasses.dataclass(frozen=True)
class Found:
    """Something under `manual_dir` that provides a split, or a part of one.

    Attributes:
        split: Name of the split.
        kind: How it is read: the name of a kind of source, as `--source` takes it.
        layout: Whose layout it is, in words (`official archives`, `class folders`, ...).
        paths: What is opened: an archive (and its patch), a folder (and the list of its files), or
            all shards in order. At least one.
        part: What of the split it provides: `images` or `boxes`.
        note: What is worth saying of it (why it is not preferred, what is odd), or empty.
        problem: Why it cannot be read as it is, a sentence, or empty. A build takes something else
            if there is anything.
        mismatch: What it is instead, where that is the problem.
        where: Where it is, in a phrase; empty where the first of `paths` says it.
        inside: Path of the folder in the archive that has it, where that has other splits, too.
        copies: Absolute paths of files to the paths of their copies in scratch space, which a build
            reads in their place.
    """

    split: str
    kind: str
    layout: str
    paths: tuple[Path, ...]
    part: str = "images"
    note: str = ""
    problem: str = ""
    mismatch: Mismatch | None = None
    where: str = ""
    inside: str = ""
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        """Where it is and what it is, in one phrase."""
        return f"{self.where or self.paths[0]} ({self.layout}, {self.kind})"


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

    @property
    def is_other(self) -> bool:
        """Whether there are images, and all of them are of another dataset or another split."""
        found = [one for sources in self.found.values() for one in sources]
        return bool(found) and all(one.mismatch is not None for one in found)

    @property
    def buildable(self) -> dict[str, tuple[Found, ...]]:
        """Split to what provides its images, for the splits that have all that they need."""
        if self.is_other:
            return {}
        return {
            split: found
            for split, found in self.found.items()
            if found and (not self.needs_boxes or self.boxes.get(split))
        }

    def reading(self, copies: Mapping[str, str]) -> Survey:
        """The same, to be built from copies; see `Found.copies`."""
        return dataclasses.replace(
            self,
            found={
                split: tuple(dataclasses.replace(one, copies=copies) for one in found)
                for split, found in self.found.items()
            },
            boxes={
                split: tuple(dataclasses.replace(one, copies=copies) for one in found)
                for split, found in self.boxes.items()
            },
        )

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
