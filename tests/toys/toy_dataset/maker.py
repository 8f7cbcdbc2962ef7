"""Makes the archives of toy_dataset."""

from __future__ import annotations

from pathlib import Path

from makers import archives, pictures

from toys.toy_dataset.dataset import ARCHIVES, IMAGES, classes


def make_toy_dataset(directory: Path) -> Path:
    """Writes both archives into a new directory, and returns it."""
    directory.mkdir(parents=True)
    for split, name in ARCHIVES.items():
        each = IMAGES[split] // len(classes())
        first = 1 if split == "train" else 1 + IMAGES["train"]
        names = [
            f"{wnid}_{number}.JPEG" for wnid in classes() for number in range(first, first + each)
        ]
        pictures_of = [(name, pictures.jpeg(pictures.draw(name[:9], key=name))) for name in names]
        archives.write_tar(directory / name, pictures_of)
    return directory
