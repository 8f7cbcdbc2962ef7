"""Files that macOS and Windows leave are passed over with a warning, in every kind of source."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import archives
from support.command_line import Outcome, run
from support.corpora.layouts import (
    by_class,
    in_classes,
    pictures,
    write,
    write_squashfs,
    write_webdataset,
)
from support.corpora.tar_headers import file_in

APPLE_DOUBLE = b"\0\5\x16\7" + bytes(90)


def with_left(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    """Each image after the file that macOS puts beside it, and one file more."""
    found: dict[str, bytes] = {}
    for path, data in files.items():
        folder, slash, image = path.rpartition("/")
        found[f"{folder}{slash}._{image}"] = APPLE_DOUBLE
        found[path] = data
        found.setdefault(f"{folder}{slash}{name}", b"")
    return found


def folders(root: Path, name: str) -> None:
    write(root / "train", with_left(in_classes(dict(pictures("imagenet2012").train)), name))


def flat(root: Path, name: str) -> None:
    write(root / "val", with_left(dict(pictures("imagenet2012").validation), name))


def class_tars(root: Path, name: str) -> None:
    (root / "train").mkdir(parents=True)
    for wnid, members in by_class(pictures("imagenet2012").train).items():
        archives.write_tar(root / "train" / f"{wnid}.tar", with_left(members, name).items())


def train_tar(root: Path, name: str) -> None:
    class_tars(root, name)
    tars = {path.name: path.read_bytes() for path in sorted((root / "train").iterdir())}
    archives.write_tar(root / "ILSVRC2012_img_train.tar", with_left(tars, name).items())
    for path in (root / "train").iterdir():
        path.unlink()


def validation_tar(root: Path, name: str) -> None:
    root.mkdir(parents=True)
    members = with_left(dict(pictures("imagenet2012").validation), name)
    archives.write_tar(root / "ILSVRC2012_img_val.tar", members.items())


def squashed(root: Path, name: str) -> None:
    root.mkdir(parents=True)
    files = in_classes(dict(pictures("imagenet2012").train))
    write_squashfs(root / "train.sqsh", with_left(files, name))


def webdataset(root: Path, name: str) -> None:
    write_webdataset(root, "train", pictures("imagenet2012").train, 1, 4)
    [shard] = root.iterdir()
    with tarfile.open(shard) as opened:
        files = {member.name: file_in(opened, member) for member in opened.getmembers()}
    archives.write_tar(shard, with_left(files, name).items())


SOURCES = [folders, flat, class_tars, train_tar, validation_tar, squashed, webdataset]
Stage = Callable[[Path, str], None]


def build(manual_dir: Path, data_dir: Path, *more: str) -> Outcome:
    arguments = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir), "--workers", "1"]
    return run("build", "imagenet2012", *arguments, *more)


def shards(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.rglob("*.tfrecord-*-of-?????")}


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db"])
@pytest.mark.parametrize("stage", SOURCES)
def test_what_operating_systems_leave_is_passed_over(stage: Stage, name: str, tmp_path: Path):
    stage(tmp_path / "staged", name)
    built = build(tmp_path / "staged", tmp_path / "built")
    assert built.status == 0, built.err
    assert "is passed over" in built.err
    assert "'" in built.err.partition("holds what is not one of its images: ")[2]
    official = build(pictures("imagenet2012").official, tmp_path / "official")
    assert official.status == 0
    found = shards(tmp_path / "built")
    assert found
    if stage is not webdataset:  # Which has CMYK and PNG images encoded anew.
        expected = shards(tmp_path / "official")
        assert found == {name: expected[name] for name in found}
    # The index is kept, and so is the warning.
    again = build(tmp_path / "staged", tmp_path / "built", "--overwrite")
    assert "is passed over" in again.err
    refused = build(tmp_path / "staged", tmp_path / "built", "--overwrite", "--strict")
    assert refused.status == 1
    assert "build without --strict to pass it over" in refused.err
