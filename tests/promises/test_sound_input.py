"""What is sound is read, or called what it is; nobody is told to throw it away or copy it anew."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.built_datasets import files_of
from support.checking import check, checked, problem, stage
from support.command_line import run
from support.corpora.ilsvrc2012 import TRAIN, VAL
from support.losing import LOSES_WORK
from support.paths import DUMMY_DATA

TINY = "tiny-imagenet-200.zip"
BOXES = "imagenet2012_localization"


def built(manual_dir: Path, data_dir: Path, dataset: str) -> dict[str, bytes]:
    """The shards of a dataset built from a directory."""
    options = ("--manual-dir", str(manual_dir), "--data-dir", str(data_dir), "--workers", "1")
    outcome = run("build", dataset, *options)
    assert outcome.status == 0, outcome.err
    files = files_of(Path(outcome.out.splitlines()[-1]))
    return {name: data for name, data in files.items() if ".tfrecord-" in name}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The shards that the dummy archives give, as they are."""
    out = tmp_path_factory.mktemp("official")
    names = ("imagenet2012", BOXES, "tiny_imagenet")
    return {name: built(DUMMY_DATA / name, out, name) for name in names}


def unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(target, filter="data")
    archive.unlink()


def unpack_images(directory: Path) -> None:
    """The archives of images to class folders and a folder, as scripts do."""
    unpack(directory / TRAIN, directory / "train")
    for archive in (directory / "train").iterdir():
        unpack(archive, directory / "train" / archive.stem)
    unpack(directory / VAL, directory / "val")


# --- boxes ----------------------------------------------------------------------------------------


def boxes_in_place(directory: Path) -> None:
    """`tar -xzf` where the archives lie: class folders, and a folder val."""
    for name in ("ILSVRC2012_bbox_train_v2.tar.gz", "ILSVRC2012_bbox_val_v3.tgz"):
        unpack(directory / name, directory)


def boxes_among_images(directory: Path) -> None:
    """Both unpacked into the same folders."""
    unpack_images(directory)
    unpack(directory / "ILSVRC2012_bbox_train_v2.tar.gz", directory / "train")
    unpack(directory / "ILSVRC2012_bbox_val_v3.tgz", directory)


