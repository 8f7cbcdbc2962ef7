"""The layouts of Tiny ImageNet: its archive, or the folder that it unpacks to."""

from __future__ import annotations

from pathlib import Path

from imagenet_builders.locate.found import Found, Survey
from imagenet_builders.locate.search import require_directory

NAME = "tiny_imagenet"
ARCHIVE = "tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"
CLASS_LIST = "wnids.txt"

SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""Split to its directory."""


KINDS = {"zip": "official archive", "folders": "unpacked archive"}
"""Kind of source to the layout in words."""
_ARCHIVE, _FOLDER = KINDS


def survey(manual_dir: Path, config: str | None = None) -> Survey:
    """Surveys what is staged of the dataset; see `Dataset.survey`."""
    del config
    require_directory(NAME, manual_dir)
    places: list[tuple[str, Path]] = []
    if (manual_dir / ARCHIVE).is_file():
        places.append((_ARCHIVE, manual_dir / ARCHIVE))
    for folder in folders(manual_dir):
        if (folder / CLASS_LIST).is_file():
            places.append((_FOLDER, folder))
    found = {
        split: tuple(
            Found(split, kind, KINDS[kind], (path,))
            for kind, path in places
            if kind == _ARCHIVE or (path / directory).is_dir()
        )
        for split, directory in SPLITS.items()
    }
    looked_for = (
        str(manual_dir / ARCHIVE),
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
