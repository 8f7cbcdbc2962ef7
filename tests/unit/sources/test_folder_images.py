"""Rows of images that are files of their own, in class folders."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from imagenet_builders.errors import SourceError
from imagenet_builders.labels.image_names import class_image
from imagenet_builders.locate.listing import list_folders
from imagenet_builders.sources.folder_images import (
    ImageFolder,
    folder_images,
    list_files,
    source_files,
)
from imagenet_builders.sources.indexing import in_batches
from imagenet_builders.sources.rows import WHOLE_FILE, PassedOver, SourceFile, row_schema

PLANT, TENCH = "n00017222", "n01440764"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for wnid, count in {TENCH: 3, PLANT: 2}.items():
        (tmp_path / wnid).mkdir()
        for number in range(count):
            (tmp_path / wnid / f"{wnid}_{number}.JPEG").write_bytes(bytes(10 * number + 1))
    return tmp_path


def _row_of(wnid: str, label: int, name: str) -> tuple[str, int]:
    return class_image(wnid, name), label


def folder(path: Path, position: int = 0, label: int = 7) -> ImageFolder:
    return ImageFolder(SourceFile.of(path), position, functools.partial(_row_of, path.name, label))


def rows(*folders: ImageFolder) -> list[dict]:
    return folder_images(folders, lambda images, size: None).to_pylist()


def test_each_file_is_a_row_that_names_its_folder(tree: Path):
    found = rows(folder(tree / TENCH, 0, 359), folder(tree / PLANT, 1, 6))
    assert found == [
        {"key": key, "label": label, "file": file, "offset": WHOLE_FILE, "size": size}
        for key, label, file, size in [
            ("n01440764_0.JPEG", 359, 0, 1),
            ("n01440764_1.JPEG", 359, 0, 11),
            ("n01440764_2.JPEG", 359, 0, 21),
            ("n00017222_0.JPEG", 6, 1, 1),
            ("n00017222_1.JPEG", 6, 1, 11),
        ]
    ]


def test_the_table_is_that_of_every_index(tree: Path):
    table = folder_images([folder(tree / TENCH)], lambda images, size: None)
    assert table.schema == row_schema()


def test_the_key_of_a_file_is_its_official_name(tree: Path):
    (tree / TENCH / "N01440764_007_n01440764.jpg").write_bytes(b"x")
    found = rows(folder(tree / TENCH))
    assert [(row["key"], row["name"]) for row in found] == [
        ("n01440764_7.JPEG", "N01440764_007_n01440764.jpg"),
        *((f"n01440764_{number}.JPEG", None) for number in range(3)),
    ]


def test_what_operating_systems_leave_is_passed_over_and_noted(tree: Path):
    for name in ("._n01440764_0.JPEG", ".DS_Store", "Thumbs.db"):
        (tree / TENCH / name).touch()
    table = folder_images([folder(tree / TENCH)], lambda images, size: None)
    assert table["key"].to_pylist() == [f"{TENCH}_{number}.JPEG" for number in range(3)]
    names = [str(tree / TENCH / name) for name in (".DS_Store", "._n01440764_0.JPEG", "Thumbs.db")]
    assert PassedOver.of(table) == PassedOver(3, tuple(names))


def test_a_link_to_a_file_and_a_linked_folder_are_as_good(tree: Path):
    (tree / PLANT / "n00017222_9.JPEG").symlink_to(tree / TENCH / "n01440764_2.JPEG")
    (tree / "n02958343").symlink_to(tree / PLANT)
    assert list_files(tree / PLANT)[-1] == ("n00017222_9.JPEG", 21)
    assert list_folders(tree) == ([PLANT, TENCH, "n02958343"], [])


@pytest.mark.parametrize(
    "name",
    [
        "n00017222_7.JPEG",
        "n01440764_7.JPEG~",
        "n01440764_7.JPEG.partial",
        ".n01440764_7.JPEG.Xa4b2c",
        ".hidden",
        "n01440764_.JPEG",
        b"n01440764_\xff.JPEG".decode(errors="surrogateescape"),
    ],
)
def test_a_stray_file_is_named(tree: Path, name: str):
    (tree / TENCH / name).write_bytes(b"x")
    with pytest.raises(SourceError, match=r"does not belong.*images such as n01440764_1") as caught:
        rows(folder(tree / TENCH))
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert repr(str(tree / TENCH / name))[1:-1] in sentence


def test_a_directory_or_a_pipe_among_the_images_is_named(tree: Path):
    (tree / TENCH / "images").mkdir()
    with pytest.raises(SourceError, match="images' is a directory"):
        list_files(tree / TENCH)
    os.mkfifo(tree / PLANT / "n00017222_5.JPEG")
    with pytest.raises(SourceError, match=r"n00017222_5\.JPEG' is neither file nor directory"):
        list_files(tree / PLANT)


def test_a_link_to_nothing_is_named(tree: Path):
    (tree / TENCH / "n01440764_5.JPEG").symlink_to(tree / "gone")
    with pytest.raises(SourceError, match=r"n01440764_5\.JPEG' cannot be read: No such file"):
        list_files(tree / TENCH)


def test_an_empty_folder_is_an_error(tree: Path):
    (tree / "n02958343").mkdir()
    with pytest.raises(SourceError, match="n02958343: there is no image"):
        rows(folder(tree / TENCH), folder(tree / "n02958343"))


def test_an_unreadable_folder_is_named_with_the_likely_cause(
    tree: Path, monkeypatch: pytest.MonkeyPatch
):
    scandir = os.scandir

    # The tests may run as root, who may read everything.
    def refuse(path):
        if os.fspath(path).endswith(TENCH):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        with pytest.raises(SourceError, match=f"{TENCH}' cannot be read: Permission denied.*16"):
            rows(folder(tree / PLANT), folder(tree / TENCH))


def test_other_entries_beside_class_folders_are_distinguished(tree: Path):
    (tree / "tars").mkdir()
    (tree / "n01443537").write_bytes(b"a file with the name of a class")
    (tree / "README").touch()
    assert list_folders(tree) == ([PLANT, TENCH], ["README", "n01443537", "tars"])


def test_many_files_are_looked_at_in_order(tree: Path):
    paths = [tree / TENCH / "n01440764_2.JPEG", tree / TENCH, tree / PLANT / "n00017222_0.JPEG"]
    assert source_files(paths) == [SourceFile.of(path) for path in paths]
    with pytest.raises(SourceError, match="gone' cannot be read: No such file"):
        source_files([*paths, tree / "gone"])


def test_batches_hold_all_folders_in_order(tree: Path):
    folders = [folder(tree / TENCH, position) for position in range(7)]
    batches = list(in_batches(folders, 3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [each for batch in batches for each in batch] == folders
