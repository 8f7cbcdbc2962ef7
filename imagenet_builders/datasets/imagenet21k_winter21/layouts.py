"""The layouts in which sites stage each configuration.

Sources that can be read in place come before archives that must be unpacked, and archives before
folders that somebody unpacked, which may not be whole. (On one cluster the class folders beside the
complete `tars/` lack most of the classes.)
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

from imagenet_builders.datasets.imagenet21k_winter21 import shards
from imagenet_builders.datasets.imagenet21k_winter21.classes import classes_of
from imagenet_builders.errors import SourceError, StagingError
from imagenet_builders.files.regular import open_regular
from imagenet_builders.formats import tar_header
from imagenet_builders.locate.class_directories import folders_hold, look
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.listing import list_folders, list_names
from imagenet_builders.locate.search import require_directory
from imagenet_builders.sources import tar_archives

NAME = "imagenet21k_winter21"

CLASS_TARS = "class tars"
TAR = "tar"
GZIP = "tar.gz"
FOLDERS = "class folders"
SHARDS = "WebDataset shards"

SPLITS = {"whole": ("train",), "p": ("train", "validation")}
"""Splits of each configuration."""

KINDS = {
    CLASS_TARS: ("class-tars", "class archives"),
    TAR: ("tar", "official archive, decompressed"),
    GZIP: ("tar.gz", "official archive"),
    FOLDERS: ("folders", "class folders"),
    SHARDS: ("webdataset", "WebDataset shards of timm"),
}
"""What is staged to its kind of source, and whose layout it is."""

SPLIT_FOLDERS = {"imagenet21k_train": "train", "imagenet21k_val": "validation"}
"""Folders of ImageNet-21K-P, in the archive or unpacked, and their splits."""

SMALL_CLASSES = "imagenet21k_small_classes"
"""The folder of the classes that are too small to be in ImageNet-21K-P."""

_WHOLE = "winter21_whole"
_P = "imagenet21k_resized"

_CLASS_TAR = re.compile(r"(n[0-9]{8})\.tar")


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of a configuration.

    Attributes:
        kind: `CLASS_TARS`, `TAR`, `GZIP`, `FOLDERS` or `SHARDS`.
        path: The archive, or the directory.
        classes: The wnids of the class tars or class folders in the directory, by the folder that
            they are in below `path` (an empty name for `path` itself), sorted; empty for archives.
        passed_over: Other names in the directory.
        shards: The names of the shards in the directory, in their order.
        problem: Why they cannot be read, a sentence, or empty.
    """

    kind: str
    path: Path
    classes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    passed_over: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    problem: str = ""

    def __str__(self) -> str:
        """The path, and the kind if the path does not show it."""
        return str(self.path) if self.kind in (TAR, GZIP) else f"the {self.kind} in {self.path}"

    def is_complete(self, config: str) -> bool:
        """Whether the directory has all classes, in each of its folders."""
        known = set(classes_of(config).wnids)
        return bool(self.classes) and all(known <= set(found) for found in self.classes.values())


def locate(config: str, manual_dir: Path) -> list[Source]:
    """Finds the sources of a configuration.

    Args:
        config: `whole` or `p`.
        manual_dir: The directory with the archives.

    Returns:
        The sources, the preferred one first; at least one.

    Raises:
        StagingError: `manual_dir` is not a directory, or nothing is staged.
        SourceError: A directory cannot be read.
    """
    if not manual_dir.is_dir():
        what = "is a file" if manual_dir.exists() else "does not exist"
        raise StagingError(
            f"manual_dir {manual_dir} {what}; it must be the directory that holds the archives "
            f"of {NAME}"
        )
    found = list(_whole(manual_dir) if config == "whole" else _p(manual_dir))
    # Folders with every class spare the unpacking; others do not.
    found.sort(key=lambda source: _rank(source, config))
    if not found:
        raise StagingError(
            f"nothing of {NAME}/{config} is staged in {manual_dir}; looked for {LOOKED_FOR[config]}"
        )
    return found


LOOKED_FOR = {
    "whole": "class tars such as n01440764.tar in ./tars, ./winter21_whole, ./winter21_whole/tars "
    "or the directory itself; winter21_whole.tar; winter21_whole.tar.gz; class folders such as "
    "n01440764 in ./winter21_whole or the directory itself; imagenet_w21-train-0000.tar and the "
    "other shards of timm",
    "p": "imagenet21k_resized.tar; imagenet21k_resized.tar.gz; folders imagenet21k_train and "
    "imagenet21k_val in ./imagenet21k_resized or the directory itself",
}


def _rank(source: Source, config: str) -> int:
    if source.kind == FOLDERS:
        return 2 if source.is_complete(config) else 5
    return {CLASS_TARS: 0, TAR: 1, GZIP: 3, SHARDS: 4}[source.kind]


