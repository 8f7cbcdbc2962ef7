"""tiny_imagenet as people pack it again and as scripts sort it: the same dataset as of the zip."""

from __future__ import annotations

import functools
import gzip
import json
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from makers import archives
from makers.tiny_imagenet import ROOT
from support.built_datasets import example, records, shards, split_content
from support.checking import check, checked, problem
from support.command_line import run
from support.corpora.tiny_imagenet import (
    ANNOTATIONS,
    BOXES,
    assert_matches,
    build,
    files,
    refused,
    stage,
)

from imagenet_builders import labels

Files = Mapping[str, bytes]


def classes_of_validation() -> dict[str, str]:
    """The class of each validation image, as the annotations say it."""
    lines = files()[ANNOTATIONS].decode().splitlines()
    return {name: wnid for name, wnid, *_ in (line.split("\t") for line in lines)}


def renamed(pattern: str, name_of: Callable[[re.Match[str]], str]) -> Files:
    """The files of the small Tiny ImageNet, some of them at other places."""
    return {re.sub(pattern, name_of, name): data for name, data in files().items()}


def validation_in(folder: str) -> Files:
    """Validation images in folders such as `val/{wnid}`."""
    wnids = classes_of_validation()
    return renamed(
        f"{ROOT}/val/images/(.*)",
        lambda match: f"{ROOT}/{folder.format(wnid=wnids[match[1]])}/{match[1]}",
    )


def flat(split: str) -> Files:
    """A split without the folders `images/`."""
    return renamed(f"({ROOT}/{split}/.*)images/", lambda match: match[1])


SORTED: dict[str, Callable[[], Files]] = {
    "val/<wnid>": lambda: validation_in("val/{wnid}"),
    "val/<wnid>/images": lambda: validation_in("val/{wnid}/images"),
    "val/images/<wnid>": lambda: validation_in("val/images/{wnid}"),
    "train without images/": lambda: flat("train"),
    "val without images/": lambda: flat("val"),
    "test without images/": lambda: flat("test"),
}


def stage_files(directory: Path, made: Files) -> Path:
    for name, data in made.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def tar_of(made: Files, prefix: str = "") -> bytes:
    return archives.tar_bytes((prefix + name, data) for name, data in made.items())


def stage_tar(name: str, prefix: str = "") -> Callable[[Path], Path]:
    data = functools.partial(tar_of, files(), prefix)
    return lambda path: stage_files(
        path, {name: gzip.compress(data()) if name.endswith("gz") else data()}
    )


PACKED: dict[str, Callable[[Path], Path]] = {
    "tar": stage_tar(f"{ROOT}.tar"),
    "tar from .": stage_tar(f"{ROOT}.tar", "./"),
    "tar.gz": stage_tar(f"{ROOT}.tar.gz"),
    "tgz": stage_tar(f"{ROOT}.tgz"),
    "sorted tar": lambda path: stage_files(
        path, {f"{ROOT}.tar": tar_of(validation_in("val/{wnid}"))}
    ),
}

ALL: dict[str, Callable[[Path], Path]] = {
    **{
        name: lambda path, made=made: stage_files(path, made())  # type: ignore[misc]
        for name, made in SORTED.items()
    },
    **PACKED,
}


def content(data_dir: Path) -> dict[str, list[bytes]]:
    """All records of a build, by file."""
    built = data_dir / "tiny_imagenet" / "1.0.0"
    return {shard.name: records(shard) for shard in shards(built)}


