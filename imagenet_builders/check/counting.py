"""Counts images and classes where that needs only names: listings and directories of archives."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import tar
from imagenet_builders.sources.file_lists import MAX_LINE_BYTES
from imagenet_builders.sources.inspection import WARNING, Counted, Problem

_IMAGE = re.compile(r"[^.].*\.(?:jpe?g|png)", re.IGNORECASE)
_CLASS = re.compile(r"(?:^|/)(n[0-9]{8})(?:\.tar)?/?$")
_CLASS_IN_NAME = re.compile(r"(n[0-9]{8})(?:_[0-9]+\.|/)")

# A line of a list that ends in an image's name, however it begins.
_LISTED = re.compile(rb"(?im)^[^\r\n]*\.(?:jpe?g|png)[ \t\r'\"]*$")
_LISTED_CLASS = re.compile(rb"(?:^|[/\s])(n[0-9]{8})(?:_[0-9]+\.|/)")
_READ_BYTES = 4 << 20
_MAX_LIST_BYTES = 1 << 30

# One listing each: a second or two over NFS. Beyond that, only names of classes are looked at.
_MAX_FOLDERS = 2_000
_MAX_HEADERS = 2_000
_THREADS = 16
_SAMPLED = 32
_NAMED = 5


def in_folder(path: Path, *, of_tars: bool | None = None) -> Counted:
    """Counts in a folder of images, of class folders, or of class tars.

    Args:
        path: The folder.
        of_tars: Whether to count class tars, where there may be class folders too; None for
            whatever there is.

    Raises:
        OSError: It, or a folder in it, cannot be read.
    """
    names, folders, sample = _listing(path)
    images = _images_in(names)
    tars = [name for name in names if name.endswith(".tar") and _CLASS.fullmatch(name)]
    if of_tars is False:
        tars = []
    classes = [name for name in folders if _CLASS.search(name)]
    if tars:
        some = tars[:: max(1, len(tars) // _SAMPLED)]
        mean_tar = sum(os.stat(path / name).st_size for name in some) / len(some)
        wnids = frozenset(name.removesuffix(".tar") for name in tars)
        return Counted(None, wnids, total_bytes=int(mean_tar * len(tars)))
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
    loose = next(filter(_IMAGE.fullmatch, names), None)
    if loose is not None:
        refused = ((str(path / loose), "an image beside class folders"), *refused)
    return Counted(images + sum(n for n, _, _ in each), full, _mean(means), refused=refused)


def in_names(names: Iterable[str], belongs: Callable[[str], bool]) -> Counted:
    """Counts among the names of an archive's members.

    Args:
        names: All names.
        belongs: Whether a name is of the split.
    """
    images = 0
    classes: set[str] = set()
    for name in names:
        if belongs(name) and _IMAGE.fullmatch(name.rpartition("/")[2]):
            images += 1
            if match := _CLASS_IN_NAME.search(name):
                classes.add(match[1])
    return Counted(images, frozenset(classes) or None)


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


def in_tar(path: Path) -> Counted:
    """Counts in a small tar of images or of class tars, by their headers.

    Nothing is counted in an archive with many, or with damage, which a look or a build finds.

    Raises:
        OSError: It cannot be read.
    """
    images = 0
    classes: set[str] = set()
    left = _MAX_HEADERS
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for member in tar.walk(fd, str(path)):
            left -= 1
            if left < 0:
                return Counted()
            if member.kind != "file":
                continue
            match = _CLASS.search(member.name)
            if match is None:
                images += _IMAGE.fullmatch(member.name.rpartition("/")[2]) is not None
                continue
            classes.add(match[1])
            if left > 0:
                end = member.offset + member.size
                inner = tar.walk(fd, str(path), start=member.offset, end=end, inner=member.name)
                for one in itertools.islice(inner, left):
                    left -= 1
                    images += _IMAGE.fullmatch(one.name.rpartition("/")[2]) is not None
    except ArchiveError:
        return Counted()
    finally:
        os.close(fd)
    return Counted(images if left > 0 else None, frozenset(classes) or None)


def inodes_of_squashfs(path: Path) -> int:
    """Files and folders in a SquashFS image, as its superblock says.

    Source: squashfs-tools, squashfs_fs.h.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        return int.from_bytes(file.read(8)[4:], "little")


def missing_classes(path: Path, counted: Counted, known: Sequence[str]) -> Problem | None:
    """The problem of classes that are not there, or None.

    Args:
        path: The source.
        counted: What was counted of it.
        known: All classes of the dataset.
    """
    if counted.classes is None:
        return None
    missing = sorted(set(known) - counted.classes)
    if not missing:
        return None
    more = ", ..." if len(missing) > _NAMED else ""
    return Problem(
        WARNING,
        str(path),
        f"all {len(known):,} classes",
        f"{len(known) - len(missing):,}; none of {', '.join(missing[:_NAMED])}{more} "
        f"({len(missing):,} in all)",
        "a subset, or a copy that was not finished",
        "copy what is missing, or build without it; --strict refuses it",
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
    if not images and not names and not folders:
        return 0, mean, ((str(path), "a class folder without an image"),)
    return images, mean, _strangers(path, names, folders)


def _images_in(names: Sequence[str]) -> int:
    return sum(1 for name in names if _IMAGE.fullmatch(name))


def _strangers(
    path: Path, names: Sequence[str], folders: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """What does not belong in a folder of images."""
    files = ((name, "a file that is no image") for name in names if not _IMAGE.fullmatch(name))
    others = ((name, "a directory among images") for name in folders)
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
