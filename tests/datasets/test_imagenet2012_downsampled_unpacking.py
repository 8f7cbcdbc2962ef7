"""imagenet2012_downsampled from compressed archives: what is unpacked to scratch, kept, removed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from makers import imagenet2012_downsampled as maker
from makers.imagenet2012_downsampled import make_downsampled
from support.built_datasets import records, shards
from support.corpora.downsampled import LAYOUTS, build_small, changed, options_of, refused

from imagenet_builders.errors import ArchiveError, OptionError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.scratch import space, unzip

TRAIN, VAL = "Imagenet8_train_npz.zip", "Imagenet8_val_npz.zip"


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    (tmp_path / "manual").mkdir()
    return tmp_path / "manual"


# What is unpacked.


def unpacked_directory(manual: Path) -> Path:
    scratch = options_of(manual).scratch_for(manual.with_name("built"))
    return scratch / "imagenet2012_downsampled-8x8.unpacked"


def as_a_build_makes_it(directory: Path) -> None:
    """Makes a directory and its lock, for nobody else, whatever the umask."""
    directory.parent.mkdir(mode=0o700, parents=True)
    directory.mkdir(mode=0o700)
    (directory / "lock").touch(mode=0o600)


def scratch_files(manual: Path) -> dict[str, int]:
    """What is in the folders of unpacked files, by name with its inode."""
    scratch = manual.with_name("scratch")
    return {
        path.name: path.stat().st_ino
        for path in scratch.rglob("*.unpacked/*")
        if path.name != "lock"
    }


@pytest.mark.parametrize(("outer", "inner"), LAYOUTS)
def test_unpacked_files_are_removed_after_a_build(
    manual: Path, outer: maker.Compression | None, inner: maker.Compression
):
    make_downsampled(manual, 8, outer=outer, inner=inner)
    build_small(manual)
    assert not list(manual.with_name("scratch").rglob("*.unpacked"))


def test_unpacking_is_announced(manual: Path, caplog: pytest.LogCaptureFixture):
    make_downsampled(manual, 64, rows=20)
    build_small(manual, 64)
    said = next(message for message in caplog.messages if ": unpacking " in message)
    caplog.clear()
    assert said.startswith("imagenet2012_downsampled/64x64: unpacking 3.4 MB of compressed ")
    assert str(manual.with_name("scratch")) in said
    make_downsampled(manual, 8, outer="stored")
    build_small(manual, 8)
    assert ": unpacking " not in caplog.text


def test_too_little_space_is_reported_before_anything_is_unpacked(
    manual: Path, monkeypatch: pytest.MonkeyPatch
):
    make_downsampled(manual, 8)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9000, 4001, 4999))
    message = str(refused(manual, kind=OptionError))
    assert "has 5.0 kB free, but " in message
    assert " are needed to unpack the compressed arrays of imagenet2012_downsampled/8x8" in message
    assert "--scratch-dir" in message
    assert not scratch_files(manual)


def test_a_full_disk_leaves_nothing_half_unpacked(manual: Path, monkeypatch: pytest.MonkeyPatch):
    make_downsampled(manual, 8)

    replace = PrivateDir.replace

    def full(self: PrivateDir, name: str, other: str) -> None:
        if ".unpacked" in str(self.path):
            raise OSError(28, "No space left on device")
        replace(self, name, other)

    monkeypatch.setattr(PrivateDir, "replace", full)
    assert "no space is left" in str(refused(manual, kind=OptionError))
    assert not scratch_files(manual)


def test_the_next_run_reuses_unpacked_files(manual: Path):
    make_downsampled(manual, 8, replace=changed("val_data", "labels", lambda a: a * 0))
    refused(manual, kind=ArchiveError)
    before = scratch_files(manual)
    assert len(before) == 11
    [stale] = [name for name in before if name.endswith("-val_data.npz")]

    make_downsampled(manual, 8, rows=0)
    os.utime(manual / VAL)
    kept: dict[str, int] = {}
    remove = unzip.Unpacked.remove

    def spied(self: unzip.Unpacked) -> None:
        kept.update(scratch_files(manual))
        remove(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unzip.Unpacked, "remove", spied)
        build_small(manual)
    assert {name for name in kept if kept[name] == before.get(name)} == set(before)
    assert len(kept) == 12  # With the validation data of the archive that was replaced.
    assert stale in kept
    assert not scratch_files(manual)


def test_nothing_of_a_killed_run_remains_after_the_next(manual: Path):
    make_downsampled(manual, 8)
    directory = unpacked_directory(manual)
    as_a_build_makes_it(directory)
    (directory / "0123-val_data.npz.77.partial").write_bytes(b"half")
    build_small(manual)
    assert not directory.exists()


def test_files_unpacked_before_a_reboot_are_not_used(manual: Path, monkeypatch: pytest.MonkeyPatch):
    make_downsampled(manual, 8, replace=changed("val_data", "labels", lambda a: a * 0))
    refused(manual, kind=ArchiveError)
    before = scratch_files(manual)
    assert len(before) == 11
    monkeypatch.setattr(space, "boot", lambda: "another")
    refused(manual, kind=ArchiveError)
    assert len(scratch_files(manual)) == 11
    assert not before.keys() & scratch_files(manual).keys()


def test_an_incomplete_file_is_unpacked_again(manual: Path):
    make_downsampled(manual, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unzip.Unpacked, "remove", lambda self: None)
        whole = everything(build_small(manual))
    for name in scratch_files(manual):
        [path] = manual.with_name("scratch").rglob(name)
        os.truncate(path, 10)
    again = build_small(manual, data_dir=manual.with_name("again"))
    assert everything(again) == whole


def test_files_in_use_by_another_build_are_not_removed(manual: Path):
    make_downsampled(manual, 8)
    directory = unpacked_directory(manual)
    as_a_build_makes_it(directory)
    with open(directory / "lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        build_small(manual)
        assert len(scratch_files(manual)) == 11
    shutil.rmtree(manual.with_name("built"))
    build_small(manual)
    assert not scratch_files(manual)


def everything(directory: Path) -> dict[str, list[bytes]]:
    return {shard.name: records(shard) for shard in shards(directory)}
