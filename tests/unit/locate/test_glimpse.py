"""A glimpse shows the classes and some names of a folder, whatever the order of its listing."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from support.corpora.layouts import write

from imagenet_builders.locate.glimpse import Glimpse, of_class_archives, of_folder

WNIDS = [f"n{number:08}" for number in range(1, 30)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {f"{wnid}/{wnid}_{n}.JPEG": b"" for wnid in WNIDS for n in (1, 2)}
    return write(tmp_path / "train", files | {"README": b"", f"{WNIDS[0]}/notes.txt": b""})


def test_a_folder_shows_all_classes_and_the_names_of_four(folder: Path) -> None:
    seen = of_folder(folder)
    assert seen.classes == frozenset(WNIDS)
    shown = {name.partition("/")[0] for name in seen.names}
    assert len(shown) == 4
    assert {WNIDS[0], WNIDS[-1]} < shown
    assert f"{WNIDS[0]}/notes.txt" in seen.names
    assert set(seen.images) == {f"{wnid}_{n}.JPEG" for wnid in shown for n in (1, 2)}


def test_names_in_folders_of_images_are_shown(tmp_path: Path) -> None:
    write(tmp_path, {"n01443537/images/n01443537_0.JPEG": b"", "n01443537/boxes.txt": b""})
    assert of_folder(tmp_path).names == (
        "n01443537/boxes.txt",
        "n01443537/images",
        "n01443537/images/n01443537_0.JPEG",
    )


def test_a_flat_folder_shows_all_its_names(tmp_path: Path) -> None:
    write(tmp_path, {"ILSVRC2012_val_2.JPEG": b"", "ILSVRC2012_val_1.jpg": b"", "list.txt": b""})
    seen = of_folder(tmp_path)
    assert (seen.classes, len(seen.names)) == (frozenset(), 3)
    assert seen.images == ("ILSVRC2012_val_1.jpg", "ILSVRC2012_val_2.JPEG")


def test_the_order_of_a_listing_does_not_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_folder(folder)
    scandir = os.scandir

    class Shuffled:
        def __init__(self, path: str):
            with scandir(path) as entries:
                self.entries = list(entries)
            random.Random(3).shuffle(self.entries)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert of_folder(folder) == before


def test_class_archives_show_their_classes(tmp_path: Path) -> None:
    write(tmp_path, {"n01443537.tar": b"", "n01440764.tar": b"", "README": b""})
    assert of_class_archives(tmp_path).classes == {"n01443537", "n01440764"}


@pytest.mark.parametrize("look", [of_folder, of_class_archives])
def test_what_is_not_there_shows_nothing(look, tmp_path: Path) -> None:
    assert look(tmp_path / "nowhere") == Glimpse(tmp_path / "nowhere")
