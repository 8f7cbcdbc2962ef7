"""imagenet21k_winter21 from timm's WebDataset shards: labels, bases, WEBP, what is not whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from makers import archives, pictures
from makers.ilsvrc2012 import Stored
from makers.imagenet21k_winter21 import NUMBERS, WORDS, write_shards
from support.checking import check, checked, problem
from support.command_line import ERROR, run
from support.corpora.winter21 import all_records, build_here, make

CLASSES = tuple(WORDS)[2:6]
STEM = "imagenet_w21-train"
WHOLE = "imagenet21k_winter21/whole"


def images() -> dict[str, Stored]:
    return {
        f"{wnid}_{number}.JPEG": Stored(wnid, data)
        for wnid, number, data in ((wnid, n, _picture(wnid, n)) for wnid in CLASSES for n in (1, 2))
    }


def _picture(wnid: str, number: int) -> bytes:

    return pictures.jpeg(pictures.draw(WORDS[wnid], key=f"{wnid}/{number}", size=(48, 40)))


def stage(directory: Path, *, base: int = 0, count: int = 2) -> Path:
    directory.mkdir()
    write_shards(directory, STEM, images(), NUMBERS, base=base, count=count)
    return directory


def refused(manual_dir: Path, data_dir: Path, *options: str) -> str:
    where = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir), "--workers", "1"]
    outcome = run("build", WHOLE, *where, *options)
    assert outcome.status == 1, outcome
    assert not list(data_dir.glob("imagenet21k_winter21/whole/1*"))
    [line] = [line for line in outcome.err.splitlines() if line.startswith(ERROR)]
    return line


@pytest.mark.parametrize("base", [0, 1])
def test_whatever_the_classes_are_counted_from_labels_are_those_of_the_names(
    tmp_path: Path, base: int
):
    by_name = all_records(build_here("whole", stage(tmp_path / "0"), tmp_path / "built0"))
    staged = stage(tmp_path / "staged", base=base)
    options = {"workers": 2, "stage": True, "scratch_dir": str(tmp_path)}
    built = build_here("whole", staged, tmp_path / "built", options=options)
    assert all_records(built) == by_name
    assert run("verify", WHOLE, "--data-dir", str(tmp_path / "built")).status == 0


def test_a_build_says_and_records_that_bytes_are_not_the_official_ones(tmp_path: Path):
    where = ["--manual-dir", str(stage(tmp_path / "staged")), "--data-dir", str(tmp_path / "data")]
    outcome = run("build", WHOLE, *where, "--workers", "1")
    assert outcome.status == 0, outcome
    assert "so bytes are not the official ones" in outcome.err
    assert "expected 13,151,276 images in all shards, found 8" in outcome.err
    [path] = tmp_path.rglob("provenance.json")
    layout = json.loads(path.read_text())["splits"]["train"]["layout"]
    assert layout.startswith("WebDataset shards of timm (webdataset); images with a side of")


def test_the_official_archives_are_preferred(tmp_path: Path):
    make(tmp_path / "staged", "whole", "tar.gz")
    write_shards(tmp_path / "staged", STEM, images(), NUMBERS)
    document = checked(tmp_path / "staged", status=0)
    [row] = [row for row in document["sources"] if row["preferred"]]
    assert row["kind"] == "tar.gz"


def with_label(directory: Path, label: int, wnid: str = CLASSES[0], ending: str = "jpg") -> Path:
    """A third shard, of one image."""
    key = f"{wnid}_77"
    members: list[archives.Member] = [
        (f"{key}.cls", str(label).encode()),
        (f"{key}.{ending}", images()[f"{CLASSES[0]}_1.JPEG"].data),
    ]
    archives.write_tar(directory / f"{STEM}-0002.tar", members)
    return directory


def test_a_class_that_fits_neither_count_is_refused(tmp_path: Path):
    number = NUMBERS[CLASSES[0]]
    sentence = refused(with_label(stage(tmp_path / "staged"), number + 2), tmp_path / "data")
    expected = f"expected class {number} (counted from 0) or {number + 1} (counted from 1)"
    assert expected in sentence
    assert f"found {number + 2}" in sentence
    assert f"{STEM}-0002.tar" in sentence


def test_shards_that_count_from_two_numbers_are_refused(tmp_path: Path):
    staged = with_label(stage(tmp_path / "staged"), NUMBERS[CLASSES[0]] + 1)
    sentence = refused(staged, tmp_path / "data")
    assert f"{STEM}-0002.tar: this shard counts classes from 1, where" in sentence
    assert f"{STEM}-0000.tar counts them from 0" in sentence


def test_one_shard_that_counts_from_two_numbers_is_refused(tmp_path: Path):
    staged = tmp_path / "staged"
    staged.mkdir()
    names = list(images())[:2]
    members: list[archives.Member] = []
    for base, name in enumerate(names):
        key = name.removesuffix(".JPEG")
        label = NUMBERS[str(images()[name].wnid)] + base
        members += [(f"{key}.cls", str(label).encode()), (f"{key}.jpg", images()[name].data)]
    archives.write_tar(staged / f"{STEM}-0000.tar", members)
    assert "that of the image's name, found" in refused(staged, tmp_path / "data")


def test_a_class_of_another_release_is_named_as_that(tmp_path: Path):
    staged = with_label(stage(tmp_path / "staged"), 5, wnid="n09537660")
    assert "the fall 2011 release (21,841 classes)" in refused(staged, tmp_path / "data")


def test_webp_images_are_refused_with_the_reason_by_build_and_check(tmp_path: Path):
    staged = tmp_path / "staged"
    staged.mkdir()
    with_label(staged, NUMBERS[CLASSES[0]], ending="webp").joinpath(f"{STEM}-0002.tar").rename(
        staged / f"{STEM}-0000.tar"
    )
    sentence = refused(staged, tmp_path / "data")
    assert "found WEBP images, which cannot be stored as the JPEG images" in sentence
    document = checked(staged, status=1)
    assert problem(document, expected="JPEG images")["severity"] == "error"


def test_a_missing_shard_is_named_by_build_and_check(tmp_path: Path):
    staged = stage(tmp_path / "staged", count=3)
    (staged / f"{STEM}-0001.tar").unlink()
    assert f"{STEM}-0001.tar is missing" in refused(staged, tmp_path / "data")
    assert f"{STEM}-0001.tar is missing" in " ".join(check(staged).out.split())
    # Other sources are read in its place.
    make(staged, "whole", "class tars")
    where = ["--manual-dir", str(staged), "--data-dir", str(tmp_path / "data"), "--workers", "1"]
    assert run("build", WHOLE, *where).status == 0


def test_strict_refuses_a_part(tmp_path: Path):
    sentence = refused(stage(tmp_path / "staged"), tmp_path / "data", "--strict")
    assert "expected 13,151,276 images in all shards, found 8; stage them all" in sentence


def test_shards_that_this_package_has_exported_are_not_said_to_be_smaller(tmp_path: Path):
    staged, out = tmp_path / "staged", tmp_path / "out"
    make(staged, "whole", "class tars")
    to = ("--to", "webdataset", "--manual-dir", str(staged), "--out", str(out), "--workers=1")
    assert run("export", WHOLE, *to).status == 0
    assert "less than 32 pixels" not in check(out).out
    where = ("--manual-dir", str(out), "--data-dir", str(tmp_path / "data"), "--workers=1")
    outcome = run("build", WHOLE, *where)
    assert (outcome.status, "32 pixels" in outcome.err) == (0, False), outcome.err
    [path] = (tmp_path / "data").rglob("provenance.json")
    assert "32 pixels" not in path.read_text()
