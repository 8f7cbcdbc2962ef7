"""Archives that are packed in other ways than the official ones, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from makers import archives
from support.built_datasets import split_content
from support.command_line import Outcome, run
from support.corpora.ilsvrc2012 import picture
from support.corpora.layouts import by_class, in_classes, packed, pictures
from support.corpora.sites import compressed, hugging_face

NAMES = [f"{wnid}_{n}.JPEG" for wnid in ("n01440764", "n01443537") for n in (1, 2)]
TRAIN = {name: picture(name) for name in NAMES}


def build(root: Path) -> Outcome:
    where = [f"--manual-dir={root / 'staged'}", f"--data-dir={root / 'data'}", "--workers=1"]
    return run("build", "imagenet2012", *where)


def staged_train(root: Path, members: dict[str, bytes]) -> None:
    (root / "staged").mkdir()
    archives.write_tar(root / "staged" / "ILSVRC2012_img_train.tar", members.items())


@pytest.mark.parametrize("in_folders", [False, True])
def test_train_images_need_no_class_archives(tmp_path: Path, in_folders: bool) -> None:
    staged_train(tmp_path, in_classes(TRAIN) if in_folders else TRAIN)
    outcome = build(tmp_path)
    assert outcome.status == 0, outcome.err
    found = split_content(Path(outcome.out.split()[-1]), "train")
    assert {name: image for name, _, image in found} == TRAIN


def test_a_folder_that_is_not_of_the_images_class_is_an_error(tmp_path: Path) -> None:
    staged_train(tmp_path, {f"n01443537/{name}": data for name, data in TRAIN.items()})
    outcome = build(tmp_path)
    assert outcome.status == 1
    assert "expected an image of the folder's class n01443537" in outcome.err


def test_a_compressed_class_archive_behind_a_plain_one_is_said_to_be_compressed(
    tmp_path: Path,
) -> None:
    first, second = (archives.tar_bytes(each.items()) for each in by_class(TRAIN).values())
    staged_train(tmp_path, {"n01440764.tar": first, "n01443537.tar": packed(second, "gzip")})
    outcome = build(tmp_path)
    assert outcome.status == 1
    assert "n01443537.tar" in outcome.err
    assert "gunzip" in outcome.err


def test_a_numbered_archive_that_is_missing_is_named_by_check_and_build(tmp_path: Path) -> None:
    hugging_face(tmp_path / "staged", pictures("imagenet2012"))
    for path in (tmp_path / "staged" / "data").iterdir():
        if path.name in ("train_images_3.tar.gz", "val_images.tar.gz", "test_images.tar.gz"):
            path.unlink()
    for outcome in (run("check", str(tmp_path / "staged")), build(tmp_path)):
        assert outcome.status == 1
        assert "train_images_3.tar.gz is missing" in " ".join((outcome.out + outcome.err).split())


def test_provenance_names_the_archives_and_not_what_they_were_unpacked_to(tmp_path: Path) -> None:
    compressed(tmp_path / "staged", pictures("imagenet2012"))
    outcome = build(tmp_path)
    assert outcome.status == 0, outcome.err
    document = json.loads((Path(outcome.out.split()[-1]) / "provenance.json").read_text())
    named = {
        source["path"]: source["size"]
        for split in document["splits"].values()
        for source in split["sources"]
    }
    there = {str(path): path.stat().st_size for path in (tmp_path / "staged").iterdir()}
    assert named == there
