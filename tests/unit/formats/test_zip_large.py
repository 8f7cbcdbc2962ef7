"""Large zip archives: the members of a folder, and what an archive must not say of them."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from pathlib import Path

import pytest

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import zip_directory, zip_large, zip_members

FILES = {
    **{f"ILSVRC/Data/CLS-LOC/train/{n}.JPEG": random.Random(n).randbytes(300) for n in range(30)},
    **{f"ILSVRC/Annotations/CLS-LOC/train/{n}.xml": b"<a/>" * 50 for n in range(30)},
    "LOC_sample_submission.csv": b"x",
}
INSIDE = "Data/CLS-LOC/train"


def archive() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in FILES.items():
            made.writestr(name, data)
        made.mkdir("ILSVRC/Data/CLS-LOC/train/n01440764")
    return sink.getvalue()


def listed(path: Path, inside: str = INSIDE) -> dict[str, bytes]:
    found = {}
    with open(path, "rb") as file:
        for member in zip_large.list_inside(file.fileno(), str(path), inside):
            data = zip_members.read(file.fileno(), str(path), member, limit=1 << 20)
            found[member.name] = data
    return found


@pytest.mark.parametrize("read_bytes", [100, 1 << 20])
def test_the_members_of_a_folder_are_found_however_the_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    monkeypatch.setattr(zip_large, "_READ_BYTES", read_bytes)
    monkeypatch.setattr(zip_large, "_BATCH", 3)
    path = tmp_path / "x.zip"
    path.write_bytes(archive())
    assert listed(path) == {name: data for name, data in FILES.items() if INSIDE in name}
    assert len(listed(path, "Annotations/CLS-LOC/train")) == 30
    assert listed(path, "Data/CLS-LOC/val") == {}


def test_an_archive_of_more_members_than_are_held_in_memory_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_directory, "MAX_MEMBERS", 5)
    path = tmp_path / "x.zip"
    path.write_bytes(archive())
    with open(path, "rb") as file:
        assert zip_large.is_large(file.fileno(), str(path), "CLS-LOC")
        assert not zip_large.is_large(file.fileno(), str(path), "tiny-imagenet-200")
    assert len(listed(path)) == 30


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_byte_is_an_error_or_changes_no_image(tmp_path: Path, seed: int) -> None:
    data = bytearray(archive())
    rng = random.Random(seed)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    try:
        found = listed(path)
    except ArchiveError as error:
        assert error.archive == str(path)  # noqa: PT017
    else:
        images = {name: data for name, data in FILES.items() if INSIDE in name}
        assert found.items() <= images.items()


@pytest.mark.parametrize("left", [0, 10, 1000, -1, -22, -30, -200])
def test_an_archive_that_is_cut_off_is_an_error(tmp_path: Path, left: int) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(archive()[:left])
    with pytest.raises(ArchiveError):
        listed(path)


def test_a_number_of_entries_that_is_wrong_is_an_error(tmp_path: Path) -> None:
    data = bytearray(archive())
    end = data.rindex(b"PK\5\6")
    for at in (8, 10):
        (count,) = struct.unpack_from("<H", data, end + at)
        struct.pack_into("<H", data, end + at, count - 1)
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="entries instead of"):
        listed(path)
