"""Archives and shards in a folder for each split are read where they lie, all splits at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import run
from support.corpora import sites
from support.corpora.layouts import DUMMY, pictures

Names = dict[str, tuple[str, ...]]


def moved(root: Path, folders: Names) -> None:
    """Moves files into folders by the beginnings of their names."""
    for folder, beginnings in folders.items():
        (root / folder).mkdir()
        for path in sorted(root.iterdir()):
            if path.is_file() and path.name.startswith(beginnings):
                path.rename(root / folder / path.name)


def official(root: Path) -> None:
    sites.official(root, pictures("imagenet2012"))
    train, val, test = (f"ILSVRC2012_img_{part}" for part in ("train", "val", "test"))
    moved(root, {"train": (train,), "val": (val,), "test": (test,)})


def slim(root: Path) -> None:
    """As Cloud TPU's `imagenet_to_gcs.py` leaves them."""
    sites.slim_itself(root, pictures("imagenet2012"))
    moved(root, {"train": ("train-",), "validation": ("validation-",)})


def timm(root: Path) -> None:
    sites.timm(root, pictures("imagenet2012"))
    moved(root, {"train": ("imagenet1k-train",), "validation": ("imagenet1k-validation",)})


def squashed(root: Path) -> None:
    sites.hyak(root, pictures("imagenet2012"))
    moved(root, {"train": ("train.",), "val": ("val.",), "test": ("test.",)})


def shards(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.rglob("*.tfrecord-*-of-?????")}


def build(dataset: str, manual_dir: Path, data_dir: Path) -> dict[str, bytes]:
    arguments = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir), "--workers", "1"]
    outcome = run("build", dataset, *arguments)
    assert outcome.status == 0, outcome.err
    return shards(data_dir)


@pytest.mark.parametrize("stage", [official, slim, timm, squashed])
def test_splits_in_folders_give_the_official_bytes(stage: Callable[[Path], None], tmp_path: Path):
    stage(tmp_path / "staged")
    checked = run("check", str(tmp_path / "staged"))
    assert checked.status == 0, checked.out
    found = build("imagenet2012", tmp_path / "staged", tmp_path / "built")
    expected = build("imagenet2012", DUMMY / "imagenet2012", tmp_path / "official")
    assert len(found) == (3 if stage in (official, squashed) else 2)
    assert found == {name: expected[name] for name in found}


def test_boxes_are_found_in_the_folders_of_splits(tmp_path: Path):
    staged = tmp_path / "staged"
    shutil.copytree(DUMMY / "imagenet2012_localization", staged)
    train = ("ILSVRC2012_img_train", "ILSVRC2012_bbox_train")
    moved(staged, {"train": train, "val": ("ILSVRC2012_img_val", "ILSVRC2012_bbox_val")})
    found = build("imagenet2012_localization", staged, tmp_path / "built")
    dataset = "imagenet2012_localization"
    assert found == build(dataset, DUMMY / dataset, tmp_path / "official")


def test_downsampled_images_are_found_in_folders_of_splits_and_of_parts(tmp_path: Path):
    staged = tmp_path / "staged"
    shutil.copytree(DUMMY / "imagenet2012_downsampled", staged)
    for path in staged.glob("*.zip"):
        if not path.name.startswith("Imagenet64"):
            path.unlink()
    parts = {f"train64_{part}": (f"Imagenet64_train_part{part}",) for part in (1, 2)}
    moved(staged, {**parts, "val64": ("Imagenet64_val",)})
    found = build("imagenet2012_downsampled/64x64", staged, tmp_path / "built")
    dataset = "imagenet2012_downsampled"
    expected = build(f"{dataset}/64x64", DUMMY / dataset, tmp_path / "official")
    assert found == expected
    assert len(found) == 2


def test_what_lies_in_two_directories_is_advised_to_be_put_together(tmp_path: Path):
    """Of no use is the advice to give one or the other, each of which has one split."""
    staged = tmp_path / "staged"
    sites.official(staged, pictures("imagenet2012"))
    moved(staged, {"first": ("ILSVRC2012_img_train",), "second": ("ILSVRC2012_img_val",)})
    for path in staged.glob("*.tar"):
        path.unlink()
    checked = run("check", str(staged))
    assert checked.status == 1
    said = " ".join(checked.out.split())
    assert "make a directory with links to all that is in" in said
    assert " instead" not in said
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in staged.rglob("*.tar"):
        (linked / path.name).symlink_to(path)
    assert run("check", str(linked)).status == 0
