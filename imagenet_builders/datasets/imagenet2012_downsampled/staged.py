"""Where the splits of imagenet2012_downsampled are staged.

The authors offer a zip of npz files for each split and size, two for the train split of 64x64; many
sites keep the folders that these unpack to. Archives are preferred to folders, as their official
sizes are known. What else is staged, other sizes among it, is left alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from pathlib import Path

from imagenet_builders.datasets.imagenet2012_downsampled.dataset import DATASET, TRAIN_BATCHES
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.formats import zip_members
from imagenet_builders.formats.zip_members import ZipMember
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.search import Tree, require_directory
from imagenet_builders.sources.rows import SourceFile

# Nibi's tree has them in a folder of their own.
_PLACES = (".", "DownSampled")

_BATCH = re.compile(r"train_data_batch_([1-9][0-9]?)\.npz")
_VALIDATION = "val_data.npz"


@dataclasses.dataclass(frozen=True)
class Batch:
    """An npz file, in a zip archive or by itself.

    Attributes:
        name: Name without `.npz`, such as `train_data_batch_3`; the ids of its examples begin so.
        number: 1 to 10, and 1 for the validation data.
        file: The file on disk that it is in, or is.
        member: Where it is in that file, if that is an archive.
    """

    name: str
    number: int
    file: SourceFile
    member: ZipMember | None


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """All that is staged of a configuration; see `Dataset.survey`."""
    size = int((config or DATASET.config_names[0]).partition("x")[0])
    require_directory(DATASET.name, manual_dir)
    tree = Tree(manual_dir)
    places = [directory for place in _PLACES for directory in tree.directories(place)]
    found: dict[str, tuple[Found, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for split, ways in _ways(size).items():
        there: dict[tuple[Path, ...], Found] = {}
        for directory, way, kind in itertools.product(places, ways, ("zip", "npz", "")):
            paths = tuple(_first(directory, stem, kind) for stem in way)
            whole = tuple(path for path in paths if path is not None)
            if len(whole) == len(paths):
                there.setdefault(whole, _as_found(split, whole))
        if there:
            found[split] = tuple(there.values())
        else:
            missing[split] = tuple(_wanting(place, ways) for place in places[:1])
            missing[split] += tuple(
                sentence for place in places[1:] if (sentence := _half(place, ways))
            )
    return Survey(
        f"{DATASET.name}/{size}x{size}", found, missing=missing, warnings=tuple(tree.warnings)
    )


def _as_found(split: str, paths: tuple[Path, ...]) -> Found:
    is_archive = any(path.suffix == ".zip" for path in paths)
    kind, layout = ("zip", "authors' archives") if is_archive else ("npz", "unpacked archives")
    return Found(split, kind, layout, paths)


def find_batches(split: str, paths: tuple[Path, ...]) -> list[Batch]:
    """Finds the npz files of a split.

    Args:
        split: `train` or `validation`.
        paths: The archives and folders that provide it.

    Returns:
        The batches in the order of their numbers.

    Raises:
        ArchiveError: An archive is damaged, or has an npz file that does not belong there.
        SourceError: A batch is missing or there twice, or a folder has a file that does not belong.
    """
    batches: dict[int, Batch] = {}
    for path in paths:
        for batch in _in_folder(split, path) if path.is_dir() else _in_archive(split, path):
            other = batches.setdefault(batch.number, batch)
            if other is not batch:
                places = " and in ".join(_place(one) for one in (other, batch))
                raise SourceError(f"{batch.name}.npz is there twice, in {places}; keep one of them")
    count = TRAIN_BATCHES if split == "train" else 1
    absent = [number for number in range(1, count + 1) if number not in batches]
    if absent:
        names = ", ".join(_file_name(split, number) for number in absent)
        where = " and ".join(map(str, paths))
        raise SourceError(
            f"{where}: {names} not found, and the {split} split needs {count} such files; copy or "
            "unpack it again"
        )
    return [batches[number] for number in sorted(batches)]


def _ways(size: int) -> dict[str, list[list[str]]]:
    """Split to the ways of providing it, each of them names without `.zip`, all needed."""
    train = [[f"Imagenet{size}_train_npz"]]
    if size == 64:
        train.insert(0, [f"Imagenet64_train_part{part}_npz" for part in (1, 2)])
    return {"train": train, "validation": [[f"Imagenet{size}_val_npz"]]}


def _first(directory: Path, stem: str, kind: str) -> Path | None:
    """The archive or the folder of a name; `zip` or `npz` wants the one or the other."""
    archive, folder = directory / f"{stem}.zip", directory / stem
    if kind != "npz" and archive.is_file():
        return archive
    return folder if kind != "zip" and folder.is_dir() else None


def _half(directory: Path, ways: list[list[str]]) -> str:
    """What to say where one of two parts is there, or an empty string."""
    for way in ways:
        paths = [_first(directory, stem, "") for stem in way]
        if any(paths):
            lacking = [stem for stem, path in zip(way, paths, strict=True) if path is None]
            there = [str(path) for path in paths if path is not None]
            return (
                f"there is {', '.join(there)} but no {_either(directory, lacking[0])}, and both "
                "parts are needed"
            )
    return ""


def _wanting(directory: Path, ways: list[list[str]]) -> str:
    """What is not there, as text."""
    half = _half(directory, ways)
    if half:
        return half
    looked_for = (" and ".join(_either(directory, stem) for stem in way) for way in ways)
    pickled = [directory / f"{stem.removesuffix('_npz')}.zip" for way in ways for stem in way]
    hint = "".join(
        f"; {path} is the version in pickles, which is not read because that could run any code"
        for path in pickled
        if path.exists()
    )
    return f"there is no {', nor '.join(looked_for)}{hint}"


def _either(manual_dir: Path, stem: str) -> str:
    return f"{manual_dir / stem}.zip (or the folder {stem})"


def _in_archive(split: str, path: Path) -> list[Batch]:
    file = SourceFile.of(path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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


def _in_folder(split: str, path: Path) -> list[Batch]:
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
            batches.append(Batch(name.removesuffix(".npz"), number, SourceFile.of(where), None))
    return batches


def _is_litter(name: str) -> bool:
    """Whether a name is nothing of the dataset: a directory, a hidden file, no npz file."""
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
            f"only {_file_name(split, 1)}{last} belong here; look whether this is the {split} "
            "split, and its npz version"
        )
    return int(match[1])


def _file_name(split: str, number: int) -> str:
    return f"train_data_batch_{number}.npz" if split == "train" else _VALIDATION


def _place(batch: Batch) -> str:
    """Where a batch is, for messages."""
    return batch.file.path + (f" as {batch.member.name!r}" if batch.member else "")
