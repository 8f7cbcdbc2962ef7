"""What a source holds, as far as names say: images, classes, shards, batches; and what lacks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from imagenet_builders.check import counting, inspect_files
from imagenet_builders.check.targets import Target
from imagenet_builders.locate.found import Found
from imagenet_builders.locate.listing import LIST_ENDING
from imagenet_builders.sources.inspection import ERROR, WARNING, Counted, Inspection, Problem

# Counting in the headers of a tar is done where it is not the official one, of which all is known.
_COUNTED_BYTES = 1 << 30

_OFFICIAL_SHARDS = {
    ("webdataset", "train"): 1024,
    ("webdataset", "validation"): 64,
    ("tfrecord", "train"): 1024,
    ("tfrecord", "validation"): 128,
}
"""Shards of timm/imagenet-1k-wds and of tensorflow/models' slim. Sources: tfds_to_wds.py of
rwightman/imagenet-12k; research/slim/datasets/build_imagenet_data.py."""


def inspect_source(
    target: Target, found: Found, looks: Mapping[Path, Inspection]
) -> tuple[Counted, list[Problem]]:
    """Counts what a source holds, where names are enough, and says what lacks.

    Args:
        target: What it provides a split of.
        found: The source.
        looks: What a look at each file showed.

    Returns:
        What was counted, and the problems.
    """
    path = found.paths[0]
    try:
        if found.kind in ("webdataset", "tfrecord"):
            return Counted(), _shards(found)
        if found.kind == "squashfs":
            return Counted(), _too_small(target, found)
        files = target.split(found.split).files
        if files:
            return Counted(), _missing_files(files, found, looks)
        counted = _counted(target, found, looks)
    except OSError as error:
        where = Path(error.filename) if error.filename else path
        return Counted(), [inspect_files.unreadable(where, error)]
    problems = _refused(found, counted)
    lacking = counting.missing_classes(path, counted, target.config.classes())
    official = target.split(found.split).images
    count = counted.images
    if (
        lacking is None
        and os.path.isdir(path)
        and None not in (count, official)
        and count != official
    ):
        lacking = Problem(
            WARNING,
            str(path),
            f"{official:,} images",
            f"{count:,}",
            "a subset, or a copy that was not finished",
            "copy what is missing, or build without it",
        )
    return counted, [*problems, *([lacking] if lacking is not None else [])]


def _too_small(target: Target, found: Found) -> list[Problem]:
    """The problem of a SquashFS image with fewer files and folders than there are images."""
    official = target.split(found.split).images
    count = counting.inodes_of_squashfs(found.paths[0])
    if official is None or count >= official:
        return []
    return [
        Problem(
            WARNING,
            str(found.paths[0]),
            f"{official:,} images",
            f"{count:,} files and folders, as its first bytes say",
            "a subset, or an image that was made of a copy that was not finished",
            "make it again, or build without what is missing; --strict refuses it",
        )
    ]


def _refused(found: Found, counted: Counted) -> list[Problem]:
    """The problems of what a build would end at, once for many of the same."""
    lists = [each for each in found.paths[1:] if each.name.endswith(LIST_ENDING)]
    if lists and not counted.images:
        return [
            Problem(
                ERROR,
                str(lists[0]),
                "a list of images, the path of one a line",
                "no line of that kind",
                "a list of something else, or in another encoding than UTF-8",
                "mend it, or move it away so that the folder is listed",
            )
        ]
    if not counted.refused or found.kind != "folders":
        return []
    path, what = counted.refused[0]
    more = len(counted.refused) - 1
    others = f", and {more:,} more such things, the last {counted.refused[-1][0]}" if more else ""
    return [
        Problem(
            ERROR,
            path,
            "nothing but images in the folders of images, and some in each",
            what + others,
            "another program left it, or an unpacking or copy broke off",
            "remove it, or copy what is missing",
        )
    ]


def _counted(target: Target, found: Found, looks: Mapping[Path, Inspection]) -> Counted:
    path = found.paths[0]
    if found.kind == "class-tars" and not os.path.isdir(path):
        return Counted(None, frozenset(path.stem for path in found.paths))
    lists = [each for each in found.paths[1:] if each.name.endswith(LIST_ENDING)]
    if lists:
        return counting.in_list(lists[0])
    if os.path.isdir(path):
        for name in target.split(found.split).folders:
            if os.path.isdir(path / name):
                return counting.in_folder(path / name)
        return counting.in_folder(path, of_tars=found.kind == "class-tars")
    seen = looks[path]
    if seen.names is not None:
        folders = target.split(found.split).folders
        return counting.in_names(
            seen.names, lambda name: not folders or any(part in folders for part in name.split("/"))
        )
    if found.kind == "tar" and (seen.size or 0) <= _COUNTED_BYTES:
        return counting.in_tar(path)
    return Counted()


def _shards(found: Found) -> list[Problem]:
    """The problem of shards that lack at the end; a gap among them is the survey's to find."""
    official = _OFFICIAL_SHARDS[found.kind, found.split]
    if len(found.paths) >= official or "-of-" in found.paths[0].name:
        return []
    return [
        Problem(
            WARNING,
            str(found.paths[-1]),
            f"{official:,} shards, as published",
            f"{len(found.paths):,}, of which this is the last",
            "a subset, or a copy that was not finished",
            "copy the others too, or build without them",
        )
    ]


def _missing_files(
    files: Sequence[str], found: Found, looks: Mapping[Path, Inspection]
) -> list[Problem]:
    """The problem of files that every source of the split has, and this one has not."""
    names: list[str] = []
    for path in found.paths:
        if path in looks and looks[path].names is not None and path.suffix == ".zip":
            names += looks[path].names or ()
        elif os.path.isdir(path):
            names += (each for _, _, inside in os.walk(path) for each in inside)
        else:
            names.append(path.name)
    count = len(set(files).intersection(name.rpartition("/")[2] for name in names))
    if count == len(files):
        return []
    return [
        Problem(
            ERROR,
            " and ".join(map(str, found.paths)),
            f"{len(files)} files such as {files[0]}",
            f"{count}",
            "a copy or an unpacking that was not finished",
            "copy or unpack it again",
        )
    ]
