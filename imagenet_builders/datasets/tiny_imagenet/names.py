"""What the paths of Tiny ImageNet say, in its archive and in the folders that people make of it.

    train/<wnid>/images/<wnid>_<0..499>.JPEG    train/<wnid>/<wnid>_boxes.txt
    val/images/val_<0..9999>.JPEG               val/val_annotations.txt
    test/images/test_<0..9999>.JPEG             wnids.txt, words.txt

Scripts sort validation images into folders of their classes (`val/<wnid>/`, `val/<wnid>/images/`,
`val/images/<wnid>/`), and move images out of the folders `images/`. All of these are read.

>>> role_of("val/n03444034/images/val_0.JPEG")
Role(split='validation', wnid='n03444034')
>>> role_of("train/n01443537/n01443537_boxes.txt")
Role(split=None, wnid='n01443537')
>>> role_of("train/n01443537/n01917289_0.JPEG") is None
True
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from imagenet_builders.datasets.tiny_imagenet.layouts import CLASS_LIST, SPLITS

ANNOTATIONS = "val/val_annotations.txt"

# A file that is not read; a copy of Tiny ImageNet may lack it.
_WORDS = "words.txt"

_EXAMPLES = {"train": "{wnid}_0.JPEG to {wnid}_499.JPEG", "val": "val_0.JPEG to val_9999.JPEG"}
_EXAMPLES["test"] = "test_0.JPEG to test_9999.JPEG"
_TRAIN_NUMBER = "(?:0|[1-9][0-9]?|[1-4][0-9]{2})"
_NUMBER = "(?:0|[1-9][0-9]{0,3})"
_WNID = "n[0-9]{8}"
_ENDING = r"\.(?i:jpe?g|png)"
_IMAGE = re.compile(
    rf"train/(?P<class>{_WNID})/(?:images/)?(?P=class)_{_TRAIN_NUMBER}{_ENDING}"
    rf"|val/(?:images/)?(?:(?P<sorted>{_WNID})/(?:images/)?)?val_{_NUMBER}{_ENDING}"
    rf"|test/(?:images/)?test_{_NUMBER}{_ENDING}"
)
_BOXES = re.compile(rf"train/(?P<class>{_WNID})/(?P=class)_boxes\.txt")
_FOLDER = re.compile(
    rf"train(?:/(?P<class>{_WNID})(?:/images)?)?"
    rf"|val(?:/images)?(?:/(?P<sorted>{_WNID})(?:/images)?)?"
    rf"|test(?:/images)?"
)
_TRAIN_REST, _REST = (re.compile(number + _ENDING) for number in (_TRAIN_NUMBER, _NUMBER))
_SPLIT_OF = {directory: split for split, directory in SPLITS.items()}


class Role(NamedTuple):
    """What a file or folder is for.

    Attributes:
        split: The split that a file is an image of, or a folder is for; None for texts.
        wnid: The class that its path tells, or None.
    """

    split: str | None
    wnid: str | None


def role_of(name: str) -> Role | None:
    """The role of a file, from its path below the root; None for one that does not belong."""
    match = _IMAGE.fullmatch(name)
    if match is not None:
        return Role(_SPLIT_OF[name.partition("/")[0]], match["class"] or match["sorted"])
    match = _BOXES.fullmatch(name)
    if match is not None:
        return Role(None, match["class"])
    return Role(None, None) if name in (CLASS_LIST, ANNOTATIONS, _WORDS) else None


def are_alike(folder: str, files: Sequence[str]) -> bool:
    """Whether all files of a folder are images for which `role_of` says the same.

    Args:
        folder: Its path below the root, with the last slash; empty for the root.
        files: Names of files in it, at least one.

    Returns:
        Whether they are. Where it cannot tell, they are not.

    >>> are_alike("val/images/", ["val_0.JPEG", "val_1.jpg"])
    True
    >>> are_alike("val/images/", ["val_0.JPEG", "test_1.JPEG"])
    False
    """
    role = role_of(folder + files[0])
    if role is None or role.split is None:
        return False
    prefix = {"train": f"{role.wnid}_", "validation": "val_", "test": "test_"}[role.split]
    rest = _TRAIN_REST if role.split == "train" else _REST
    begin = len(prefix)
    return all(file.startswith(prefix) and rest.fullmatch(file, begin) for file in files)


def key_of(name: str) -> str:
    """The key of an image: its file name, with the official ending.

    >>> key_of("val_0.jpg")
    'val_0.JPEG'
    """
    return name if name.endswith(".JPEG") else name.rpartition(".")[0] + ".JPEG"


def root_of(name: str) -> str | None:
    """The path in front of an image's own, from a path in an archive; None for other files."""
    parts = name.split("/")
    for first, part in enumerate(parts):
        role = role_of("/".join(parts[first:])) if part in _SPLIT_OF else None
        if role is not None and role.split is not None:
            return "".join(f"{part}/" for part in parts[:first])
    return None


def role_of_folder(name: str) -> Role | None:
    """The role of a folder, from its path below the root; None for one that does not belong."""
    match = _FOLDER.fullmatch(name)
    if match is None:
        return None
    return Role(_SPLIT_OF[name.partition("/")[0]], match["class"] or match["sorted"])


def boxes_file(wnid: str) -> str:
    """The path of the file with the boxes of a train class, below the root."""
    return f"train/{wnid}/{wnid}_boxes.txt"


def expected_at(name: str, place: str = "") -> str:
    """The names that belong where a file is, for messages.

    Args:
        name: The path of the file below the root.
        place: Where all files are, if this one is elsewhere.
    """
    if name.startswith("__MACOSX/") or "/." in f"/{name}":
        return "it is a file of the system that packed the archive, not of the dataset"
    if place:
        return f"all of Tiny ImageNet is {place}"
    parts = name.split("/")
    directory = parts[0] if parts[0] in _EXAMPLES else None
    if directory is None or "images" not in parts[:-1]:
        return "nothing of Tiny ImageNet has this name"
    wnid = parts[1] if directory == "train" else ""
    return f"only images from {_EXAMPLES[directory].format(wnid=wnid)} belong here"
