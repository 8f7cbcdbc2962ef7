"""The rule that gets key and label from the name of an image of ILSVRC2012.

A train image's name has its class; the number in a validation image's name gives its class. A class
folder must agree with the name, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from imagenet_builders import labels

NO_LABEL = -1

TEST_IMAGES = 100_000

_TRAIN = re.compile(r"(n[0-9]{8})_[0-9]+\.JPEG")
_NUMBERED = re.compile(r"ILSVRC2012_(val|test)_([0-9]{8})\.JPEG")

# Copies in folders spell the ending in many ways. One train image is a PNG; some copies name it so.
_ENDING = re.compile(r"\.(?:jpe?g|png)", re.IGNORECASE)

FILE_PATTERN = r"(?i:\.(?:jpe?g|png))"
"""Regular expression of the endings of images in folders."""

IMAGE_FILE = re.compile(rf"[^.].*{FILE_PATTERN}")
"""The name of any image."""


class Annotated(NamedTuple):
    """What the name of an annotation says of its image.

    Attributes:
        key: Key of the image.
        label: Its class, or -1 for a class that the dataset does not have.
        wnid: Its class where that is in the name, else None.
    """

    key: str
    label: int
    wnid: str | None


class Naming:
    """The rule for the images of one part.

    Args:
        part: `train`, `validation`, `test`, or `train_t3`, that of Task 3 (dogs).
        ids: Wnid to label, of all classes of the dataset; those of `imagenet2012` by default.
    """

    def __init__(self, part: str, ids: Mapping[str, int] | None = None):
        if ids is None:
            ids = {wnid: label for label, wnid in enumerate(labels.wnids("imagenet2012"))}
        self.part = part
        self.ids = ids
        self._by_number = labels.validation_labels().tolist() if part == "validation" else []
        self.count = {"validation": len(self._by_number), "test": TEST_IMAGES}.get(part)
        """Images of the part, of which each has a number; None where the class is in the name."""
        self._word = "val" if part == "validation" else "test"

    @property
    def is_train(self) -> bool:
        """Whether the class is in the name."""
        return self.count is None

    @property
    def official_images(self) -> int:
        """Number of images in the official archive of the part."""
        return sum(labels.train_counts().values()) if self.count is None else self.count

    @property
    def expected(self) -> str:
        """The names that belong here, for messages."""
        name = "n01440764_1.JPEG" if self.is_train else f"ILSVRC2012_{self._word}_00000001.JPEG"
        return f"images such as {name}"

    def row_of(self, name: str) -> tuple[str, int]:
        """Key and label of an image by its official name.

        Raises:
            ValueError: There is no such image; the message has the reason.
        """
        if self.is_train:
            match = _TRAIN.fullmatch(name)
            if match is None:
                raise ValueError(f"only {self.expected} belong here")
            return name, self.label_of(match[1])
        match = _NUMBERED.fullmatch(name)
        if match is None or match[1] != self._word:
            raise ValueError(f"only {self.expected} belong here")
        number = int(match[2])
        assert self.count is not None
        if not 1 <= number <= self.count:
            raise ValueError(f"the images are numbered from 1 to {self.count:,}")
        return name, self._by_number[number - 1] if self._by_number else NO_LABEL

    def row_of_file(self, name: str, folder: str | None) -> tuple[str, int]:
        """Key and label of an image file with any ending.

        Args:
            name: The file's name.
            folder: The class folder that has it, or None.

        Returns:
            The key, which is the official name, and the label.

        Raises:
            ValueError: There is no such image, or it is not of that class; the message has the
                reason.
        """
        key, label = self.row_of(official_name(name))
        if folder is not None and self.part != "test" and self.label_of(folder) != label:
            own = next(wnid for wnid, each in self.ids.items() if each == label)
            raise ValueError(
                f"expected an image of the folder's class {folder}, found one of {own}, as its "
                f"{'name' if self.is_train else 'number'} says"
            )
        return key, label

    def annotated(self, name: str) -> Annotated:
        """The image of an annotation, by the name of the annotation.

        Those of the dogs may have no ending: what is inside their archive is not documented, and
        Stanford Dogs, which has the same classes, has none.

        Raises:
            ValueError: There is no such image; it says why.
        """
        key = f"{name.removesuffix('.xml')}.JPEG"
        may_be_bare = self.part == "train_t3"
        match = (_TRAIN if self.is_train else _NUMBERED).fullmatch(key)
        if match is None or not (name.endswith(".xml") or may_be_bare):
            expected = "n01440764_18.xml" if self.is_train else "ILSVRC2012_val_00000001.xml"
            raise ValueError(f"only annotations such as {expected} belong here")
        if self.is_train:
            return Annotated(key, self.ids.get(match[1], NO_LABEL), match[1])
        return Annotated(*self.row_of(key), None)

    def is_image(self, name: str) -> bool:
        """Whether a file's name is that of an image of this part."""
        pattern = _TRAIN if self.is_train else _NUMBERED
        return pattern.fullmatch(official_name(name)) is not None

    def label_of(self, wnid: str) -> int:
        """The label of a class; raises ValueError if it is none of the dataset."""
        label = self.ids.get(wnid)
        if label is None:
            raise ValueError(f"{wnid} is not one of the {len(self.ids):,} classes of this dataset")
        return label


def official_name(name: str) -> str:
    """The official name of an image that a site may spell differently; it ends in `.JPEG`."""
    if name.endswith(".JPEG"):
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.JPEG" if _ENDING.fullmatch(dot + ending) else name