def features(data_dir: Path, split: str) -> dict[str, tuple[int, tuple[float, ...]]]:
    """Label and box of each image of a split."""
    found = {}
    for shard in shards(data_dir / "tiny_imagenet" / "1.0.0", split):
        for record in records(shard):
            feature = example(record).features.feature
            [name] = feature["file_name"].bytes_list.value
            [label] = feature["label"].int64_list.value
            found[name.decode()] = label, tuple(feature["bbox"].float_list.value)
    return found


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built of the official archive."""
    path = tmp_path_factory.mktemp("official")
    assert build(stage(path / "staged", False), path / "data").status == 0
    return path / "data"


@pytest.mark.parametrize("packing", ALL)
@pytest.mark.parametrize(
    "options", [("--workers", "1"), ("--workers", "2", "--stage")], ids=["1", "2 with --stage"]
)
def test_every_packing_gives_the_dataset_of_the_official_archive(
    official: Path, tmp_path: Path, packing: str, options: tuple[str, ...]
):
    staged = ALL[packing](tmp_path / "staged")
    outcome = build(staged, tmp_path / "data", *options, "--scratch-dir", str(tmp_path))
    assert outcome.status == 0, outcome
    assert content(tmp_path / "data") == content(official)
    assert run("verify", "tiny_imagenet", "--data-dir", str(tmp_path / "data")).status == 0


@pytest.mark.parametrize("packing", ALL)
def test_check_counts_every_packing_and_calls_nothing_in_it_foreign(tmp_path: Path, packing: str):
    document = checked(ALL[packing](tmp_path / "staged"), status=0)
    assert {row["dataset"] for row in document["sources"]} == {"tiny_imagenet"}
    if not packing.endswith("gz"):  # What is in it is known only once it is unpacked.
        counted = {row["split"]: row["images_found"] for row in document["sources"]}
        assert counted == {"train": 12, "validation": 3, "test": 2}
    text = json.dumps(document["problems"])
    assert "_boxes.txt" not in text
    assert "does not belong" not in text


@pytest.mark.parametrize("packing", ["tar", "tar.gz"])
def test_provenance_names_the_archive(tmp_path: Path, packing: str):
    staged = ALL[packing](tmp_path / "staged")
    assert build(staged, tmp_path / "data").status == 0
    document = json.loads((tmp_path / "data/tiny_imagenet/1.0.0/provenance.json").read_text())
    for split in document["splits"].values():
        assert [each["path"] for each in split["sources"]] == [str(staged / f"{ROOT}.{packing}")]
    assert not list((tmp_path / "data").rglob("*unpacked*"))


def test_images_that_were_moved_in_part_are_read_from_both_places(official: Path, tmp_path: Path):
    wnid = classes_of_validation()["val_0.JPEG"]
    made = dict(files())
    made[f"{ROOT}/val/{wnid}/val_0.JPEG"] = made.pop(f"{ROOT}/val/images/val_0.JPEG")
    assert build(stage_files(tmp_path / "staged", made), tmp_path / "data").status == 0
    assert content(tmp_path / "data") == content(official)


def test_a_folder_that_a_script_has_emptied_is_passed_over(official: Path, tmp_path: Path):
    staged = stage_files(tmp_path / "staged", validation_in("val/{wnid}"))
    (staged / ROOT / "val" / "images").mkdir()
    assert build(staged, tmp_path / "data").status == 0
    assert content(tmp_path / "data") == content(official)


@pytest.mark.parametrize("folder", ["val/{wnid}", "val/{wnid}/images", "val/images/{wnid}"])
def test_a_class_folder_that_contradicts_the_annotations_is_named(tmp_path: Path, folder: str):
    wnids = dict(classes_of_validation())
    right = wnids["val_0.JPEG"]
    wrong = next(wnid for wnid in labels.wnids("tiny_imagenet") if wnid != right)
    made = dict(validation_in(folder))
    name = f"{ROOT}/{folder.format(wnid=wrong)}/val_0.JPEG"
    made[name] = made.pop(f"{ROOT}/{folder.format(wnid=right)}/val_0.JPEG")
    sentence = refused(stage_files(tmp_path / "staged", made), tmp_path / "data")
    assert_matches(
        sentence,
        f"{name}'.*of class {right}, as {re.escape('val/val_annotations.txt')}"
        f" says.*found it in that of {wrong}",
    )


def test_sorted_images_without_annotations_have_labels_and_no_boxes(official: Path, tmp_path: Path):
    made = {n: data for n, data in validation_in("val/{wnid}").items() if n != ANNOTATIONS}
    staged = stage_files(tmp_path / "staged", made)
    outcome = build(staged, tmp_path / "data")
    assert outcome.status == 0
    assert "there is no val/val_annotations.txt, so every bbox of validation will be zeros" in (
        outcome.err
    )
    expected = {name: (label, (0.0,) * 4) for name, (label, _) in _of(official).items()}
    assert _of(tmp_path / "data") == expected
    provenance = json.loads((tmp_path / "data/tiny_imagenet/1.0.0/provenance.json").read_text())
    assert provenance["splits"]["validation"]["counts"]["boxes"] == 0
    assert run("verify", "tiny_imagenet", "--data-dir", str(tmp_path / "data")).status == 0
    assert "no val/val_annotations.txt" in refused(staged, tmp_path / "strict", "--strict")
    assert "no val/val_annotations.txt" in " ".join(check(staged).out.split())


def _of(data_dir: Path) -> dict[str, tuple[int, tuple[float, ...]]]:
    return features(data_dir, "validation")


def test_train_images_without_any_file_of_boxes_have_none(tmp_path: Path):
    made = {name: data for name, data in flat("train").items() if "_boxes.txt" not in name}
    outcome = build(stage_files(tmp_path / "staged", made), tmp_path / "data")
    assert outcome.status == 0
    assert "there is no file such as train/n01443537/n01443537_boxes.txt" in outcome.err
    found = features(tmp_path / "data", "train")
    assert len(found) == 12
    assert {box for _, box in found.values()} == {(0.0, 0.0, 0.0, 0.0)}


@pytest.mark.parametrize("unpacked", [False, True], ids=["archive", "folder"])
@pytest.mark.parametrize("name", [BOXES, ANNOTATIONS])
def test_check_names_a_missing_text_as_a_build_does(tmp_path: Path, unpacked: bool, name: str):
    staged = stage(tmp_path / "staged", unpacked, {name: None})
    assert f"{name}'" in refused(staged, tmp_path / "data")
    document = checked(staged, status=1)
    assert name in problem(document, severity="error")["found"]


TWICE = [
    "train/n01443537/n01443537_1.JPEG",
    "val/n01443537/images/val_0.JPEG",
    "test/test_0.JPEG",
]


@pytest.mark.parametrize("unpacked", [False, True], ids=["archive", "folder"])
@pytest.mark.parametrize("name", TWICE)
def test_an_image_in_two_folders_is_named(tmp_path: Path, unpacked: bool, name: str):
    staged = stage(tmp_path / "staged", unpacked, {f"{ROOT}/{name}": b"something"})
    sentence = refused(staged, tmp_path / "data")
    assert "this image is there twice, first as" in sentence
    assert name in sentence


def test_a_class_folder_without_images_is_named(tmp_path: Path):
    staged = stage_files(tmp_path / "staged", validation_in("val/{wnid}"))
    (staged / ROOT / "val" / "n12267677").mkdir(exist_ok=True)
    for path in (staged / ROOT / "val" / "n12267677").iterdir():
        path.unlink()
    sentence = refused(staged, tmp_path / "data")
    assert f"{ROOT}/val/n12267677: there is no image in this folder" in sentence


def with_member(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar with a further member."""
    member = archives.header(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return archives.tar_bytes([*files().items(), (member, b"")])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            with_member(f"{ROOT}/wnids.txt", tarfile.SYMTYPE),
            "a symlink where only plain files belong",
        ),
        (with_member("../wnids.txt"), "a path that leads out of the archive"),
        (with_member(f"{ROOT}/notes.txt"), "nothing of Tiny ImageNet has this"),
        (with_member(f"{ROOT}/wnids.txt"), "it is there twice, first at byte"),
        (tar_of(files())[:20_000], "cut off|end"),
    ],
    ids=["link", "outside", "stray", "twice", "cut off"],
)
def test_a_tar_that_holds_what_it_should_not_is_refused_by_check_and_build(
    tmp_path: Path, data: bytes, message: str
):
    staged = stage_files(tmp_path / "staged", {f"{ROOT}.tar": data})
    assert_matches(refused(staged, tmp_path / "data"), message)
    assert check(staged).status == 1


