"""Where the splits of imagenet2012_downsampled are staged.

The authors offer a zip of npz files for each split and size, two for the train split of 64x64; many
sites keep the folders that these unpack to, or the files side by side. Archives come before
folders, because their official sizes are known. Everything else, such as other sizes, is ignored.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from imagenet_builders.datasets.imagenet2012_downsampled import flat
from imagenet_builders.datasets.imagenet2012_downsampled.dataset import DATASET
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.search import Tree, require_directory
from imagenet_builders.sources import npz_files

KINDS = {"zip": "authors' archives", "npz": "unpacked archives"}
"""Kind of source to the layout in words."""
_ARCHIVES, _FOLDERS = KINDS

_NAMED = re.compile(r"Imagenet(8|16|32|64)_(train|val)(_part[12])?_npz")
"""The folders that the archives unpack to."""

# Nibi's tree has them in a folder of their own.
_PLACES = (".", "DownSampled")


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """All that is staged of a configuration; see `Dataset.survey`."""
    size = int((config or DATASET.config_names[0]).partition("x")[0])
    require_directory(DATASET.name, manual_dir)
    tree = Tree(manual_dir)
    places = [directory for place in _PLACES for directory in tree.directories(place)]
    # A folder for each size, or for each split of one, may have the rest inside.
    deeper = [folder for place in places for folder in flat.folders(tree, place)]
    deeper = [folder for folder in deeper if not _NAMED.fullmatch(folder.name)]
    places = list(dict.fromkeys([*places, *deeper]))
    inside = [folder for place in deeper for folder in flat.folders(tree, place)]
    side_by_side = [*places, *(each for each in inside if not _NAMED.fullmatch(each.name))]
    warnings: dict[str, None] = {}
    found: dict[str, tuple[Found, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for split, ways in _ways(size).items():
        there: dict[tuple[Path, ...], Found] = {}
        for directory, way, kind in itertools.product(places, ways, (*KINDS, None)):
            paths = tuple(_first(directory, stem, kind) for stem in way)
            whole = tuple(path for path in paths if path is not None)
            if len(whole) == len(paths):
                there.setdefault(whole, _as_found(split, whole))
        for way, kind in itertools.product(ways, (*KINDS, None)):  # Each part in a folder.
            each = (
                next(filter(None, (_first(directory, stem, kind) for directory in places)), None)
                for stem in way
            )
            whole = tuple(path for path in each if path is not None)
            if len(whole) == len(way):
                there.setdefault(whole, _as_found(split, whole))
        loose, odd = flat.find(tree, side_by_side, split, size, _FOLDERS)
        warnings.update(dict.fromkeys(odd))
        if loose:  # Whoever moves files elsewhere leaves an empty folder behind.
            there = {paths: each for paths, each in there.items() if not _are_empty(paths)}
        if there or loose:
            found[split] = (*there.values(), *loose)
        else:
            missing[split] = tuple(
                name for place in places[:1] for name in _wanting(place, ways)
            ) + tuple(sentence for place in places[1:] if (sentence := _half(place, ways)))
    return Survey(
        f"{DATASET.name}/{size}x{size}",
        found,
        missing=missing,
        warnings=(*tree.warnings, *warnings),
    )


def _as_found(split: str, paths: tuple[Path, ...]) -> Found:
    kind = _ARCHIVES if any(path.suffix == ".zip" for path in paths) else _FOLDERS
    where = " and ".join(map(str, paths)) if len(paths) > 1 else ""
    return Found(split, kind, KINDS[kind], paths, where=where)


def _are_empty(paths: tuple[Path, ...]) -> bool:
    """Whether all paths are folders without any npz file."""
    return all(path.is_dir() and not npz_files.archives_in(path) for path in paths)


def _ways(size: int) -> dict[str, list[list[str]]]:
    """Split to alternatives; each is a list of names without `.zip`, which are all needed."""
    train = [[f"Imagenet{size}_train_npz"]]
    if size == 64:
        train.insert(0, [f"Imagenet64_train_part{part}_npz" for part in (1, 2)])
    return {"train": train, "validation": [[f"Imagenet{size}_val_npz"]]}


def _first(directory: Path, stem: str, kind: str | None = None) -> Path | None:
    """The archive or the folder of a name, or the one of a given kind."""
    archive, folder = directory / f"{stem}.zip", directory / stem
    if kind != _FOLDERS and archive.is_file():
        return archive
    return folder if kind != _ARCHIVES and folder.is_dir() else None


def _half(directory: Path, ways: list[list[str]]) -> str:
    """A sentence if only one of two parts is there, or an empty string."""
    for way in ways:
        paths = [_first(directory, stem) for stem in way]
        if any(paths):
            lacking = [stem for stem, path in zip(way, paths, strict=True) if path is None]
            there = [str(path) for path in paths if path is not None]
            return (
                f"there is {', '.join(there)} but no {_either(directory, lacking[0])}, and both "
                "parts are needed"
            )
    return ""


def _wanting(directory: Path, ways: list[list[str]]) -> list[str]:
    """What is looked for, each of which would do; or a sentence, if half of it is there."""
    half = _half(directory, ways)
    if half:
        return [half]
    looked_for = [" and ".join(_either(directory, stem) for stem in way) for way in ways]
    pickled = [directory / f"{stem.removesuffix('_npz')}.zip" for way in ways for stem in way]
    hint = "".join(
        f"; {path} is the version in pickles, which is not read because that could run any code"
        for path in pickled
        if path.exists()
    )
    side_by_side = f"npz files of this size side by side in {directory} (or in a folder of it)"
    return [*looked_for, f"{side_by_side}{hint}"]


def _either(manual_dir: Path, stem: str) -> str:
    return f"{manual_dir / stem}.zip (or the folder {stem})"
