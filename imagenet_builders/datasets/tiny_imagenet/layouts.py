"""The layouts of Tiny ImageNet: its archive, or the folder that it unpacks to."""

from __future__ import annotations

from pathlib import Path

from imagenet_builders.datasets.tiny_imagenet.signs import SIGNS, has_only_images
from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.glimpse import of_folder
from imagenet_builders.locate.search import require_directory

NAME = "tiny_imagenet"
ARCHIVE = "tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"
ZIP = "zip"
"""The kind of source of the official archive."""
ARCHIVES = {
    ARCHIVE: (ZIP, "official archive"),
    f"{FOLDER}.tar": ("tar", "packed again"),
    f"{FOLDER}.tar.gz": ("tar.gz", "packed again"),
    f"{FOLDER}.tgz": ("tar.gz", "packed again"),
}
"""Name of an archive to its kind of source and the layout in words, the preferred one first."""
PACKED = "tar.gz"
"""The kind of source that must be unpacked before it can be read."""
UNPACKED = "folders"
"""The kind of source of the folder."""
CLASS_LIST = "wnids.txt"

SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""Split to its directory."""


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """Surveys what is staged of the dataset; see `Dataset.survey`."""
    del config
    require_directory(NAME, manual_dir)
    places = [
        (kind, layout, manual_dir / name)
        for name, (kind, layout) in ARCHIVES.items()
        if (manual_dir / name).is_file()
    ]
    unpacked = [
        (UNPACKED, "unpacked archive", folder)
        for folder in folders(manual_dir)
        if is_unpacked(folder)
    ]
    # What must be unpacked comes last.
    places = sorted([*places, *unpacked], key=lambda place: place[0] == PACKED)
    found = {
        split: tuple(
            Found(split, kind, layout, (path,), note=_note(path))
            for kind, layout, path in places
            if path.name in ARCHIVES or (path / directory).is_dir()
        )
        for split, directory in SPLITS.items()
    }
    looked_for = (
        *(str(manual_dir / name) for name in ARCHIVES),
        f"{manual_dir / FOLDER} with {CLASS_LIST} in it",
        str(manual_dir / CLASS_LIST),
    )
    return Survey(
        NAME,
        {split: each for split, each in found.items() if each},
        missing={split: looked_for for split, each in found.items() if not each},
    )


def is_unpacked(folder: Path) -> bool:
    """Whether the archive was unpacked to a folder, with its list of classes or without."""
    if (folder / CLASS_LIST).is_file() or SIGNS.by_names(of_folder(folder / SPLITS["train"])):
        return True
    return any(
        has_only_images(of_folder(folder / directory / inside), split)
        for split, directory in SPLITS.items()
        for inside in ("", "images")
        if split != "train"
    )


def _note(path: Path) -> str:
    """What is odd of a source, as far as names tell."""
    if path.name in ARCHIVES or (path / CLASS_LIST).is_file():
        return ""
    return f"there is no {CLASS_LIST}, so its folders, names and annotations tell the classes"


def folders(manual_dir: Path) -> tuple[Path, ...]:
    """The folders that the archive may have been unpacked to."""
    # The first is for an archive that was unpacked into a folder of its name.
    return manual_dir / FOLDER / FOLDER, manual_dir / FOLDER, manual_dir
