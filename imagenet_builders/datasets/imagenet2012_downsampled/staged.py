"""Finds the npz files of imagenet2012_downsampled in archives and folders."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path

from imagenet_builders.datasets.imagenet2012_downsampled.dataset import TRAIN_BATCHES
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import zip_members
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.sources.rows import NO_COPIES, SourceFile, open_file
from imagenet_builders.words import counted

_BATCH = re.compile(r"train_data_batch_([1-9][0-9]?)\.npz")
_VALIDATION = "val_data.npz"


@dataclasses.dataclass(frozen=True)
class Batch:
    """An npz file, in a zip archive or by itself.

    Attributes:
        name: Name without `.npz`, such as `train_data_batch_3`; the ids of its examples begin so.
        number: 1 to 10, and 1 for the validation data.
        file: The file on disk, which is an archive or the npz file itself.
        member: Its place in the archive, or None.
    """

    name: str
    number: int
    file: SourceFile
    member: ZipMember | None


def find_batches(
    split: str, paths: tuple[Path, ...], copies: Mapping[str, str] = NO_COPIES
) -> list[Batch]:
    """Finds the npz files of a split.

    Args:
        split: `train` or `validation`.
        paths: The archives and folders of the source, or the npz files themselves.
        copies: As for `SourceFile.of`.

    Returns:
        The batches in the order of their numbers.

    Raises:
        ArchiveError: An archive is damaged, or has an npz file that does not belong there.
        SourceError: A batch is missing or there twice, or a folder has a file that does not belong.
    """
    batches: dict[int, Batch] = {}
    for path in paths:
        within = _alone if path.suffix == ".npz" else _in_archive
        for batch in (_in_folder if path.is_dir() else within)(split, path, copies):
            other = batches.setdefault(batch.number, batch)
            if other is not batch:
                places = " and in ".join(_place(one) for one in (other, batch))
                raise SourceError(
                    f"{batch.name}.npz is there twice, in {places}; move one of them elsewhere"
                )
    count = TRAIN_BATCHES if split == "train" else 1
    absent = [number for number in range(1, count + 1) if number not in batches]
    if absent:
        names = ", ".join(_file_name(split, number) for number in absent)
        where = " and ".join(map(str, paths))
        raise SourceError(
            f"{where}: {names} not found, and the {split} split needs "
            f"{counted(count, 'such file')}; copy or unpack it again"
        )
    return [batches[number] for number in sorted(batches)]


def _alone(split: str, path: Path, copies: Mapping[str, str]) -> list[Batch]:
    file = SourceFile.of(path, copies)
    return [Batch(path.name.removesuffix(".npz"), _number(split, path.name), file, None)]


def _in_archive(split: str, path: Path, copies: Mapping[str, str]) -> list[Batch]:
    file = SourceFile.of(path, copies)
    fd = open_file(file)
    try:
        members = zip_members.list_members(fd, file.path)
    finally:
        os.close(fd)
    batches = []
    for member in members:
        if _is_litter(member.name):
            continue
        try:
            number = _number(split, member.file_name)
        except ValueError as error:
            raise ArchiveError(
                file.path, str(error), member=member.name, offset=member.header_offset
            ) from None
        batches.append(Batch(member.file_name.removesuffix(".npz"), number, file, member))
    return batches


def _in_folder(split: str, path: Path, copies: Mapping[str, str]) -> list[Batch]:
    batches = []
    for directory, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            where = Path(directory, name)
            if _is_litter(where.relative_to(path).as_posix()):
                continue
            try:
                number = _number(split, name)
            except ValueError as error:
                raise SourceError(f"{where}: {error}") from None
            file = SourceFile.of(where, copies)
            batches.append(Batch(name.removesuffix(".npz"), number, file, None))
    return batches


def _is_litter(name: str) -> bool:
    """Whether a name is no part of the dataset: a directory, a hidden file, no npz file."""
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1].startswith(".") or not name.endswith(".npz")


def _number(split: str, name: str) -> int:
    """The number of a batch, from its file name."""
    if split == "validation" and name == _VALIDATION:
        return 1
    match = _BATCH.fullmatch(name)
    if split == "validation" or match is None or int(match[1]) > TRAIN_BATCHES:
        last = f" to {_file_name(split, TRAIN_BATCHES)}" if split == "train" else ""
        raise ValueError(
            f"only {_file_name(split, 1)}{last} belong here; check that this is the {split} "
            "split, and its npz version"
        )
    return int(match[1])


def _file_name(split: str, number: int) -> str:
    return f"train_data_batch_{number}.npz" if split == "train" else _VALIDATION


def _place(batch: Batch) -> str:
    """The place of a batch, for messages."""
    return batch.file.path + (f" as {batch.member.name!r}" if batch.member else "")
