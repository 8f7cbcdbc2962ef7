"""Estimates what a build would write, and whether there is space for it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from imagenet_builders.check.gather import Checked
from imagenet_builders.check.report import BAD, MISSING, Needs, Place
from imagenet_builders.check.targets import Target
from imagenet_builders.files.ours import nearest, refused
from imagenet_builders.options import BuildOptions
from imagenet_builders.scratch import to_copy
from imagenet_builders.scratch.space import find_scratch
from imagenet_builders.sources import kinds
from imagenet_builders.sources.inspection import ERROR, WARNING, Problem
from imagenet_builders.words import size_text
from imagenet_builders.write.space import room_in, under

# Bytes of a record besides the image: framing, label, names; and boxes, if it has some.
_RECORD_BYTES = 200
_BOXES_BYTES = 200
# A row of an index: its numbers, and a key of about 30 characters.
_ROW_BYTES = 80
# Annotations are small text files, which gzip makes so much smaller than their tar.
_BOXES_GROWTH = 40
_MEAN_IMAGE_BYTES = 110_000
# dataset_info.json, features.json, label names, provenance.json.
_METADATA_FILES = 8
# A shard, its index, and its mark while the dataset is built.
_FILES_A_SHARD = 3

# TFDS 4.9.10's rule. Source: tensorflow_datasets/core/utils/shard_utils.py.
_MIN_SHARD, _MAX_SHARD, _OVERHEAD = 64 << 20, 1 << 30, 16


@dataclasses.dataclass(frozen=True)
class _Split:
    """A split's images, and the bytes that a build writes and unpacks; None where unknown."""

    images: int
    size: int | None
    unpacked: int


def needs_of(checked: Sequence[Checked], data_dir: Path, options: BuildOptions) -> Needs | None:
    """Estimates the space that a build needs.

    Args:
        checked: The rows of the check.
        data_dir: Directory for the datasets.
        options: Options of the build, which may name the scratch directory.

    Returns:
        The needs, or None if there is nothing to build.
    """
    by_target: dict[str, list[Checked]] = {}
    for one in checked:
        if one.row.preferred and one.row.verdict not in (MISSING, BAD):
            by_target.setdefault(one.row.name, []).append(one)
    output = scratch = files = index = 0
    unknown = []
    copies = _copies(list(by_target.values())) if options.stage else {}
    for name, rows in by_target.items():
        splits = [_split(one, rows) for one in rows if one.row.part == "images"]
        # Boxes in an archive of images are unpacked with these.
        archives = {one.row.paths for one in rows if one.row.part == "images"}
        boxes = sum(
            one.row.size or 0
            for one in rows
            if _is_packed(one) and _has_boxes(one) and one.row.paths not in archives
        )
        if not splits:
            continue
        if any(split.size is None for split in splits):
            unknown.append(name)
        output += sum(split.size or 0 for split in splits)
        shards = sum(_shards(split.size or 0, split.images) for split in splits)
        files += _FILES_A_SHARD * shards + _METADATA_FILES
        index += sum(split.images for split in splits) * _ROW_BYTES
        # Datasets are built in turn, and what was unpacked for one is removed before the next.
        # An archive of several splits is unpacked once.
        paths = (one.row.paths for one in rows if one.row.part == "images")
        unpacked = sum(dict(zip(paths, (each.unpacked for each in splits), strict=True)).values())
        copied = sum(copies.get(name, {}).values())
        scratch = max(scratch, unpacked + boxes * _BOXES_GROWTH + copied)
    if not by_target:
        return None
    scratch_dir = find_scratch(options.scratch_for(data_dir))
    copied_files = max((len(copied) for copied in copies.values()), default=0)
    return Needs(
        _place(data_dir, output, files),
        _place(scratch_dir, scratch + index, 2 * len(checked) + copied_files),
        tuple(unknown),
        _device(data_dir) is not None and _device(data_dir) == _device(scratch_dir),
        max((sum(copied.values()) for copied in copies.values()), default=0)
        if options.stage
        else None,
    )


def _copies(by_target: Sequence[Sequence[Checked]]) -> dict[str, dict[Path, int]]:
    """The copies that exist while each dataset is built (`--stage`), and their bytes.

    Besides its own, these are copies that an earlier dataset made and a later one needs.
    """
    needed = [to_copy.copied_of([one.found for one in rows if one.found]) for rows in by_target]
    copies = {}
    for number, (rows, own) in enumerate(zip(by_target, needed, strict=True)):
        before = set().union(*needed[:number])
        files = {*own, *(before & set().union(*needed[number + 1 :]))}
        copies[rows[0].row.name] = {path: _size_of(path) for path in files}
    return copies


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # The inspection reports it.
        return 0


