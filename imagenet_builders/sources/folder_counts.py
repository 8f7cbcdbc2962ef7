"""Counts the images in folders from listings alone, and says what a build would refuse in them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagenet_builders.labels.image_names import ANNOTATION_FILE, IMAGE_FILE
from imagenet_builders.locate.listing import WNID, is_litter, is_system_file
from imagenet_builders.sources.file_lists import MAX_LINE_BYTES
from imagenet_builders.sources.folder_images import IF_DIRECTORY
from imagenet_builders.sources.inspection import ERROR, Counted, Problem

# A line of a list that ends in an image's name, however it begins.
_LISTED = re.compile(rb"(?im)^[^\r\n]*\.(?:jpe?g|png)[ \t\r'\"]*$")
_LISTED_CLASS = re.compile(rb"(?:^|[/\s])(n[0-9]{8})(?:_[0-9]+\.|/)")
_READ_BYTES = 4 << 20
_MAX_LIST_BYTES = 1 << 30

# One listing each: a second or two over NFS. Beyond that, only names of classes are looked at.
_MAX_FOLDERS = 2_000
_THREADS = 16

# What a build refuses, to what may be the cause and what to do.
_NO_IMAGE = "a class folder without an image"
_LOOSE = "an image beside class folders"
_LITTER = "a hidden file among images"
_NO_FILE = "a file that is no image"
_NESTED = "a folder in the folder of the same class"
_DIRECTORY = "a directory among images"
_CAUSES = {
    _NO_IMAGE: ("an unpacking or copy that broke off", "copy or unpack what is missing"),
    _LOOSE: (
        "images that were being sorted into class folders",
        "move the rest of them into their class folders",
    ),
    _LITTER: (
        "another program left it, such as an rsync that is not done",
        "finish the copy, or move it elsewhere",
    ),
    _NO_FILE: ("", "see what it is; only images may lie there"),
    _NESTED: (
        "the archive of a class was unpacked into a folder of its name inside the class folder",
        IF_DIRECTORY,
    ),
    _DIRECTORY: ("", IF_DIRECTORY),
}
_SAMPLED = 32


def in_folder(path: Path) -> Counted:
    """Counts in a folder of images or of class folders.

    Raises:
        OSError: It, or a folder in it, cannot be read.
    """
    names, folders, sample = _listing(path)
    images = _images_in(names)
    classes = [name for name in folders if WNID.fullmatch(name)]
    if not classes:
        deeper = [name for name in folders if name == "images"]
        if deeper and not images:
            return in_folder(path / "images")
        refused = _strangers(path, names, folders) if images else ()
        return Counted(images, None, sample, refused=refused)
    if len(classes) > _MAX_FOLDERS:
        counted = [_listing(path / name) for name in classes[:_THREADS]]
        means = [mean for _, _, mean in counted if mean]
        return Counted(None, frozenset(classes), _mean(means))
    with ThreadPoolExecutor(_THREADS) as threads:
        # The sizes of some images are enough for an estimate; a stat each would be a million.
        sampled = set(classes[:: max(1, len(classes) // _SAMPLED)])
        each = list(threads.map(lambda name: _class_folder(path / name, name in sampled), classes))
    means = [mean for _, mean, _ in each if mean]
    full = frozenset(name for name, (n, _, _) in zip(classes, each, strict=True) if n)
    refused = tuple(one for _, _, strangers in each for one in strangers)
    loose = next(filter(IMAGE_FILE.fullmatch, names), None)
    if loose is not None:
        refused = ((str(path / loose), _LOOSE), *refused)
    return Counted(images + sum(n for n, _, _ in each), full, _mean(means), refused=refused)


def in_list(path: Path) -> Counted:
    """Counts in a list of the names of files, a line each.

    Raises:
        OSError: It cannot be read.
    """
    images = 0
    classes: set[bytes] = set()
    rest = b""
    with open(path, "rb") as file:
        # A line at a time would take ten seconds for all of ImageNet.
        while data := file.read(_READ_BYTES):
            whole, newline, rest = (rest + data).rpartition(b"\n")
            images += len(_LISTED.findall(whole + newline))
            classes.update(_LISTED_CLASS.findall(whole))
            if len(rest) > MAX_LINE_BYTES or file.tell() > _MAX_LIST_BYTES:
                break  # A build says that this is no list.
    images += len(_LISTED.findall(rest))
    classes.update(_LISTED_CLASS.findall(rest))
    return Counted(images, frozenset(name.decode() for name in classes) or None)


def problems(counted: Counted, lists: Sequence[Path]) -> list[Problem]:
    """The problems of what a build would end at, once for many of the same.

    Args:
        counted: What was counted.
        lists: The list of the files, if there is one.
    """
    if lists and not counted.images:
        return [
            Problem(
                ERROR,
                str(lists[0]),
                "a list of images, one path on each line",
                "no line of that kind",
                "a list of something else, or in another encoding than UTF-8",
                "mend it, or move it away so that the folder is listed",
            )
        ]
    by_what: dict[str, list[str]] = {}
    for path, what in counted.refused:
        by_what.setdefault(what, []).append(path)
    return [_refused(what, paths) for what, paths in by_what.items()]


def _refused(what: str, paths: Sequence[str]) -> Problem:
    more = len(paths) - 1
    others = f", and {more:,} more such things, the last {paths[-1]}" if more else ""
    return Problem(
        ERROR,
        paths[0],
        "nothing but images in the folders of images, and some in each",
        what + others,
        *_CAUSES[what],
    )


def _class_folder(
    path: Path, sampled: bool
) -> tuple[int, float | None, tuple[tuple[str, str], ...]]:
    """Images in a class folder, their mean bytes, and what a build refuses."""
    names, folders, mean = _listing(path, sampled)
    if "images" in folders:  # As in Tiny ImageNet, which has its own rules.
        names, _, mean = _listing(path / "images", sampled)
        return _images_in(names), mean, ()
    images = _images_in(names)
    has_annotations = any(map(ANNOTATION_FILE.fullmatch, names))
    if not (images or folders or has_annotations) and all(map(is_system_file, names)):
        return 0, mean, ((str(path), _NO_IMAGE),)
    return images, mean, _strangers(path, names, folders)


def _is_beside(name: str) -> bool:
    """Whether a build passes over a file among images."""
    return bool(is_system_file(name) or ANNOTATION_FILE.fullmatch(name))


def _images_in(names: Sequence[str]) -> int:
    return sum(1 for name in names if IMAGE_FILE.fullmatch(name))


def _strangers(
    path: Path, names: Sequence[str], folders: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """What does not belong in a folder of images."""
    strange = (name for name in names if not (IMAGE_FILE.fullmatch(name) or _is_beside(name)))
    files = ((name, _LITTER if is_litter(name) else _NO_FILE) for name in strange)
    others = ((name, _NESTED if name == path.name else _DIRECTORY) for name in folders)
    return tuple((os.path.join(path, name), what) for name, what in (*files, *others))


def _listing(path: Path, sampled: bool = True) -> tuple[list[str], list[str], float | None]:
    """Names of files and of folders in a directory, and the mean bytes of some images."""
    files: list[str] = []
    folders: list[str] = []
    sizes: list[int] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                folders.append(entry.name)
                continue
            files.append(entry.name)
            # Of one image in a class folder, and of some in a folder of many.
            if sampled and len(files) % 1000 == 1 and len(sizes) < _SAMPLED:
                sizes.append(entry.stat().st_size)
    return files, sorted(folders), _mean(sizes)


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
