"""Finds npz files that lie side by side, in folders of any name: the archives, unpacked by hand.

Their names do not tell a size, so the shape of the pictures in them does. It is in the first bytes
of the array.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagenet_builders.datasets.imagenet2012_downsampled.dataset import SIZES
from imagenet_builders.errors import ArchiveError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.locate.access import unreadable
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.search import Tree

LAYOUT = "files of unpacked archives"

FILES = {
    "train": re.compile(r"train_data_batch_([1-9]|10)\.npz"),
    "validation": re.compile(r"val_data()\.npz"),
}
"""Split to the names of its files; the group is the number of a batch."""

# Folders that may be of one size, or of all. Others, of images say, are not looked into.
_FOLDER = re.compile(r"(?i).*(?<![0-9])(8|16|32|64)(?![0-9]).*|.*(npz|down.?sampl).*")


def folders(tree: Tree, directory: Path) -> Iterator[Path]:
    """The folders in a directory that may have something of downsampled ImageNet."""
    for entry in tree.entries(directory):
        if _FOLDER.fullmatch(entry.name) and os.path.isdir(entry.path):
            yield Path(entry.path)


def find(
    tree: Tree, directories: Sequence[Path], split: str, size: int, kind: str
) -> tuple[list[Found], list[str]]:
    """The files of a split that lie side by side in a directory.

    Args:
        tree: Where to look.
        directories: The directories to look into.
        split: `train` or `validation`.
        size: Width and height of the pictures, in pixels.
        kind: The kind of source of such files.

    Returns:
        A source for each directory that has files of that size, and sentences on files whose size
        cannot be told.
    """
    found, odd = [], []
    for directory in dict.fromkeys(directories):
        names = (entry.name for entry in tree.entries(directory))
        numbered = [(match, name) for name in names if (match := FILES[split].fullmatch(name))]
        numbered.sort(key=lambda each: int(each[0][1] or 0))
        paths = tuple(directory / name for _, name in numbered)
        sizes: dict[int, Path] = {}
        for path in paths:
            try:
                sizes.setdefault(size_of(path), path)
            except ArchiveError as error:
                odd.append(str(error))
        if size not in sizes:
            continue
        problem = ""
        if len(sizes) > 1:
            which = " and ".join(f"{path.name} of {one}x{one}" for one, path in sizes.items())
            problem = (
                f"{directory}: the files of {split} are of several sizes, {which}; put the files "
                "of each size into a folder of their own"
            )
        where = f"{directory} ({len(paths):,} files)" if len(paths) > 1 else ""
        found.append(Found(split, kind, LAYOUT, paths, problem=problem, where=where))
    return found, odd


def size_of(path: Path) -> int:
    """The width of the pictures in an npz file, from the shape of their array.

    Args:
        path: The file.

    Raises:
        ArchiveError: It has no array of pictures of a known size, or is damaged.
        SourceError: It cannot be read.
    """
    from imagenet_builders.formats import npz

    try:
        fd = open_regular(path, follow=True)
    except OSError as error:
        raise unreadable(str(path), error) from error
    try:
        shape = npz.find_arrays(fd, str(path), ["data"])["data"].shape
    finally:
        os.close(fd)
    for size in SIZES:
        if shape[1:] == (3 * size * size,):
            return size
    sizes = ", ".join(f"{size}x{size}" for size in SIZES)
    raise ArchiveError(
        str(path),
        f"expected pictures of {sizes}, an array of shape (pictures, 3 * size * size), found the "
        f"shape {shape}; check that this is an npz file of downsampled ImageNet",
    )