@pytest.mark.parametrize("spread", [boxes_in_place, boxes_among_images])
def test_boxes_unpacked_anywhere_are_boxes(
    spread: Callable[[Path], None], official: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    directory = stage(tmp_path / "staged", BOXES)
    spread(directory)
    out = check(directory)
    assert out.status == 0, out.out
    assert LOSES_WORK.search(out.out.replace("a copy that was cut off", "")) is None
    rows = checked(directory, status=0)["sources"]
    assert {row["dataset"] for row in rows} == {"imagenet2012", BOXES}
    assert built(directory, tmp_path / "out", BOXES) == official[BOXES]
    assert built(directory, tmp_path / "out", "imagenet2012")


def test_class_folders_of_annotations_are_no_images(tmp_path: Path) -> None:
    directory = stage(tmp_path, BOXES)
    unpack(directory / "ILSVRC2012_bbox_train_v2.tar.gz", directory / "train")
    [row] = [
        row
        for row in checked(directory, "imagenet2012", status=0)["sources"]
        if row["split"] == "train"
    ]
    assert row["paths"] == [str(directory / TRAIN)]


# --- archives that somebody packed again ----------------------------------------------------------


def padded(directory: Path) -> None:
    """Records of 2 MiB, as for a tape: `tar -b 4096`."""
    for name in (TRAIN, VAL):
        data = (directory / name).read_bytes()
        (directory / name).write_bytes(data + bytes(-len(data) % (2 << 20)))


def with_backslashes(directory: Path) -> None:
    """Names as Windows' tools write them."""
    with tarfile.open(directory / VAL) as before:
        members = [(each, before.extractfile(each)) for each in before.getmembers()]
        with tarfile.open(directory / "new", "w") as after:
            for info, body in members:
                info.name = f"val\\{info.name}"
                after.addfile(info, body)
    (directory / "new").rename(directory / VAL)


@pytest.mark.parametrize("change", [padded, with_backslashes])
def test_a_tar_that_was_packed_again_is_read(
    change: Callable[[Path], None], official: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    directory = stage(tmp_path / "staged", "imagenet2012")
    change(directory)
    assert checked(directory, status=0)
    assert built(directory, tmp_path / "out", "imagenet2012") == official["imagenet2012"]


def zipped_again(directory: Path, method: int, rename: Callable[[str], str] = str) -> None:
    with (
        zipfile.ZipFile(directory / TINY) as before,
        zipfile.ZipFile(directory / "new", "w", method) as after,
    ):
        for info in before.infolist():
            after.writestr(rename(info.filename), before.read(info))
    (directory / "new").rename(directory / TINY)


def test_a_zip_of_windows_is_read(official: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    directory = stage(tmp_path / "staged", "tiny_imagenet")
    zipped_again(directory, zipfile.ZIP_DEFLATED, lambda name: name.replace("/", "\\"))
    assert checked(directory, status=0)
    assert built(directory, tmp_path / "out", "tiny_imagenet") == official["tiny_imagenet"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_is_not_read_is_the_only_reason(tmp_path: Path, method: int) -> None:
    directory = stage(tmp_path, "tiny_imagenet")
    zipped_again(directory, method)
    said = problem(checked(directory, status=1), severity="error", path=TINY)
    assert "compressed in a way that is not read here" in said["found"]
    assert said["action"] == "zip it again with deflate or without compression"
    assert LOSES_WORK.search(" ".join(map(str, said.values()))) is None


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs zip")
@pytest.mark.parametrize("options", [("-P", "secret"), ("-s", "64k")])
def test_an_encrypted_or_split_zip_is_called_that(tmp_path: Path, options: tuple[str, str]) -> None:
    directory = stage(tmp_path, "tiny_imagenet")
    zipped_again(directory, zipfile.ZIP_STORED)
    with zipfile.ZipFile(directory / TINY) as archive:
        archive.extractall(tmp_path / "x")
    (directory / TINY).unlink()
    command = ["zip", "-q", "-r", "-0", *options, str(directory / TINY), "."]
    subprocess.run(command, cwd=tmp_path / "x", check=True)
    shutil.rmtree(tmp_path / "x")
    said = problem(checked(directory, status=1), severity="error", path=TINY)
    assert "encrypted" in said["found"] or "one part of a zip archive" in said["found"]
    assert "decrypt" in said["action"] or "zip -s 0" in said["action"]
    assert LOSES_WORK.search(" ".join(map(str, said.values()))) is None


# --- archives under another name ------------------------------------------------------------------


def compressed(directory: Path, compress: Callable[[bytes], bytes], ending: str) -> None:
    (directory / f"{TRAIN}{ending}").write_bytes(compress((directory / TRAIN).read_bytes()))
    (directory / TRAIN).unlink()


def as_zip(directory: Path) -> None:
    with zipfile.ZipFile(directory / "ILSVRC2012_img_train.zip", "w") as archive:
        archive.write(directory / TRAIN, "n01440764/n01440764_18.JPEG")
    (directory / TRAIN).unlink()


def in_parts(directory: Path) -> None:
    data = (directory / TRAIN).read_bytes()
    for number, part in enumerate((data[:100_000], data[100_000:]), start=1):
        (directory / f"{TRAIN}.{number:03}").write_bytes(part)
    (directory / TRAIN).unlink()


def in_archives(directory: Path) -> None:
    """Two tars, each with half of the classes."""
    with tarfile.open(directory / TRAIN) as before:
        members = [(each, before.extractfile(each)) for each in before.getmembers()]
        for number in (1, 2):
            with tarfile.open(directory / f"ILSVRC2012_img_train_part{number}.tar", "w") as after:
                for info, body in members[number - 1 :: 2]:
                    after.addfile(info, body)
    (directory / TRAIN).unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (as_zip, ["ILSVRC2012_img_train.zip is a zip archive", "unpack it into a folder"]),
        (
            in_parts,
            [
                f"{TRAIN}.001, {TRAIN}.002 are parts of {TRAIN}",
                f"cat {TRAIN}.001 {TRAIN}.002 > {TRAIN}",
            ],
        ),
        (in_archives, ["are archives of their own", "unpack all of them into one folder"]),
        (
            lambda directory: compressed(directory, bz2.compress, ".old"),
            ["is bzip2-compressed data", "bunzip2"],
        ),
        (
            lambda directory: compressed(directory, lzma.compress, ".bak"),
            ["is xz-compressed data", "unxz"],
        ),
        (
            lambda directory: compressed(directory, gzip.compress, ".old"),
            ["is gzip-compressed data", "gunzip -c"],
        ),
        (
            lambda directory: (directory / TRAIN).rename(directory / f"{TRAIN}.1"),
            ["is named in another way", "a link to it with the name"],
        ),
    ],
)
def test_an_archive_under_another_name_is_called_what_it_is(
    change: Callable[[Path], object], words: list[str], tmp_path: Path
) -> None:
    directory = stage(tmp_path, "imagenet2012")
    change(directory)
    said = problem(checked(directory, "imagenet2012", status=0), expected="split train of")
    text = " ".join(map(str, said.values()))
    assert [each for each in words if each not in text] == []
    assert LOSES_WORK.search(text) is None


def test_parts_put_together_as_the_message_says_are_read(
    official: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    directory = stage(tmp_path / "staged", "imagenet2012")
    in_parts(directory)
    said = problem(checked(directory, "imagenet2012", status=0), expected="split train of")
    command = said["action"].partition("order: ")[2]
    subprocess.run(command, shell=True, cwd=directory, check=True)
    assert built(directory, tmp_path / "out", "imagenet2012") == official["imagenet2012"]


# --- folders --------------------------------------------------------------------------------------


def test_class_folders_one_too_deep_are_to_be_moved_up(tmp_path: Path) -> None:
    directory = stage(tmp_path, "imagenet2012")
    unpack_images(directory)
    train = directory / "train"
    for folder in sorted(train.iterdir()):
        (train / "x").mkdir()
        folder.rename(train / "x" / folder.name)
        (train / "x").rename(folder)
    said = problem(checked(directory, "imagenet2012", status=1), severity="error")
    assert "a folder in the folder of the same class" in said["found"]
    assert said["action"] == "if images of the class are in it, move them one folder up"
    outcome = run(
        *(
            "build",
            "imagenet2012",
            "--manual-dir",
            str(directory),
            "--data-dir",
            str(tmp_path / "o"),
        )
    )
    assert outcome.status == 1
    for text in (" ".join(map(str, said.values())), outcome.err):
        assert "move them one folder up" in text
        assert LOSES_WORK.search(text) is None
