"""The tree of images that `imagefolder` and `squashfs` share: paths, lists, `meta.bin`.

`train/<wnid>/` and `val/<wnid>/` have the images of these splits, and `test/` those without a
label. Beside each directory is a list of its images, in the order of the dataset, which no
directory has: `train_files.txt` has a line `train/n01440764/n01440764_18.JPEG`.

Source: `datasets/folder.py` and `datasets/imagenet.py` of torchvision 0.29; Hyak's lists.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from imagenet_builders import images, labels
from imagenet_builders.errors import LabelError, SourceError
from imagenet_builders.export.form import Subject, image_of
from imagenet_builders.formats.tfrecord.example import FlatExample
from imagenet_builders.formats.torch_file import torch_file
from imagenet_builders.words import printable

META_FILE = "meta.bin"
"""What `torchvision.datasets.ImageNet` reads beside the images."""

_VALIDATION = "validation"
_FOLDERS = {_VALIDATION: "val"}

# For names without an ending, by which torchvision knows images.
_ENDINGS = {"jpeg": ".JPEG", "png": ".png"}


def folder_of(split: str) -> str:
    """The directory of a split."""
    return _FOLDERS.get(split, split)


def list_of(split: str) -> str:
    """The file that lists the images of a split."""
    return f"{folder_of(split)}_files.txt"


def path_of(subject: Subject, split: str, example: FlatExample) -> str:
    """The path of an image in the tree.

    Args:
        subject: The dataset.
        split: The split.
        example: An example of it.

    Raises:
        SourceError: It has no name, no image, or a label of no class, or its class has a name that
            no directory can have.
    """
    name, label = subject.file_name(example), subject.label(example)
    if not os.path.splitext(name)[1]:
        name += _ENDINGS.get(images.inspect(image_of(example)).format, "")
    if label < 0:
        return f"{folder_of(split)}/{name}"
    wnid = subject.classes[label]
    if wnid in ("", ".", "..") or {*"/:"} & {*wnid} or printable(wnid) != wnid:
        raise SourceError(
            f"{subject.full_name}: expected a name that a directory can have for the class "
            f"{label:,}, found {wnid!r}"
        )
    return f"{folder_of(split)}/{wnid}/{name}"


def list_content(paths: Iterable[str]) -> bytes:
    """The content of a list.

    Args:
        paths: The paths of the images, in the order of the dataset.
    """
    return "".join(f"{path}\n" for path in paths).encode(errors="surrogateescape")


def meta_file(subject: Subject, validation: Iterable[str]) -> bytes:
    """`meta.bin`: the words for each wnid, and the wnids of the validation images by their names.

    It is made of this package's own tables, not of the devkit.

    Args:
        subject: The dataset.
        validation: The paths of the validation images, in any order.
    """
    wnids = [path.split("/")[1] for path in sorted(validation, key=_name) if path.count("/") == 2]
    return torch_file(({wnid: _words(wnid) for wnid in subject.classes}, wnids))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _words(wnid: str) -> tuple[str, ...]:
    try:
        return tuple(labels.words(wnid).split(", "))
    except LabelError:
        return (wnid,)