def shortages(needs: Needs, *, chosen: bool) -> list[Problem]:
    """The problems of too little space.

    Args:
        needs: What a build needs.
        chosen: Whether the user chose the directory for datasets, so that too little space is an
            error.
    """
    severity = ERROR if chosen else WARNING
    places = [("--data-dir", needs.output), ("--scratch-dir", needs.scratch)]
    if needs.same_device:
        both = needs.output.needed + needs.scratch.needed
        files = needs.output.files + needs.scratch.files
        output = dataclasses.replace(needs.output, needed=both, files=files)
        places = [("--data-dir", output)]
    problems = []
    for option, place in places:
        action = f"free some, or choose another with {option}"
        if place.free is not None and place.free < place.needed:
            problems.append(
                Problem(
                    severity,
                    str(place.path),
                    f"about {size_text(place.needed)} free"
                    + (" for datasets and scratch files" if needs.same_device else ""),
                    f"{size_text(place.free)} free{under(place.quota)}",
                    "",
                    action,
                )
            )
        if place.free_files is not None and place.free_files < place.files:
            problems.append(
                Problem(
                    severity,
                    str(place.path),
                    f"room for about {place.files:,} files (inodes)",
                    f"room for {place.free_files:,}{under(place.files_quota)}",
                    "a limit on the number of files, of whatever size (df -i)",
                    f"remove files that nobody needs, or choose another with {option}; fewer "
                    "shards (--num-shards) need fewer files",
                )
            )
    return problems


def refusals(needs: Needs, targets: Iterable[Target], *, chosen: bool) -> list[Problem]:
    """The problems of directories that a build may not write in.

    Args:
        needs: What a build needs.
        targets: What it would write.
        chosen: Whether the user chose the directory for datasets, so that they are errors.
    """
    severity = ERROR if chosen else WARNING
    data_dir = needs.output.path
    # A dataset may have the directory of an earlier version, of another user.
    parents = [nearest(one.path(data_dir).parent) for one in targets]
    paths = [each if each.is_relative_to(data_dir.absolute()) else data_dir for each in parents]
    places = [("--data-dir", path) for path in dict.fromkeys(paths)]
    problems = []
    for option, path in [*places, ("--scratch-dir", needs.scratch.path)]:
        there = nearest(path)
        action = f"choose another with {option}"
        if os.path.exists(path) and not os.path.isdir(path):
            problems.append(Problem(severity, str(path), "a directory", "a file", "", action))
        elif not os.access(there, os.W_OK | os.X_OK):
            why = refused(there)
            problems.append(
                Problem(
                    severity,
                    str(path),
                    "a directory that you may write to",
                    f"{there} {why.whose}" if why else f"{there} cannot be written to",
                    "",
                    f"{why.ask}, or {action}" if why else action,
                )
            )
    return problems


def _split(one: Checked, rows: Sequence[Checked]) -> _Split:
    row = one.row
    official = one.target.split(row.split)
    config = one.target.config
    if config.written_bytes is not None:
        images = official.images or 0
        if row.images_found:
            images = row.images_found
        elif row.size is not None and row.official_size and row.size != row.official_size:
            images = max(1, images * row.size // row.official_size)
        return _Split(
            images, images * (config.written_bytes + _RECORD_BYTES), images * config.unpacked_bytes
        )
    size = _image_bytes(one, rows)
    images = row.images_found or 0
    if not images and size is not None:
        mean = one.counted.mean_bytes or _MEAN_IMAGE_BYTES
        if official.images and official.image_bytes:
            mean = official.image_bytes / official.images
        images = max(1, int(size / mean))
    images = images or official.images or 0
    overhead = _RECORD_BYTES + (_BOXES_BYTES if any(_has_boxes(each) for each in rows) else 0)
    unpacked_bytes = kinds.kind(row.kind).unpacked_bytes
    return _Split(
        images,
        None if size is None else size + images * overhead,
        one.counted.unpacked_bytes + (unpacked_bytes(row.size or 0) if unpacked_bytes else 0),
    )


def _image_bytes(one: Checked, rows: Sequence[Checked]) -> int | None:
    """Bytes of the images of a split, estimated."""
    row = one.row
    official = one.target.split(row.split)
    if row.size is not None:
        # One archive may hold several splits.
        sharing = [each.row for each in rows if each.row.paths == row.paths]
        known = [each.images_expected or 0 for each in sharing]
        if len(sharing) > 1 and any(known):
            return row.size * (row.images_expected or 0) // sum(known)
        return row.size
    if one.counted.total_bytes is not None:
        return one.counted.total_bytes
    images = row.images_found or official.images
    if images is None:
        return official.image_bytes
    if one.counted.mean_bytes is not None:
        return int(images * one.counted.mean_bytes)
    if official.images and official.image_bytes:
        return images * official.image_bytes // official.images
    return None


def _has_boxes(one: Checked) -> bool:
    return one.row.part == "boxes"


def _is_packed(one: Checked) -> bool:
    return kinds.kind(one.row.kind).unpacked_bytes is not None


def _shards(size: int, images: int) -> int:
    """The number of shards that TFDS makes of a split."""
    size += images * _OVERHEAD
    least, most = size // _MAX_SHARD, size // _MIN_SHARD
    if least <= 1024 <= most and images >= 1024:
        return 1024
    if least > 1024:
        return -(-least // 1024) * 1024
    fitting: Iterable[int] = (n for n in (512, 256, 128, 64, 32, 16, 8, 4, 2) if least <= n <= most)
    return next((n for n in fitting if images >= n), 1)


def _place(path: Path, needed: int, files: int) -> Place:
    there = nearest(path)
    try:
        room = room_in(there)
    except OSError:
        return Place(path, needed, None, files, None)
    return Place(
        path,
        needed,
        room.free,
        files,
        room.free_files,
        room.quota,
        room.files_quota,
        room.quotas_seen,
    )


def _device(path: Path) -> int | None:
    try:
        return os.stat(nearest(path)).st_dev
    except OSError:
        return None