def _whole(manual_dir: Path) -> Iterator[Source]:
    unpacked = manual_dir / _WHOLE
    listings = {
        path: list_folders(path)
        for path in (manual_dir / "tars", unpacked, unpacked / "tars", manual_dir)
        if path.is_dir()
    }
    for path, (folders, others) in listings.items():
        tars = sorted(match[1] for name in others if (match := _CLASS_TAR.fullmatch(name)))
        # Other names in manual_dir itself belong to other datasets.
        rest = () if path == manual_dir else _rest(others)
        if tars:
            yield Source(CLASS_TARS, path, {"": tars}, rest)
        # Annotations unpack to class folders, too.
        if folders and path.name != "tars" and folders_hold(look(path)) != (False, True):
            yield Source(FOLDERS, path, {"": folders}, rest)
    yield from _archives(manual_dir, _WHOLE)
    for path in (manual_dir / place for place in shards.PLACES):
        names = list_names(path) if path.is_dir() else []
        for each in shards.SHARDS.sets(names).values():
            problem = f"{path}: {each.problem}" if each.problem else ""
            yield Source(SHARDS, path, shards=each.names, problem=problem)


def _rest(others: list[str]) -> tuple[str, ...]:
    return tuple(name for name in others if name != "tars" and not _CLASS_TAR.fullmatch(name))


def _p(manual_dir: Path) -> Iterator[Source]:
    yield from _archives(manual_dir, _P)
    for path in (manual_dir / _P, manual_dir):
        classes: dict[str, list[str]] = {}
        rest: list[str] = []
        for folder in SPLIT_FOLDERS:
            if (path / folder).is_dir():
                classes[folder], others = list_folders(path / folder)
                rest += (os.path.join(folder, name) for name in others)
        if classes:
            yield Source(FOLDERS, path, classes, tuple(rest))


def _archives(manual_dir: Path, stem: str) -> Iterator[Source]:
    for suffix, kind in ((".tar", TAR), (".tar.gz", GZIP)):
        path = manual_dir / (stem + suffix)
        if path.is_file():
            yield Source(TAR if kind == GZIP and _is_plain_tar(path) else kind, path)


def _is_plain_tar(path: Path) -> bool:
    """Whether a file is a tar whatever its name says: browsers decompress downloads on the way."""
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            return tar_archives.is_header(file.read(tar_header.BLOCK))
    except OSError:
        return False


def check_entries(source: Source, *, strict: bool) -> str | None:
    """Reports other names beside class tars or class folders.

    Args:
        source: The source.
        strict: Whether other names are an error.

    Returns:
        The text of a warning, or None.

    Raises:
        SourceError: There are other names, and `strict` is set.
    """
    if not source.passed_over:
        return None
    names = ", ".join(map(repr, source.passed_over[:5]))
    more = ", ..." if len(source.passed_over) > 5 else ""
    text = f"{source.path} holds what is not one of its {source.kind}: {names}{more}"
    if strict:
        raise SourceError(f"{text}; move it elsewhere, or build without --strict")
    return f"{text}; it is passed over"


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """All that is staged of a configuration; see `Dataset.survey`."""
    config = config or "whole"
    full_name = f"{NAME}/{config}"
    try:
        sources = locate(config, manual_dir)
    except StagingError:
        require_directory(NAME, manual_dir)
        looked_for = tuple(LOOKED_FOR[config].split("; "))
        return Survey(full_name, {}, missing=dict.fromkeys(SPLITS[config], looked_for))
    except SourceError as error:
        return Survey(full_name, {}, warnings=(str(error),))
    return Survey(
        full_name,
        {
            split: each
            for split in SPLITS[config]
            if (each := tuple(filter(None, (as_found(config, one, split) for one in sources))))
        },
    )


def as_found(config: str, source: Source, split: str) -> Found | None:
    """A source as the survey has it, or None if it has nothing of the split."""
    if source.kind == FOLDERS and config == "p":
        folders = {SPLIT_FOLDERS[name] for name in source.classes}
        if split not in folders:
            return None
    kind, layout = KINDS[source.kind]
    note = ""
    if source.classes and not source.is_complete(config):
        known = len(classes_of(config).wnids)
        there = min(map(len, source.classes.values()))
        verb = "is" if there == 1 else "are"
        note = f"only {there:,} of the {known:,} classes {verb} there"
    paths: tuple[Path, ...] = (source.path,)
    where = ""
    if source.shards:
        paths = tuple(source.path / name for name in source.shards)
        note = shards.note_of(paths[0])
        where = f"{source.path} ({len(paths):,} files)" if len(paths) > 1 else ""
    return Found(split, kind, layout, paths, note=note, problem=source.problem, where=where)
