"""Counts the images in folders from listings alone, and says what a build would refuse in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagenet_builders import words
from imagenet_builders.files.regular import open_regular
from imagenet_builders.labels.image_names import ANNOTATION_FILE, IMAGE_FILE, Naming
from imagenet_builders.locate.class_directories import CLASS_ARCHIVE, unknown_class
from imagenet_builders.locate.links import added, leading_out
from imagenet_builders.locate.listing import WNID, is_litter, is_system_file
from imagenet_builders.sources.file_lists import MAX_LINE_BYTES
from imagenet_builders.sources.folder_images import IF_DIRECTORY
from imagenet_builders.sources.inspection import ERROR, WARNING, Counted, Problem

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
_LITTER = "a hidden file among images"
_NO_FILE = "a file that is no image"
_NESTED = "a folder in the folder of the same class"
_DIRECTORY = "a directory among images"
_CAUSES = {
    _NO_IMAGE: ("an unpacking or copy that broke off", "copy or unpack what is missing"),
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


def in_folders(root: Path, inside: Sequence[str], naming: Naming | None) -> Counted:
    """Counts in folders of images, by the rules of a build for their names.

    Args:
        root: A folder.
        inside: Names of the folders in it that images lie in; empty where they lie in itself. Those
            that are named by a class hold its images only.
        naming: The rule; None for any names.

    Raises:
        OSError: A folder cannot be read.
    """
    wnids = [name for name in inside if WNID.fullmatch(name)]
    refused = [] if naming is None else list(_unknown(root, wnids, naming))
    classes = frozenset(name.lower() for name in wnids)
    listed = inside if len(inside) <= _MAX_FOLDERS else inside[:_THREADS]
    # The sizes of some images are enough for an estimate; a stat each would be a million.
    sampled = set(listed[:: max(1, len(listed) // _SAMPLED)])
    keys: dict[str, str] | None = {} if len(classes) < max(1, len(inside)) else None

    def look(name: str) -> Counted:
        return _folder(root / name, name in sampled or not name, naming, keys, is_root=not name)

    with ThreadPoolExecutor(_THREADS) as threads:
        # An image may be twice only where folders are not of one class each; there, order counts.
        each = list((threads.map if keys is None else map)(look, listed or [""]))
    mean = _mean([one.mean_bytes for one in each if one.mean_bytes])
    refused += [stranger for one in each for stranger in one.refused]
    beside = tuple(name for one in each for name in one.passed_over)
    links = added(
        leading_out(root, (str(root / name) for name in listed)), *(one.links for one in each)
    )
    if len(listed) < len(inside):
        unread = f"the names in {len(inside) - len(listed):,} of the folders in {root}"
        return Counted(
            None,
            classes,
            mean,
            refused=tuple(refused),
            passed_over=beside,
            unread=unread,
            links=links,
        )
    empty = {name.lower() for name, one in zip(listed, each, strict=False) if not one.images}
    images = sum(one.images or 0 for one in each)
    known = classes - empty or None
    return Counted(images, known, mean, refused=tuple(refused), passed_over=beside, links=links)


def in_list(path: Path) -> Counted:
    """Counts in a list of the names of files, a line each.

    Raises:
        OSError: It cannot be read.
    """
    images = 0
    classes: set[bytes] = set()
    rest = b""
    with os.fdopen(open_regular(path, follow=True), "rb") as file:
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


def strangers_in_list(
    root: Path, names: Mapping[str, Sequence[str]], naming: Naming
) -> Iterator[tuple[str, str]]:
    """What a build refuses of the files in a list.

    Args:
        root: The folder of all of them.
        names: Folder in it (or an empty name for itself) to the names in it that are listed.
        naming: The rule of a build.
    """
    yield from _unknown(root, [name for name in names if WNID.fullmatch(name)], naming)
    for folder, listed in names.items():
        path = root / folder
        yield from _not_of_it(path, sorted(set(listed)), naming, {})
        if len(set(listed)) < len(listed):
            yield str(path), "images that are twice in the list"
        if not os.path.lexists(path / listed[0]):
            yield str(path / listed[0]), "an image that is in the list, but is not there"


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
    by_what: dict[str, list[tuple[str, str]]] = {}
    for path, what in counted.refused:
        by_what.setdefault(what if what in _CAUSES else "", []).append((path, what))
    found = list(map(_refused, by_what.values()))
    if counted.passed_over:
        first, *more = counted.passed_over
        others = f" ({words.counted(len(more), 'more such file')})" if more else ""
        expected = "nothing but images in the folders of images"
        action = "nothing: a build passes over it; --strict refuses it"
        found.append(
            Problem(WARNING, first, expected, f"a file of an operating system{others}", "", action)
        )
    return found


def _refused(each: Sequence[tuple[str, str]]) -> Problem:
    """One problem of things that are refused for like reasons."""
    (path, what), more = each[0], len(each) - 1
    others = (
        f", and {words.counted(more, 'more such thing')}, the last {each[-1][0]}" if more else ""
    )
    return Problem(
        ERROR,
        path,
        "nothing but images in the folders of images, and some in each",
        what + others,
        *_CAUSES.get(what, ("", "see whether it is of this dataset and of this split")),
    )


def _unknown(root: Path, wnids: Sequence[str], naming: Naming) -> Iterator[tuple[str, str]]:
    """The class folders of classes that the dataset does not have."""
    for name in wnids:
        problem = unknown_class(root / name, naming)
        if problem is not None:
            yield str(root / name), problem


def _folder(
    path: Path,
    sampled: bool,
    naming: Naming | None,
    keys: dict[str, str] | None,
    *,
    is_root: bool,
) -> Counted:
    """Images in one folder, their mean bytes, and what a build refuses."""
    paths: list[str] = []
    names, folders, mean = _listing(path, sampled, paths)
    links = leading_out(path, paths)
    if is_root:  # Beside the archives of their classes, images are read.
        names = [name for name in names if not CLASS_ARCHIVE.fullmatch(name)]
    images = [name for name in names if IMAGE_FILE.fullmatch(name)]
    has_annotations = any(map(ANNOTATION_FILE.fullmatch, names))
    if not (images or folders or has_annotations) and all(map(is_system_file, names)):
        return Counted(0, None, mean, refused=((str(path), _NO_IMAGE),))
    refused = _strangers(path, names, folders)
    if naming is not None:
        refused += tuple(_not_of_it(path, images, naming, {} if keys is None else keys))
    beside = (
        () if len(images) == len(names) else filter(is_system_file, set(names).difference(images))
    )
    passed_over = tuple(os.path.join(path, name) for name in sorted(beside))
    return Counted(len(images), None, mean, refused=refused, passed_over=passed_over, links=links)


def _not_of_it(
    path: Path, images: Sequence[str], naming: Naming, keys: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """The images in a folder whose names a build refuses; `keys` has the paths of others."""
    wnid = path.name if WNID.fullmatch(path.name) else None
    for name in images:
        try:
            key, _ = naming.row_of_file(name, wnid)
        except ValueError as error:
            yield os.path.join(path, name), str(error)
            if wnid is not None and wnid.lower() not in naming.ids:
                return  # Which is said of the folder.
            continue
        where = os.path.join(path, name)
        if keys.setdefault(key, where) != where:
            yield where, f"the image {key}, which is there as {keys[key]}, too"


def _is_beside(name: str) -> bool:
    """Whether a build passes over a file among images."""
    return bool(is_system_file(name) or ANNOTATION_FILE.fullmatch(name))


def _strangers(
    path: Path, names: Sequence[str], folders: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """What does not belong in a folder of images."""
    strange = (name for name in names if not (IMAGE_FILE.fullmatch(name) or _is_beside(name)))
    files = ((name, _LITTER if is_litter(name) else _NO_FILE) for name in strange)
    others = ((name, _NESTED if name == path.name else _DIRECTORY) for name in folders)
    return tuple((os.path.join(path, name), what) for name, what in (*files, *others))


def _listing(
    path: Path, sampled: bool = True, links: list[str] | None = None
) -> tuple[list[str], list[str], float | None]:
    """Names of files and of folders in a directory, and the mean bytes of some images.

    Paths of files that are links are added to `links`.
    """
    files: list[str] = []
    folders: list[str] = []
    sizes: list[int] = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                folders.append(entry.name)
                continue
            files.append(entry.name)
            if links is not None and entry.is_symlink():
                links.append(entry.path)
            # Of one image in a class folder, and of some in a folder of many.
            if sampled and len(files) % 1000 == 1 and len(sizes) < _SAMPLED:
                sizes.append(entry.stat().st_size)
    return files, folders, _mean(sizes)


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
