"""The contents of Tiny ImageNet, with one interface for archives and for the folder.

Any file that does not belong is an error that names it, because the source is then another dataset.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from imagenet_builders.datasets.tiny_imagenet.names import ANNOTATIONS, Role, boxes_file
from imagenet_builders.errors import SourceError
from imagenet_builders.sources.rows import Rows, SourceFile

TWICE = "this image is there twice, first as {!r}; every image must be there once"
"""What is said of the second of two images of one name."""

NO_LABEL = -1
"""The label of an image whose class its path does not tell."""


class Images(NamedTuple):
    """The images of a split, column by column.

    Attributes:
        rows: Keys are file names; the label is the class, or `NO_LABEL` if the path does not tell
            it.
        packed: Bytes of each as it is stored, deflated; 0 if it is not deflated.
        crcs: CRC-32 of each; -1 if it is unknown.
        paths: The path of each below the root.
    """

    rows: Rows
    packed: list[int]
    crcs: list[int]
    paths: list[str]


class Contents(abc.ABC):
    """Tiny ImageNet, as an archive or as a folder.

    Attributes:
        path: The archive or the folder.
        label_of: Gives the label of a wnid; raises ValueError for one that is not a class.
    """

    def __init__(self, path: Path, label_of: Callable[[str], int]):
        self.path = path
        self.label_of = label_of

    @property
    @abc.abstractmethod
    def texts(self) -> Collection[str]:
        """The paths of all text files, below the root."""

    @abc.abstractmethod
    def image_sources(self, split: str) -> list[SourceFile]:
        """The files or directories that hold the images of a split; none if it is not staged."""

    @abc.abstractmethod
    def text_sources(self, split: str) -> list[SourceFile]:
        """Other files that the rows of a split are made from."""

    @abc.abstractmethod
    def images(self, split: str) -> Images:
        """The images of a split; their files are counted as in `image_sources`.

        Raises:
            SourceError: A file does not belong, or the source is damaged.
        """

    @abc.abstractmethod
    def counts(self) -> dict[str, int]:
        """The number of images of each split, from names alone.

        Raises:
            SourceError: As `images`.
        """

    @abc.abstractmethod
    def classes(self, split: str) -> frozenset[str] | None:
        """The classes of the images of a split that their paths tell; None if they tell none.

        Raises:
            SourceError: As `images`.
        """

    @abc.abstractmethod
    def tells_labels(self, split: str) -> bool:
        """Whether the path of every image of a split tells its class.

        Raises:
            SourceError: As `images`.
        """

    @abc.abstractmethod
    def text(self, name: str) -> bytes | None:
        """A text file by its path below the root, or None if there is none.

        Raises:
            SourceError: It is too large, or the source is damaged.
        """

    @abc.abstractmethod
    def error(self, name: str, problem: str) -> SourceError:
        """The error for a file of this path below the root."""

    def label(self, role: Role) -> int:
        """The label that a path tells, or `NO_LABEL`.

        Raises:
            ValueError: The wnid in it is not a class.
        """
        return NO_LABEL if role.wnid is None else self.label_of(role.wnid)

    def lacking_text(self, split: str) -> str | None:
        """The first text file that the images of a split need and that is not there, or None.

        Args:
            split: A split that has images.

        Raises:
            SourceError: As `images`.
        """
        needed: list[str] = []
        wnids = self.classes(split) or frozenset()
        if split == "train" and self.has_boxes(split, wnids):
            needed = [boxes_file(wnid) for wnid in sorted(wnids)]
        elif split == "validation" and not self.tells_labels(split):
            needed = [ANNOTATIONS]
        return next((name for name in needed if name not in self.texts), None)

    def has_boxes(self, split: str, wnids: Collection[str]) -> bool:
        """Whether there is any text with boxes of a split.

        Args:
            split: Name of the split.
            wnids: The classes that have train images.
        """
        if split == "train":
            return any(boxes_file(wnid) in self.texts for wnid in wnids)
        return split == "validation" and ANNOTATIONS in self.texts
