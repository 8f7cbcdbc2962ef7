"""One SquashFS image that has several splits: which it provides, and what is not taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.checking import checked
from support.command_line import run
from support.corpora import layouts as layouts_corpus
from support.corpora.ilsvrc2012 import COUGAR, TENCH, picture
from support.corpora.layouts import in_classes

TRAIN = {name: picture(name) for name in (f"{TENCH}_7.JPEG", f"{TENCH}_2.JPEG", f"{COUGAR}_3.JPEG")}


def where(manual_dir: Path, directory: Path) -> list[str]:
    return ["--manual-dir", str(manual_dir), "--data-dir", str(directory / "data")]


def test_an_image_of_all_splits_provides_those_that_it_has(tmp_path: Path):
    root = tmp_path / "staged"
    root.mkdir()
    tree = {f"data/train/{name}": image for name, image in in_classes(TRAIN).items()}
    tree |= {"data/doc/train.txt": b"no image", "LICENSE": b"no image"}
    layouts_corpus.write_squashfs(root / "imagenet-1k.sqfs", tree)
    outcome = run("build", "imagenet2012", *where(root, tmp_path), "--workers", "2", "--stage")
    assert outcome.status == 0, outcome
    assert f"train: from {root}/imagenet-1k.sqfs, data/train/ (SquashFS image of all" in outcome.err
    assert "split validation will be missing" in outcome.err
    document = checked(root, status=0)
    assert {row["split"] for row in document["sources"] if row["paths"]} == {"train"}
    assert run("verify", "imagenet2012", "--data-dir", str(tmp_path / "data")).status == 0


@pytest.mark.parametrize("name", ["imagenet100.sqsh", "imagenet-tiny.sqsh", "imagenet21k.sqsh"])
def test_an_image_of_another_dataset_is_not_taken_for_all_splits(tmp_path: Path, name: str):
    tree = {f"train/{path}": image for path, image in in_classes(TRAIN).items()}
    (tmp_path / "staged").mkdir()
    layouts_corpus.write_squashfs(tmp_path / "staged" / name, tree)
    outcome = run("build", "imagenet2012", *where(tmp_path / "staged", tmp_path))
    assert "nothing of imagenet2012 is staged" in outcome.err


@pytest.mark.parametrize("size", [64, 2000])
def test_an_image_of_all_splits_that_is_cut_off_is_refused(tmp_path: Path, size: int):
    root = tmp_path / "staged"
    root.mkdir()
    tree = {f"train/{name}": image for name, image in in_classes(TRAIN).items()}
    layouts_corpus.write_squashfs(root / "imagenet.sqsh", tree)
    data = (root / "imagenet.sqsh").read_bytes()
    (root / "imagenet.sqsh").write_bytes(data[:size])
    outcome = run("build", "imagenet2012", *where(root, tmp_path))
    assert outcome.status == 1
    assert f"{root}/imagenet.sqsh" in outcome.err
    assert "imagenet.sqsh" in checked(root, status=1)["problems"][0]["path"]
