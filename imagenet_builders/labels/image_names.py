"""The rule that gets key and label from the name of an image of ILSVRC2012.

A train image's name has its class; the number in a validation image's name gives its class. A class
folder must agree with the name, and decides nothing.

Copies spell names in other ways: `.jpg` or `.png` in place of `.JPEG`, capitals and small letters,
more or fewer zeros before the number, and the class once more at the end, as Hugging Face's
archives have it (`n01440764_10026_n01440764.JPEG`, `ILSVRC2012_val_00000293_n01440764.JPEG`). The
key of an image is its official name, however it is spelled. A class that is said again must be the
image's own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from imagenet_builders import labels
from imagenet_builders.labels.ilsvrc2012 import validation_label_list

NO_LABEL = -1

TEST_IMAGES = 100_000

# How nearly all names are spelled; millions of them are compared.
_OFFICIAL_TRAIN = re.compile(r"(n[0-9]{8})_(?:0|[1-9][0-9]*)\.JPEG")

# One train image is a PNG; some copies name it so.
_ENDING = r"\.(?:jpe?g|png)"
_REST = rf"_([0-9]+)(?:_(n[0-9]{{8}}))?{_ENDING}"
_TRAIN = re.compile(rf"(n[0-9]{{8}}){_REST}", re.ASCII | re.IGNORECASE)
_NUMBERED = re.compile(rf"ILSVRC2012_(val|test){_REST}", re.ASCII | re.IGNORECASE)
_XML = re.compile(r"(.+)\.xml", re.ASCII | re.IGNORECASE)

# Digits of a number, and of those that a validation or test image may have at all.
_DIGITS = 8
_MOST_DIGITS = 18

NAMED_IMAGE = re.compile(f"{_TRAIN.pattern}|{_NUMBERED.pattern}", _TRAIN.flags)
"""The name of an image of ILSVRC2012, in any spelling."""

IMAGE_FILE = re.compile(rf"[^.].*(?i:{_ENDING})")
"""The name of any image."""


ANNOTATION_FILE = re.compile(
    r"(n[0-9]{8}_[0-9]+|ILSVRC2012_val_[0-9]+)\.xml", re.ASCII | re.IGNORECASE
)
"""The name of the annotation of an image that has an official name."""


def _imagenet2012_ids() -> dict[str, int]:
    return {wnid: label for label, wnid in enumerate(labels.wnids("imagenet2012"))}


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


@dataclasses.dataclass(frozen=True, eq=False)
class Naming:
    """The rule for the images of one part.

    Attributes:
        part: `train`, `validation`, `test`, or `train_t3`, that of Task 3 (dogs).
        ids: Wnid to label, of all classes of the dataset; those of `imagenet2012` by default.
        why_unknown: Says what a class is that is not one of them; None for the usual sentence.
        count: Images of the part, of which each has a number; None where the class is in the name.
    """

    part: str
    ids: Mapping[str, int] = dataclasses.field(default_factory=_imagenet2012_ids)
    why_unknown: Callable[[str], str] | None = None
    count: int | None = dataclasses.field(init=False)
    _by_number: Sequence[int] = dataclasses.field(init=False, repr=False)
    _word: str = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_number = validation_label_list() if self.part == "validation" else ()
        count = {"validation": len(by_number), "test": TEST_IMAGES}.get(self.part)
        object.__setattr__(self, "count", count)
        object.__setattr__(self, "_by_number", by_number)
        object.__setattr__(self, "_word", "val" if self.part == "validation" else "test")

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
        """Key and label of an image by its name, in any spelling.

        Returns:
            The key, which is the official name, and the label.

        Raises:
            ValueError: There is no such image; the message has the reason.
        """
        if self.is_train:
            key, wnid = train_image(name)
            return key, self.label_of(wnid)
        match = _NUMBERED.fullmatch(name)
        if match is None or match[1].lower() != self._word:
            raise ValueError(f"only {self.expected} belong here")
        digits = match[2].lstrip("0") or "0"
        number = int(digits[:_MOST_DIGITS])
        assert self.count is not None
        if not 1 <= number <= self.count:
            raise ValueError(f"the images are numbered from 1 to {self.count:,}")
        key = f"ILSVRC2012_{self._word}_{number:0{_DIGITS}}.JPEG"
        label = self._by_number[number - 1] if self._by_number else NO_LABEL
        if match[3] and label != NO_LABEL and self.label_of(match[3]) != label:
            raise ValueError(
                f"its name says the class {match[3].lower()}, and its number that of "
                f"{self._wnid_of(label)}"
            )
        return key, label

    def row_of_file(self, name: str, folder: str | None) -> tuple[str, int]:
        """Key and label of an image file in a folder.

        Args:
            name: The file's name.
            folder: The class folder that has it, or None.

        Returns:
            The key, which is the official name, and the label.

        Raises:
            ValueError: There is no such image, or it is not of that class; the message has the
                reason.
        """
        key, label = self.row_of(name)
        if folder is not None and self.part != "test" and self.label_of(folder) != label:
            raise ValueError(
                f"expected an image of the folder's class {folder}, found one of "
                f"{self._wnid_of(label)}, as its {'name' if self.is_train else 'number'} says"
            )
        return key, label

    def annotated(self, name: str) -> Annotated:
        """The image of an annotation, by the name of the annotation.

        Those of the dogs may have no ending: what is inside their archive is not documented, and
        Stanford Dogs, which has the same classes, has none.

        Raises:
            ValueError: There is no such image; it says why.
        """
        match = _XML.fullmatch(name)
        if match is not None or self.part == "train_t3":
            image = f"{match[1] if match else name}.JPEG"
            if self.is_train and _TRAIN.fullmatch(image):
                key, wnid = train_image(image)
                return Annotated(key, self.ids.get(wnid, NO_LABEL), wnid)
            if not self.is_train and _NUMBERED.fullmatch(image):
                return Annotated(*self.row_of(image), None)
        expected = "n01440764_18.xml" if self.is_train else "ILSVRC2012_val_00000001.xml"
        raise ValueError(f"only annotations such as {expected} belong here")

    def is_image(self, name: str) -> bool:
        """Whether a file's name is that of an image of this part, in any spelling."""
        if self.is_train:
            return _TRAIN.fullmatch(name) is not None
        match = _NUMBERED.fullmatch(name)
        return match is not None and match[1].lower() == self._word

    def label_of(self, wnid: str) -> int:
        """The label of a class; raises ValueError if it is none of the dataset."""
        label = self.ids.get(wnid.lower())
        if label is None and self.why_unknown is not None:
            raise ValueError(self.why_unknown(wnid))
        if label is None:
            raise ValueError(f"{wnid} is not one of the {len(self.ids):,} classes of this dataset")
        return label

    def _wnid_of(self, label: int) -> str:
        return next(wnid for wnid, each in self.ids.items() if each == label)


