"""The layouts of Tiny ImageNet: its archive, or the folder that it unpacks to."""

from __future__ import annotations

from pathlib import Path

from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.search import require_directory

NAME = "tiny_imagenet"
ARCHIVE = "tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"
ARCHIVES = {
    ARCHIVE: ("zip", "official archive"),
    f"{FOLDER}.tar": ("tar", "packed again"),
    f"{FOLDER}.tar.gz": ("tar.gz", "packed again"),
    f"{FOLDER}.tgz": ("tar.gz", "packed again"),
}
"""Name of an archive to its kind of source and the layout in words, the preferred one first."""
PACKED = "tar.gz"
"""The kind of source that must be unpacked before it can be read."""
_UNPACKED = ("folders", "unpacked archive")
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
        (*_UNPACKED, folder) for folder in folders(manual_dir) if (folder / CLASS_LIST).is_file()
    ]
    # What must be unpacked comes last.
    places = sorted([*places, *unpacked], key=lambda place: place[0] == PACKED)
    found = {
        split: tuple(
            Found(split, kind, layout, (path,))
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


def folders(manual_dir: Path) -> tuple[Path, ...]:
    """The folders that the archive may have been unpacked to."""
    # The first is for an archive that was unpacked into a folder of its name.
    return manual_dir / FOLDER / FOLDER, manual_dir / FOLDER, manual_dir
