"""Errors name what is staged, also where a copy of it or what was unpacked of it was read."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from makers import archives
from makers.imagenet21k_winter21 import write_gzip
from makers.imagenet2012_downsampled import batch_arrays, make_downsampled, npz_bytes, write_zip
from support import command_line
from support.command_line import Outcome
from support.corpora.downsampled import changed
from support.corpora.ilsvrc2012 import TENCH, TEST, TRAIN, VAL, staged, val_name
from support.corpora.winter21 import make, pack, pack_p
from support.paths import DUMMY_DATA

TRAIN_BOXES = "ILSVRC2012_bbox_train_v2.tar.gz"
VAL_NPZ = "Imagenet8_val_npz.zip"


def refused(
    dataset: str, manual_dir: Path, tmp_path: Path, *arguments: str
) -> tuple[str, str, Outcome]:
    """The sentence with which a build is refused, the path it begins with, and all that is said."""
    data_dir, scratch = tmp_path / "built", tmp_path / f"scratch{len(arguments)}"
    where = [f"--manual-dir={manual_dir}", f"--data-dir={data_dir}", f"--scratch-dir={scratch}"]
    outcome = command_line.run("build", dataset, *where, "--workers=1", *arguments)
    shutil.rmtree(data_dir, ignore_errors=True)
    assert outcome.status == 1, outcome
    lines = [each for each in outcome.err.splitlines() if each.startswith(command_line.ERROR)]
    [sentence] = [line.removeprefix(command_line.ERROR) for line in lines]
    return sentence, sentence.partition(", ")[0].partition(": ")[0], outcome


# --- copies --------------------------------------------------------------------------------------


def bad_image(manual_dir: Path) -> None:
    odd = staged()
    odd.train[TENCH][1] = (odd.train[TENCH][1][0], b"no picture")
    odd.write(manual_dir)


def cut_off(manual_dir: Path) -> None:
    path = staged().write(manual_dir) / TRAIN
    path.write_bytes(path.read_bytes()[:-15_000])


def not_official(manual_dir: Path) -> None:
    odd = staged()
    odd.test.append(("notes.txt", b"do not forget"))
    odd.write(manual_dir)


def twice(manual_dir: Path) -> None:
    odd = staged()
    odd.validation.append((val_name(1), b"another"))
    odd.write(manual_dir)


def bad_boxes(manual_dir: Path) -> None:
    shutil.copytree(DUMMY_DATA / "imagenet2012_localization", manual_dir)
    data = io.BytesIO()
    with (
        gzip.open(manual_dir / TRAIN_BOXES) as packed,
        tarfile.open(fileobj=packed) as before,
        tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as after,
    ):
        for member in before.getmembers():
            body = before.extractfile(member)
            content = body.read().replace(b"<xmin>", b"<x>") if body else b""
            member.size = len(content)
            after.addfile(member, io.BytesIO(content))
    write_gzip(manual_dir / TRAIN_BOXES, data.getvalue())


def damaged_boxes(manual_dir: Path) -> None:
    shutil.copytree(DUMMY_DATA / "imagenet2012_localization", manual_dir)
    data = (manual_dir / TRAIN_BOXES).read_bytes()
    (manual_dir / TRAIN_BOXES).write_bytes(data[:-20])


def other_boxes(manual_dir: Path) -> None:
    shutil.copytree(DUMMY_DATA / "imagenet2012_localization", manual_dir)
    xml = b"<annotation></annotation>"
    body = archives.tar_bytes([("n01440764/n01440764_99999.xml", xml)])
    write_gzip(manual_dir / TRAIN_BOXES, body)


def damaged_zip(manual_dir: Path) -> None:
    manual_dir.mkdir()
    data = bytearray((DUMMY_DATA / "tiny_imagenet" / "tiny-imagenet-200.zip").read_bytes())
    data[len(data) // 3] ^= 0x10
    (manual_dir / "tiny-imagenet-200.zip").write_bytes(data)


def damaged_npz(manual_dir: Path) -> None:
    npz = npz_bytes(batch_arrays("val_data", 8, 60), "deflated")
    write_zip(manual_dir / VAL_NPZ, {"val_data.npz": with_a_changed_pixel(npz)})


def with_a_changed_pixel(npz: bytes) -> bytes:
    return npz[: len(npz) // 3] + bytes([npz[len(npz) // 3] ^ 0x10]) + npz[len(npz) // 3 + 1 :]


@pytest.mark.parametrize(
    ("stage", "dataset", "named"),
    [
        (bad_image, "imagenet2012", TRAIN),
        (cut_off, "imagenet2012", TRAIN),
        (not_official, "imagenet2012", TEST),
        (twice, "imagenet2012", VAL),
        (bad_boxes, "imagenet2012_localization", f"{TRAIN_BOXES} (unpacked)"),
        (damaged_boxes, "imagenet2012_localization", TRAIN_BOXES),
        (other_boxes, "imagenet2012_localization", TRAIN_BOXES),
        (damaged_zip, "tiny_imagenet", "tiny-imagenet-200.zip"),
        (damaged_npz, "imagenet2012_downsampled/8x8", f"{VAL_NPZ} (val_data.npz"),
    ],
)
def test_an_error_in_a_copy_names_the_original(
    stage: Callable[[Path], None], dataset: str, named: str, tmp_path: Path
):
    manual_dir = tmp_path / "staged"
    stage(manual_dir)
    sentence, path, _ = refused(dataset, manual_dir, tmp_path)
    assert path == str(manual_dir / named)
    with_copies, _, outcome = refused(dataset, manual_dir, tmp_path, "--stage")
    assert with_copies == sentence
    [note] = [line for line in outcome.err.splitlines() if " that were read are kept in " in line]
    assert str(tmp_path / "scratch1") in note


def test_a_relative_path_to_the_copy_names_the_original_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    not_official(tmp_path / "staged")
    monkeypatch.chdir(tmp_path)
    said = []
    for more in ((), ("--stage",)):
        where = ("--manual-dir=staged", "--data-dir=built", "--scratch-dir=scratch")
        outcome = command_line.run("build", "imagenet2012", *where, *more)
        said.append([line for line in outcome.err.splitlines() if " error: " in line])
    assert said[0] == said[1] != []
    assert str(tmp_path / "staged" / TEST) in said[0][0]


# --- what is unpacked to scratch space -----------------------------------------------------------


def of_whole(manual_dir: Path, change: Callable[[Path], None]) -> str:
    make(manual_dir, "whole", "folders")
    change(manual_dir / "winter21_whole")
    pack(manual_dir, "tar.gz")
    return "winter21_whole.tar.gz"


def of_p(manual_dir: Path, change: Callable[[Path], None]) -> str:
    make(manual_dir, "p", "folders")
    change(manual_dir / "imagenet21k_resized")
    pack_p(manual_dir, "tar.gz")
    return "imagenet21k_resized.tar.gz"


def spoil(root: Path) -> None:
    max(root.rglob("*.JPEG")).write_bytes(b"no picture")


def add_a_stray(root: Path) -> None:
    min(path for path in root.rglob("n*") if path.is_dir()).joinpath("x.JPEG").write_bytes(b"x")


def put_into_both_splits(root: Path) -> None:
    image = min((root / "imagenet21k_val").rglob("*.JPEG"))
    folder = root / "imagenet21k_train" / image.parent.name
    folder.mkdir(exist_ok=True)
    shutil.copy(image, folder)


@pytest.mark.parametrize(
    ("dataset", "pack_it", "change", "member"),
    [
        ("imagenet21k_winter21/whole", of_whole, spoil, ".JPEG', at byte "),
        ("imagenet21k_winter21/whole", of_whole, add_a_stray, ".tar/x.JPEG', at byte "),
        ("imagenet21k_winter21/p", of_p, spoil, ".JPEG', at byte "),
        ("imagenet21k_winter21/p", of_p, put_into_both_splits, ".JPEG, at byte "),
    ],
)
def test_an_archive_in_gzip_is_named_with_the_member_inside(
    dataset: str,
    pack_it: Callable[[Path, Callable[[Path], None]], str],
    change: Callable[[Path], None],
    member: str,
    tmp_path: Path,
):
    name = pack_it(tmp_path / "staged", change)
    sentence, path, _ = refused(dataset, tmp_path / "staged", tmp_path)
    assert f"{tmp_path / 'staged' / name} (unpacked)" in sentence
    assert path.startswith((f"{tmp_path / 'staged' / name} (", "there are "))
    assert member in sentence
    # Where it was unpacked to is of no use to who mends the archive.
    assert str(tmp_path / "scratch") not in sentence


def test_skipped_images_name_the_archive(tmp_path: Path):
    of_whole(tmp_path / "staged", spoil)
    where = [f"--manual-dir={tmp_path / 'staged'}", f"--data-dir={tmp_path / 'built'}"]
    outcome = command_line.run(
        "build", "imagenet21k_winter21/whole", *where, f"--scratch-dir={tmp_path / 's'}",
        "--bad-images=skip",
    )  # fmt: skip
    assert outcome.status == 0
    [path] = (tmp_path / "built").rglob("provenance.json")
    assert f"{tmp_path / 'staged' / 'winter21_whole.tar.gz'}, unpacked" in path.read_text()


@pytest.mark.parametrize("stage", [(), ("--stage",)])
@pytest.mark.parametrize("compression", ["stored", "deflated"])
def test_an_npz_file_in_a_zip_is_named_with_the_array_inside(
    compression: Literal["stored", "deflated"], stage: tuple[str, ...], tmp_path: Path
):
    """The zip is sound, and what is in it was damaged before it was packed."""
    npz = npz_bytes(batch_arrays("val_data", 8, 60), "deflated")
    members = {"val_data.npz": with_a_changed_pixel(npz)}
    write_zip(tmp_path / "staged" / VAL_NPZ, members, compression)
    sentence, _, _ = refused("imagenet2012_downsampled/8x8", tmp_path / "staged", tmp_path, *stage)
    assert sentence.startswith(f"{tmp_path / 'staged' / VAL_NPZ}")
    assert "val_data.npz" in sentence
    assert "data.npy" in sentence
    assert str(tmp_path / "scratch") not in sentence


def test_wrong_labels_in_a_zip_are_named(tmp_path: Path):
    labels = changed("val_data", "labels", lambda a: np.zeros_like(a))
    make_downsampled(tmp_path / "staged", 8, rows=0, replace=labels)
    sentence, path, _ = refused("imagenet2012_downsampled/8x8", tmp_path / "staged", tmp_path)
    assert path == str(tmp_path / "staged" / VAL_NPZ)
    assert "val_data.npz/labels.npy" in sentence


def test_check_names_the_archive_in_gzip(tmp_path: Path):
    name = of_whole(tmp_path / "staged", add_a_stray)
    outcome = command_line.run(
        "check", str(tmp_path / "staged"), "imagenet21k_winter21", "--deep",
        f"--data-dir={tmp_path}", f"--scratch-dir={tmp_path / 'scratch'}",
    )  # fmt: skip
    assert outcome.status == 1
    assert f"error: {tmp_path / 'staged' / name} (unpacked)" in outcome.out
