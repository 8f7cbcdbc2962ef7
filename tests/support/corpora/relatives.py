"""Datasets of the family, and their relatives, staged under the names of another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from makers import archives, pictures
from makers.tiny_imagenet import ROOT, make_tiny_imagenet

from imagenet_builders import labels
from imagenet_builders.datasets.ilsvrc2012.subsets import subsets
from imagenet_builders.datasets.imagenet21k_winter21.classes import removed_from_fall11
from support.corpora.ilsvrc2012 import picture, val_name
from support.corpora.layouts import write, write_squashfs

ILSVRC = labels.wnids("imagenet2012")
WINTER21 = labels.wnids("imagenet21k_winter21")
P = labels.wnids("imagenet21k_p")
DOGS = labels.wnids("dogs")
TINY = labels.wnids("tiny_imagenet")
IMAGENETTE = sorted(subsets()["Imagenette"])

# Class archives that only have to be listed hold the same picture under each name.
_ONE = picture("one of many")
_SMALL = pictures.jpeg(pictures.draw("small", key="small", size=(64, 64)))


def class_tars(root: Path, classes: Iterable[str], images: Mapping[str, int] | int = 1) -> Path:
    """Class archives of so many images, each a few bytes where there are many."""
    root.mkdir(parents=True, exist_ok=True)
    for wnid in classes:
        number = images if isinstance(images, int) else images[wnid]
        data = _ONE if number < 10 else b"?"
        archives.write_tar(
            root / f"{wnid}.tar", [(f"{wnid}_{7 + 3 * n}.JPEG", data) for n in range(number)]
        )
    return root


def class_folders(root: Path, classes: Iterable[str], numbers: Iterable[int]) -> Path:
    """Class folders of train images of these numbers."""
    return write(root, {f"{wnid}/{wnid}_{n}.JPEG": _ONE for wnid in classes for n in numbers})


def validation_of(wnid: str) -> list[int]:
    """The numbers of the validation images of a class."""
    return [n for n, each in enumerate(labels.validation_wnids(), 1) if each == wnid]


def validation_folders(root: Path, classes: Iterable[str], images: int) -> Path:
    """Class folders of so many validation images each."""
    return write(
        root,
        {
            f"{wnid}/{val_name(number)}": _ONE
            for wnid in classes
            for number in validation_of(wnid)[:images]
        },
    )


def tiny(root: Path, *without: str) -> Path:
    """Tiny ImageNet unpacked, in the directory itself, without some of its texts."""
    made = make_tiny_imagenet(root.parent / "made", unpacked=True)
    dropped = {f"{ROOT}/{name}" for name in without}
    files = {name: data for name, data in made.files.items() if name not in dropped}
    return write(root, {name.removeprefix(f"{ROOT}/"): data for name, data in files.items()})


def whole_tiny_classes(
    root: Path, classes: Iterable[str], numbers: Iterable[int] = range(500), folder: str = ""
) -> Path:
    """Train images of Tiny ImageNet as scripts sort them: in class folders, 500 each."""
    return write(root, {f"{w}{folder}/{w}_{n}.JPEG": _SMALL for w in classes for n in numbers})


def imagenette(root: Path) -> Path:
    """The second version of Imagenette: both of its splits mix train and validation."""
    for split, first in (("train", 0), ("val", 4)):
        class_folders(root / split, IMAGENETTE, range(30 + first, 34 + first))
        for wnid in IMAGENETTE:
            numbers = validation_of(wnid)[first : first + 4]
            write(root / split / wnid, {val_name(number): _ONE for number in numbers})
    return root


def fall11(root: Path) -> Path:
    """Class archives of the fall 2011 release: half of them of people."""
    return class_tars(root, [*sorted(removed_from_fall11())[:1200], *WINTER21[::20]])


def blurred_image(root: Path) -> Path:
    """A SquashFS image of the face-blurred version."""
    root.mkdir(parents=True, exist_ok=True)
    files = {f"{wnid}/{wnid}_1.jpg": _ONE for wnid in ILSVRC[:2]}
    write_squashfs(root / "train_blurred.sqsh", files)
    return root
