"""tiny_imagenet: every fault of what is staged ends a build with a sentence, and nothing built."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import pictures
from makers import tiny_imagenet as maker
from makers.tiny_imagenet import ARCHIVE, ROOT
from PIL import Image
from support.built_datasets import example, records, shards
from support.command_line import run
from support.corpora.tiny_imagenet import (
    ANNOTATIONS,
    BOXES,
    IMAGE,
    assert_matches,
    build,
    either_way,
    files,
    refused,
    stage,
)

from imagenet_builders.datasets.tiny_imagenet import examples, staged
from imagenet_builders.errors import SourceError
from imagenet_builders.locate.official import OfficialArchive
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.run.local import LocalWorkers


def names_built(data_dir: Path, split: str) -> list[str]:
    found = []
    for shard in shards(data_dir / "tiny_imagenet" / "1.0.0", split):
        features = [example(record).features.feature for record in records(shard)]
        found += [feature["file_name"].bytes_list.value[0].decode() for feature in features]
    return sorted(found)


def test_an_empty_directory_is_refused_with_all_expected_names(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    sentence = refused(tmp_path / "empty", tmp_path / "data")
    assert "nothing of tiny_imagenet is staged" in sentence
    assert str(tmp_path / "empty" / ARCHIVE) in sentence
    assert str(tmp_path / "empty" / ROOT) in sentence


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_missing_manual_dir_is_refused(tmp_path: Path, name: str):
    (tmp_path / "file").touch()
    assert f"manual_dir {tmp_path / name}" in refused(tmp_path / name, tmp_path / "data")


@either_way
def test_a_class_list_alone_is_not_a_dataset(tmp_path: Path, unpacked: bool):
    changes = dict.fromkeys(name for name in files() if not name.endswith("wnids.txt"))
    sentence = refused(stage(tmp_path / "staged", unpacked, changes), tmp_path / "data")
    assert "but no image" in sentence


def wnids(*, without: int = 0, extra: tuple[str, ...] = ()) -> bytes:
    return "\n".join([*maker.wnids_in_file_order()[without:], *extra]).encode()


@either_way
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wnids(without=1), "it lacks n02124075;"),
        (wnids(without=7), r"it lacks (n[0-9]{8}, ){5}\.\.\.;"),
        # As in the one public copy of the real file that was altered.
        (wnids(extra=("n02480855", "n10148035")), "it also has n02480855, n10148035;"),
        (wnids(extra=("n02124075",)), "it has more than once n02124075;"),
        (wnids(extra=("\x1b[31m" + "x" * 1000,)), "expected wnids, found 1 word of another kind;"),
        (b"", "it lacks n01443537, "),
        (b"\xff\xfe\0", "expected wnids, found bytes that are no text"),
    ],
)
def test_another_class_list_is_refused(
    tmp_path: Path, unpacked: bool, content: bytes, message: str
):
    staged_there = stage(tmp_path / "staged", unpacked, {f"{ROOT}/wnids.txt": content})
    sentence = refused(staged_there, tmp_path / "data")
    assert_matches(sentence, f"wnids.txt.*{message}")


@either_way
@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "train/.DS_Store",
        "train/n01443537/.DS_Store",
        "train/n01443537/images/._n01443537_0.JPEG",
        "train/n01443537/images/Thumbs.db",
        "train/n01443537/images/n01443537_500.JPEG",
        "train/n01443537/images/n01443537_01.JPEG",
        "train/n01443537/images/n01443537_1.webp",
        "train/n01443537/images/n01917289_1.JPEG",
        "train/n01443537/n01917289_boxes.txt",
        "train/n01440764/images/n01440764_0.JPEG",
        "train/classes.txt",
        "val/images/val_10000.JPEG",
        "val/images/test_0.JPEG",
        "test/images/test_-1.JPEG",
        "test/images/more/test_1.JPEG",
        "test/test_annotations.txt",
        "notes.txt",
    ],
)
def test_a_stray_file_is_named(tmp_path: Path, unpacked: bool, name: str):
    staged_there = stage(tmp_path / "staged", unpacked, {f"{ROOT}/{name}": b"something"})
    sentence = refused(staged_there, tmp_path / "data")
    named = name
    if unpacked:  # There, what is in a folder that does not belong is not looked at.
        named = {
            "train/n01440764/images/n01440764_0.JPEG": "train/n01440764",
            "test/images/more/test_1.JPEG": "test/images/more",
        }.get(name, name)
    assert f"{ROOT}/{named}'" in sentence
    if name != "test/images/more/test_1.JPEG":
        assert "does not belong" in sentence


def test_files_that_macos_adds_to_an_archive_are_named_as_such(tmp_path: Path):
    added = {f"__MACOSX/{ROOT}/._wnids.txt": b"\0\5\26\7"}
    sentence = refused(stage(tmp_path / "staged", False, added), tmp_path / "data")
    assert f"'__MACOSX/{ROOT}/._wnids.txt'" in sentence
    assert "a file of the system that packed the archive" in sentence


def test_a_second_dataset_in_the_archive_is_refused(tmp_path: Path):
    added = {f"copy/{ROOT}/wnids.txt": wnids()}
    sentence = refused(stage(tmp_path / "staged", False, added), tmp_path / "data")
    assert f"all of Tiny ImageNet is under {ROOT}/" in sentence


FIRST = "n01443537_0.JPEG\t1\t2\t3\t4\n"
BOTH = f"{FIRST}n01443537_1.JPEG\t1\t2\t3\t4\n"


@either_way
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there are images that this file should describe, but it is missing"),
        (b"", "found none for 'n01443537_0.JPEG' and 1 other"),
        (FIRST.encode(), "expected a line for each image, found none for 'n01443537_1.JPEG'"),
        (f"{BOTH}n01443537_7.JPEG 1 2 3 4".encode(), "a line for 'n01443537_7.JPEG', but there is"),
        (f"{BOTH}n01917289_0.JPEG 1 2 3 4".encode(), "a line for 'n01917289_0.JPEG', but there is"),
        (f"{BOTH}{FIRST}".encode(), "line 3: 'n01443537_0.JPEG' is there twice, first in line 1"),
        (f"{FIRST}n01443537_1.JPEG 1 2 3".encode(), "line 2: expected 5 columns, found 4"),
        (f"{FIRST}n01443537_1.JPEG 1 2 x 4".encode(), "line 2: expected whole numbers .* 'x'"),
        (f"{FIRST}n01443537_1.JPEG 1 2 3 65".encode(), "line 2: expected whole numbers .* '65'"),
        (FIRST.encode() + b"\xff\xff", "not UTF-8"),
        (bytes((16 << 20) + 1), "expected at most 16,777,216 bytes, found 16,777,217"),
    ],
)
def test_a_box_file_that_does_not_match_its_images_is_named(
    tmp_path: Path, unpacked: bool, content: bytes | None, message: str
):
    sentence = refused(stage(tmp_path / "staged", unpacked, {BOXES: content}), tmp_path / "data")
    assert_matches(sentence, f"{BOXES}'.*{message}")


def annotation(number: int, wnid: str = "n03444034") -> str:
    return f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n"


@either_way
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there are images that this file should describe, but it is missing"),
        (annotation(0) + annotation(2), "found none for 'val_1.JPEG'"),
        ("".join(map(annotation, range(5))), "a line for 'val_3.JPEG' and 1 other, but there is"),
        (annotation(0) * 2, "line 2: 'val_0.JPEG' is there twice"),
        (annotation(0, "n01440764"), "line 1: 'n01440764' is not a class of Tiny ImageNet"),
        (annotation(0, "Egyptian_cat"), "line 1: 'Egyptian_cat' is not a class"),
        (annotation(0, ""), "line 1: expected 6 columns, found 5"),
        (annotation(0).replace("62", "62.0"), "expected whole numbers from 0 to 64, found '62.0'"),
    ],
)
def test_annotations_that_do_not_match_the_images_are_named(
    tmp_path: Path, unpacked: bool, content: str | None, message: str
):
    data = None if content is None else content.encode()
    staged_there = stage(tmp_path / "staged", unpacked, {ANNOTATIONS: data})
    assert_matches(refused(staged_there, tmp_path / "data"), f"{ANNOTATIONS}'.*{message}")


@either_way
def test_a_missing_image_is_named(tmp_path: Path, unpacked: bool):
    sentence = refused(stage(tmp_path / "staged", unpacked, {IMAGE: None}), tmp_path / "data")
    assert_matches(sentence, "has a line for 'n01443537_1.JPEG', but there is no such image")


@functools.cache
def picture(size: tuple[int, int] = (64, 64)) -> Image.Image:
    return pictures.draw("goldfish", key="odd", size=size)


BAD_IMAGES = {
    "another size": (pictures.jpeg(picture((64, 63))), "an image of 64 x 63 pixels"),
    "ILSVRC's": (pictures.jpeg(picture((500, 375))), "an image of 500 x 375 pixels"),
    "empty": (b"", r"empty \(0 bytes\)"),
    "zeros": (bytes(2000), "all of its 2,000 bytes are zero"),
    "cut off": (pictures.jpeg(picture())[:-40], "JPEG cut off"),
    "HTML": (b"<!DOCTYPE html><html>not found</html>", "an HTML page"),
}


@either_way
@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_named_or_skipped(tmp_path: Path, unpacked: bool, kind: str):
    data, message = BAD_IMAGES[kind]
    staged_there = stage(tmp_path / "staged", unpacked, {IMAGE: data})
    sentence = refused(staged_there, tmp_path / "data")
    assert_matches(sentence, f"'n01443537_1.JPEG', at byte .*{message}")
    skipping = build(staged_there, tmp_path / "data", "--bad-images", "skip")
    assert skipping.status == 0
    assert "(0 repaired, 1 skipped)" in skipping.summary["train"]
    assert len(names_built(tmp_path / "data", "train")) == 11
    assert "n01443537_1.JPEG" not in names_built(tmp_path / "data", "train")
    assert "              11 boxes" in skipping.err.splitlines()
    [path] = (tmp_path / "data").rglob("provenance.json")
    train = json.loads(path.read_text())["splits"]["train"]
    assert (train["counts"]["boxes"], train["part"]["images"]) == (11, 12)
    shown = run("show", "tiny_imagenet", f"--data-dir={tmp_path / 'data'}", "--count=1").out
    assert "a part of the official split: 11 of what was staged, 12 of 100,000 images" in shown


@either_way
@pytest.mark.parametrize("encode", [pictures.cmyk_jpeg, pictures.png])
def test_a_cmyk_jpeg_or_png_is_repaired(
    tmp_path: Path, unpacked: bool, encode: Callable[[Image.Image], bytes]
):
    staged_there = stage(tmp_path / "staged", unpacked, {IMAGE: encode(picture())})
    outcome = build(staged_there, tmp_path / "data")
    assert outcome.status == 0, outcome
    assert "(1 repaired, 0 skipped)" in outcome.summary["train"]


def test_an_archive_of_the_official_size_must_have_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    size = (stage(tmp_path / "staged", False) / ARCHIVE).stat().st_size
    md5 = "90528d7ca1a48142e341f4ef8d21d0de"
    official = OfficialArchive(ARCHIVE, size, md5, None, None)
    monkeypatch.setattr(staged, "official_archives", lambda: {ARCHIVE: official})
    sentence = refused(tmp_path / "staged", tmp_path / "data")
    assert f"has the official size of {size:,} bytes but not its images" in sentence
    assert "train 12 of 100,000, validation 3 of 10,000, test 2 of 10,000" in sentence
    assert md5 in sentence


@either_way
def test_strict_refuses_a_part(tmp_path: Path, unpacked: bool):
    sentence = refused(stage(tmp_path / "staged", unpacked), tmp_path / "data", "--strict")
    assert_matches(sentence, "only a part of Tiny ImageNet .*194 of the 200 classes.*--strict")


def test_an_unpacked_image_that_changes_after_indexing_is_named(tmp_path: Path):
    stage(tmp_path / "staged", True)
    with LocalWorkers(1) as workers:
        room = BuildContext(tmp_path / "scratch", BuildOptions(), workers)
        [train, *_] = staged.recipes(tmp_path / "staged", room)
    (tmp_path / "staged" / IMAGE).write_bytes(pictures.jpeg(picture()) + b"more")
    with train.index.reader() as reader, pytest.raises(SourceError, match="wait until its"):
        list(examples.make_examples(train.index.table, reader, ImagePolicy("skip"), []))


def test_an_unpacked_folder_without_its_images_is_refused(tmp_path: Path):
    changes = {name: None for name in files() if "/n01443537/images/" in name}
    sentence = refused(stage(tmp_path / "staged", True, changes), tmp_path / "data")
    assert f"{ROOT}/train/n01443537: there is no image in this folder" in sentence
