"""imagenet2012_downsampled from npz files that lie side by side, whose sizes only arrays tell."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import imagenet2012_downsampled as maker
from support.built_datasets import records, shards
from support.checking import check, checked, row
from support.command_line import run
from support.corpora.downsampled import build_small, refused

from imagenet_builders.errors import SourceError

TRAIN = [f"train_data_batch_{number}.npz" for number in range(1, 11)]


def files_of(directory: Path, size: int) -> dict[str, Path]:
    """The npz files of a size, by name."""
    maker.make_downsampled(directory, size, outer=None)
    return {path.name: path for path in directory.rglob("*.npz")}


def flat(root: Path, size: int, folder: str = ".") -> Path:
    """Stages all npz files of a size in one folder."""
    into = root / folder
    into.mkdir(parents=True, exist_ok=True)
    for name, path in files_of(root.with_name(f"made-{root.name}-{size}"), size).items():
        shutil.move(path, into / name)
    return root


def in_the_directory(root: Path, size: int) -> None:
    flat(root, size)


def in_a_folder_of_the_size(root: Path, size: int) -> None:
    flat(root, size, f"imagenet_{size}x{size}")


def in_a_folder_for_each_split(root: Path, size: int) -> None:
    flat(root, size)
    for folder, names in ((f"train{size}", TRAIN), (f"val{size}", ["val_data.npz"])):
        inner = root / folder / "npz"
        inner.mkdir(parents=True)
        for name in names:
            shutil.move(root / name, inner / name)


def official_folders_one_deeper(root: Path, size: int) -> None:
    maker.make_downsampled(root, size, outer=None)
    for split in ("train", "val"):
        for path in root.glob(f"Imagenet{size}_{split}*"):
            (root / f"{split}{size}").mkdir(exist_ok=True)
            shutil.move(path, root / f"{split}{size}" / path.name)


WAYS = [
    in_the_directory,
    in_a_folder_of_the_size,
    in_a_folder_for_each_split,
    official_folders_one_deeper,
]


def everything(directory: Path) -> dict[str, list[bytes]]:
    """All records of a build, by file."""
    return {shard.name: records(shard) for shard in shards(directory)}


@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_dataset_is_built_wherever_the_files_lie(
    tmp_path: Path, way: Callable[[Path, int], None], size: int
):
    maker.make_downsampled(tmp_path / "official", size)
    way(tmp_path / "staged", size)
    official = build_small(tmp_path / "official", size, tmp_path / "of official")
    config = f"{size}x{size}"
    document = checked(tmp_path / "staged", status=0)
    assert {each["config"] for each in document["sources"]} == {config}
    assert row(document, "train")["kind"] == row(document, "validation")["kind"] == "npz"
    name = f"imagenet2012_downsampled/{config}"
    where = ["--manual-dir", str(tmp_path / "staged"), "--data-dir", str(tmp_path / "data")]
    options = ["--workers", "2", "--stage", "--scratch-dir", str(tmp_path)]
    assert run("build", name, *where, *options).status == 0
    [built] = (tmp_path / "data").glob(f"{name}/*")
    assert everything(built) == everything(official)
    assert run("verify", name, "--data-dir", str(tmp_path / "data")).status == 0


def test_the_emptied_folders_of_the_archives_are_passed_over(tmp_path: Path):
    staged = flat(tmp_path / "staged", 8)
    (staged / "Imagenet8_train_npz").mkdir()
    (staged / "Imagenet8_val_npz").mkdir()
    build_small(staged)


def test_each_size_has_a_folder_of_its_own(tmp_path: Path):
    flat(tmp_path / "staged", 8, "8x8")
    flat(tmp_path / "staged", 16, "16x16")
    document = checked(tmp_path / "staged", status=0)
    preferred = [each for each in document["sources"] if each["preferred"]]
    assert {(each["config"], Path(each["paths"][0]).parent.name) for each in preferred} == {
        ("8x8", "8x8"),
        ("16x16", "16x16"),
    }


def test_splits_of_two_sizes_in_one_directory_are_told_apart(tmp_path: Path):
    staged = flat(tmp_path / "staged", 8)
    shutil.copy(files_of(tmp_path / "others", 16)["val_data.npz"], staged / "val_data.npz")
    document = checked(staged, status=0)
    found = {(each["config"], each["split"]) for each in document["sources"] if each["paths"]}
    assert found == {("8x8", "train"), ("16x16", "validation")}


def test_sizes_that_are_mixed_in_a_split_are_refused_by_build_and_check(tmp_path: Path):
    staged = flat(tmp_path / "staged", 8)
    shutil.copy(files_of(tmp_path / "others", 16)[TRAIN[2]], staged / TRAIN[2])
    message = str(refused(staged, kind=SourceError))
    assert "of several sizes, train_data_batch_1.npz of 8x8 and train_data_batch_3.npz" in message
    assert "of several sizes" in " ".join(check(staged).out.split())
    assert check(staged).status == 1


def test_a_missing_batch_is_named(tmp_path: Path):
    staged = flat(tmp_path / "staged", 8)
    (staged / TRAIN[4]).unlink()
    assert f"{TRAIN[4]} not found" in str(refused(staged, kind=SourceError))
    assert check(staged).status == 1


@pytest.mark.parametrize("data", [b"", b"PK\3\4 no zip", bytes(1000)])
def test_a_file_whose_size_cannot_be_told_is_named(tmp_path: Path, data: bytes):
    staged = flat(tmp_path / "staged", 8)
    (staged / "val_data.npz").write_bytes(data)
    outcome = check(staged)
    assert "val_data.npz" in outcome.out


def test_folders_of_images_are_not_looked_into(tmp_path: Path):
    flat(tmp_path / "staged", 8, "train/n01440764")
    document = checked(tmp_path / "staged", status=1)
    assert "imagenet2012_downsampled" not in {each["dataset"] for each in document["sources"]}