@pytest.mark.parametrize("at", [100, 5_000])
def test_a_gzip_file_that_is_cut_off_is_refused(tmp_path: Path, at: int):
    made = {f"{ROOT}.tar.gz": gzip.compress(tar_of(files()))[:at]}
    sentence = refused(stage_files(tmp_path / "staged", made), tmp_path / "data")
    assert f"{ROOT}.tar.gz" in sentence


def test_class_folders_that_this_package_has_exported_are_read(tmp_path: Path) -> None:
    """Its lists do not belong in the folder, but are the export's own."""
    staged, out = stage(tmp_path / "staged", unpacked=False), tmp_path / "out"
    to = ("--to", "imagefolder", "--manual-dir", str(staged), "--out", str(out), "--workers=1")
    assert run("export", "tiny_imagenet", *to).status == 0
    outcome = build(out, tmp_path / "found")
    assert outcome.status == 0, outcome.err
    assert build(staged, tmp_path / "expected").status == 0
    built = "tiny_imagenet/1.0.0"
    for split in ("train", "validation", "test"):
        found = split_content(tmp_path / "found" / built, split)
        assert found
        assert found == split_content(tmp_path / "expected" / built, split)
    (out / "notes.txt").write_bytes(b"1")
    assert "does not belong in the folder" in refused(out, tmp_path / "again")
