"""imagenet2012_downsampled from archives that are incomplete, damaged, odd, or not these at all."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import imagenet2012_downsampled as maker
from makers.imagenet2012_downsampled import batch_arrays, make_downsampled, npz_bytes, write_zip
from support.building import build
from support.built_datasets import recorded_splits
from support.corpora.downsampled import LAYOUTS, build_small, changed, refused

from imagenet_builders.datasets.imagenet2012_downsampled import batches, examples
from imagenet_builders.datasets.imagenet2012_downsampled import (
    imagenet2012_downsampled_dataset_builder as module,
)
from imagenet_builders.errors import ArchiveError, SourceError, StagingError
from imagenet_builders.locate.official import OfficialArchive
from imagenet_builders.options import BuildOptions

TRAIN, VAL = "Imagenet8_train_npz.zip", "Imagenet8_val_npz.zip"


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    (tmp_path / "manual").mkdir()
    return tmp_path / "manual"


# What is not there.


def test_an_empty_directory_is_refused_with_all_expected_names(manual: Path):
    message = str(refused(manual, 32, StagingError))
    for name in ("Imagenet32_train_npz", "Imagenet32_val_npz"):
        assert f"{manual / name}.zip (or the folder {name})" in message
    message = str(refused(manual, 64, StagingError))
    for part in ("train_part1", "train_part2", "val", "train"):
        assert f"Imagenet64_{part}_npz.zip" in message


def test_a_missing_directory_is_refused(manual: Path):
    assert "does not exist" in str(refused(manual / "nowhere", 8, StagingError))


@pytest.mark.parametrize(("there", "absent"), [(1, 2), (2, 1)])
def test_one_part_without_the_other_is_a_warning(
    manual: Path, there: int, absent: int, caplog: pytest.LogCaptureFixture
):
    make_downsampled(manual, 64, rows=1, val=1)
    (manual / f"Imagenet64_train_part{absent}_npz.zip").unlink()
    assert [split["name"] for split in recorded_splits(build_small(manual, 64))] == ["validation"]
    [message] = [text for text in caplog.messages if text.startswith("split train will be missing")]
    assert f"there is {manual}/Imagenet64_train_part{there}_npz.zip but no " in message
    assert f"Imagenet64_train_part{absent}_npz.zip" in message


def test_one_part_alone_is_refused(manual: Path):
    make_downsampled(manual, 64, rows=1, val=0)
    (manual / "Imagenet64_train_part2_npz.zip").unlink()
    assert "both parts are needed" in str(refused(manual, 64, StagingError))


def test_the_version_in_pickles_is_not_read(manual: Path):
    write_zip(manual / "Imagenet8_train.zip", {"train_data_batch_1": b"\x80\x04}."})
    message = str(refused(manual, 8, StagingError))
    assert f"{manual}/Imagenet8_train.zip is the version in pickles" in message


@pytest.mark.parametrize("outer", ["deflated", None])
def test_a_missing_batch_is_named(manual: Path, outer: maker.Compression | None):
    make_downsampled(manual, 8, outer=outer, replace={"train_data_batch_7": None})
    message = str(refused(manual))
    assert "Imagenet8_train_npz" in message
    assert "train_data_batch_7.npz not found, and the train split needs 10" in message


def test_a_duplicate_batch_is_named_with_both_places(manual: Path):
    make_downsampled(manual, 8, outer=None)
    folder = manual / "Imagenet8_train_npz"
    (folder / "copy").mkdir()
    shutil.copy(folder / "train_data_batch_4.npz", folder / "copy")
    message = str(refused(manual))
    assert "train_data_batch_4.npz is there twice" in message
    assert str(folder / "copy") in message


@pytest.mark.parametrize(("outer", "inner"), LAYOUTS)
def test_a_batch_under_the_name_of_another_is_refused(
    manual: Path, outer: maker.Compression | None, inner: maker.Compression
):
    twice = {"train_data_batch_7": batch_arrays("train_data_batch_4", 8, 3)}
    make_downsampled(manual, 8, outer=outer, inner=inner, replace=twice)
    message = str(refused(manual, kind=ArchiveError))
    assert "train_data_batch_7.npz" in message.partition(": ")[0]
    assert "pictures and labels are those of train_data_batch_4.npz" in message


def test_identical_parts_are_refused(manual: Path):
    make_downsampled(manual, 64, rows=1, val=0)
    shutil.copy(
        manual / "Imagenet64_train_part1_npz.zip", manual / "Imagenet64_train_part2_npz.zip"
    )
    assert "train_data_batch_1.npz is there twice" in str(refused(manual, 64))


@pytest.mark.parametrize(
    "name", ["train_data_batch_11.npz", "train_data_batch_01.npz", "val_data.npz", "other.npz"]
)
def test_a_stray_npz_file_is_named(manual: Path, name: str):
    make_downsampled(manual, 8)
    with zipfile.ZipFile(manual / TRAIN, "a") as archive:
        archive.writestr(f"folder/{name}", b"")
    error = refused(manual, kind=ArchiveError)
    assert error.member == f"folder/{name}"
    assert "only train_data_batch_1.npz to train_data_batch_10.npz belong here" in str(error)


def test_train_data_in_the_validation_archive_is_refused(manual: Path):
    make_downsampled(manual, 8)
    (manual / VAL).write_bytes((manual / TRAIN).read_bytes())
    assert "only val_data.npz belong here" in str(refused(manual))


# What the arrays hold.


ODD_ARRAYS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "labels from 0": ("labels", lambda a: a * 0, "count from 0 (there is a 0 in row 0)"),
    "a label too large": (
        "labels",
        lambda a: np.append(a[:-1], 1001),
        "expected labels from 1 to 1000, found 1001 in row",
    ),
    "a negative label": ("labels", lambda a: -a, "expected labels from 1 to 1000, found -"),
    "0 and 1000": ("labels", lambda a: np.append(a[:-2], [0, 1000]), "1000, found 0 in row"),
    "labels as floats": ("labels", lambda a: a.astype(float), "labels, whole numbers"),
    "one label too few": ("labels", lambda a: a[:-1], "whole numbers, one for each picture"),
    "labels in a table": ("labels", lambda a: np.stack([a, a], 1), "one for each picture"),
    "labels in pickles": ("labels", lambda a: a.astype(object), "pickled Python objects"),
    "data in pickles": ("data", lambda a: a.astype(object), "pickled Python objects"),
    "data as floats": ("data", lambda a: a / 255, "expected data of type uint8 and shape"),
    "signed data": ("data", lambda a: a.astype(np.int8), "expected data of type uint8"),
    "data of another size": (
        "data",
        lambda a: np.tile(a, 4),
        "shape (pictures, 192), for pictures of 8x8, found uint8 and (",
    ),
    "data as pictures": ("data", lambda a: a.reshape(-1, 3, 8, 8), "shape (pictures, 192)"),
    "data by column": ("data", np.asfortranarray, "Fortran order"),
}


@pytest.mark.parametrize(
    ("batch", "inner"), [("train_data_batch_3", "stored"), ("val_data", "deflated")]
)
@pytest.mark.parametrize("odd", ODD_ARRAYS)
def test_odd_arrays_are_named(manual: Path, odd: str, batch: str, inner: maker.Compression):
    array, change, problem = ODD_ARRAYS[odd]
    make_downsampled(manual, 8, inner=inner, replace=changed(batch, array, change))
    error = refused(manual, kind=ArchiveError)
    assert problem in str(error)
    assert batch in str(error)


@pytest.mark.parametrize("array", ["data", "labels"])
def test_a_missing_array_is_named(manual: Path, array: str):
    arrays = {
        name: value for name, value in batch_arrays("val_data", 8, 6).items() if name != array
    }
    make_downsampled(manual, 8, replace={"val_data": arrays})
    assert f"expected an array '{array}'" in str(refused(manual, kind=ArchiveError))


def test_a_batch_without_pictures_is_refused(manual: Path):
    empty = {"data": np.zeros((0, 192), np.uint8), "labels": np.zeros(0, int)}
    make_downsampled(manual, 8, replace={"val_data": empty})
    assert "there is no picture in it" in str(refused(manual, kind=ArchiveError))


def test_an_odd_mean_does_not_matter(manual: Path):
    make_downsampled(
        manual, 8, replace=changed("train_data_batch_1", "mean", lambda a: a.astype(object))
    )
    assert recorded_splits(build_small(manual))


def official(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    known = {
        path.name: OfficialArchive(path.name, path.stat().st_size, None, None, None)
        for path in paths
    }
    monkeypatch.setattr(batches, "official_archives", lambda: known)


def test_archives_of_the_official_size_must_have_the_official_number_of_pictures(
    manual: Path, monkeypatch: pytest.MonkeyPatch
):
    make_downsampled(manual, 8)
    official(monkeypatch, manual / TRAIN)
    message = str(refused(manual, kind=SourceError))
    assert f"{manual / TRAIN}: 30 pictures instead of the official 1,281,167" in message


def test_the_official_number_counts_both_parts_together(
    manual: Path, monkeypatch: pytest.MonkeyPatch
):
    make_downsampled(manual, 64, rows=1, val=0)
    parts = sorted(manual.iterdir())
    official(monkeypatch, *parts)
    assert f"{parts[0]}, {parts[1]}: 10 pictures" in str(refused(manual, 64, SourceError))
    monkeypatch.setattr(batches, "OFFICIAL_ROWS", {"train": 10})
    build_small(manual, 64)


# Archives that are damaged.


@pytest.mark.parametrize(("outer", "inner"), LAYOUTS)
def test_a_changed_pixel_is_found(
    manual: Path, outer: maker.Compression | None, inner: maker.Compression
):
    [path] = make_downsampled(manual, 8, rows=0, val=60, outer=outer, inner=inner).paths[
        "validation"
    ]
    path = path / "val_data.npz" if path.is_dir() else path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)
    error = refused(manual, kind=ArchiveError)
    assert error.archive == str(path)
    assert "copy the archive again" in str(error)


@pytest.mark.parametrize(("outer", "inner"), LAYOUTS)
@pytest.mark.parametrize("share", [0, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_named(
    manual: Path, outer: maker.Compression | None, inner: maker.Compression, share: float
):
    [path] = make_downsampled(manual, 8, rows=0, outer=outer, inner=inner).paths["validation"]
    path = path / "val_data.npz" if path.is_dir() else path
    os.truncate(path, int(share * path.stat().st_size))
    assert refused(manual, kind=ArchiveError).archive == str(path)


def test_an_invalid_npz_is_named_with_its_archive(manual: Path):
    npz = npz_bytes(batch_arrays("val_data", 8, 6))
    for compression in ("stored", "deflated"):
        write_zip(manual / VAL, {"folder/val_data.npz": npz[:-10]}, compression)
        error = refused(manual, kind=ArchiveError)
        assert "val_data.npz" in str(error)
        assert "cut off" in str(error)


def test_an_encrypted_archive_is_refused(manual: Path):
    make_downsampled(manual, 8)
    data = bytearray((manual / VAL).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (manual / VAL).write_bytes(data)
    assert "encrypted" in str(refused(manual, kind=ArchiveError))


def test_an_unreadable_file_is_named(manual: Path, monkeypatch: pytest.MonkeyPatch):
    make_downsampled(manual, 8)
    opens = os.open

    def denied(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path) == str(manual / VAL):
            raise PermissionError(13, "Permission denied", str(path))
        return opens(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", denied)
    message = str(refused(manual, kind=SourceError))
    assert f"{VAL}' cannot be read: Permission denied" in message


def test_an_archive_that_changes_while_it_is_read_is_refused(
    manual: Path, monkeypatch: pytest.MonkeyPatch
):
    make_downsampled(manual, 8, outer="stored")
    make_examples = examples.make_examples

    def late(*arguments: Any) -> Any:
        os.utime(manual / VAL, (1, 1))
        return make_examples(*arguments)

    late.__name__ = "make_examples"
    monkeypatch.setattr(examples, "make_examples", late)
    monkeypatch.setattr(examples, "example_sizes", lambda index: np.full(len(index), 100))
    with pytest.raises(SourceError, match="changed after it was indexed"):
        build(
            module.Builder,
            manual,
            manual.with_name("built"),
            builder_options={"options": BuildOptions(workers=1), "config": "8x8"},
        )