def train_image(name: str) -> tuple[str, str]:
    """Official name and wnid of an image whose name has its class, in any spelling.

    Raises:
        ValueError: It is not the name of such an image; the message has the reason.

    >>> train_image("N01440764_0010026_n01440764.jpg")
    ('n01440764_10026.JPEG', 'n01440764')
    """
    official = _OFFICIAL_TRAIN.fullmatch(name)
    if official is not None:
        return name, official[1]
    match = _TRAIN.fullmatch(name)
    if match is None:
        raise ValueError("only images such as n01440764_1.JPEG belong here")
    wnid = match[1].lower()
    if match[3] and match[3].lower() != wnid:
        raise ValueError(f"its name says two classes, {wnid} and {match[3].lower()}")
    return f"{wnid}_{match[2].lstrip('0') or '0'}.JPEG", wnid


def is_official(wnid: str, name: str) -> bool:
    """Whether a member's or a file's name is that of an image of a class, as it is spelled."""
    official = _OFFICIAL_TRAIN.fullmatch(name)
    return official is not None and official[1] == wnid


def class_image(wnid: str, name: str) -> str:
    """The official name of an image of a class, in any spelling.

    Args:
        wnid: The class.
        name: The name of the image.

    Raises:
        ValueError: It is not the name of an image of that class; the message has the reason.
    """
    try:
        key, found = train_image(name)
    except ValueError:
        found = ""
    if found != wnid.lower():
        raise ValueError(f"only images such as {wnid.lower()}_1.JPEG belong here")
    return key
