"""Archives of VOC XML: any sound tar is read alike, and damage is named with its place."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from makers import archives
from makers.imagenet2012_localization import Drawn, annotation, write_boxes
from support.file_systems import mounted

from imagenet_builders.datasets.ilsvrc2012 import boxes as boxes_
from imagenet_builders.errors import ArchiveError, SourceError
from imagenet_builders.files.private_dir import NotOursError
from imagenet_builders.labels.image_names import Naming
from imagenet_builders.locate.found import Found
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources import box_archives
from imagenet_builders.sources.rows import SourceFile

TENCH, GOLDFISH = "n01440764", "n01443537"
IDS = {TENCH: 0, GOLDFISH: 1}
WHOLE = Drawn(TENCH, 50, 50, 200, 150)
XML = annotation([WHOLE])

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(9))
    + b"]><annotation><folder>&l9;</folder></annotation>"
)


def read(archive: Path, scratch: Path, part: str = "train") -> pa.Table:
    with LocalWorkers(1) as workers:
        room = BuildContext(scratch, BuildOptions(workers=1), workers)
        return boxes_.index_boxes(["test"], found(archive), Naming(part, IDS), room).table


def found(archive: Path) -> Found:
    return Found("train", "tar.gz", "official archives", (archive,), part="boxes")


def member(number: int = 18, *boxes: Drawn, folder: str = TENCH) -> archives.Member:
    return f"{folder}/{TENCH}_{number}.xml", annotation(boxes or [WHOLE])


def test_rows_hold_the_content_of_an_annotation(tmp_path: Path):
    boxes = [
        Drawn(GOLDFISH, 200, 50, 50, 150),
        Drawn("a dog", 0, 0, 500, 200),
        Drawn("x", 1, 1, 1, 1),
    ]
    write_boxes(tmp_path / "boxes.tgz", [member(18, *boxes, folder=GOLDFISH)])
    [row] = read(tmp_path / "boxes.tgz", tmp_path / "scratch").to_pylist()
    assert row == {
        "key": f"{TENCH}_18.JPEG",
        "label": 0,
        "file": 0,
        "offset": 512,
        "size": len(annotation(boxes)),
        "boxes": [0.25, 0.125, 0.75, 0.5, 0, 0, 1, 1],
        "box_labels": [1, 0],
        "swapped": 1,
        "clamped": 1,
        "empty": 1,
        "unnamed": 1,
        "elsewhere": True,
        "repeats": 0,
    }


LAYOUTS = {
    "as it is": lambda name: name,
    "from the current folder": lambda name: f"./{name}",
    "under another folder": lambda name: f"ILSVRC2012_bbox_train_v2/{name}",
    "without folders": lambda name: name.rpartition("/")[2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
def test_every_form_of_tar_gives_the_same_rows(
    tmp_path: Path, layout: str, form: int, compressed: bool
):
    members = [(LAYOUTS[layout](name), xml) for name, xml in (member(18), member(7))]
    # The name does not matter; what is inside does.
    buffer = io.BytesIO()
    archives.write_tar(buffer, members, tar_format=form, dirs=["./", TENCH])
    data = buffer.getvalue()
    (tmp_path / "boxes.tar.gz").write_bytes(gzip.compress(data) if compressed else data)
    table = read(tmp_path / "boxes.tar.gz", tmp_path / "scratch")
    assert table["key"].to_pylist() == [f"{TENCH}_18.JPEG", f"{TENCH}_7.JPEG"]
    assert table["elsewhere"].to_pylist() == [False, False]


def test_several_gzip_members_and_padding_are_read_as_gunzip_reads_them(tmp_path: Path):
    buffer = io.BytesIO()
    archives.write_tar(buffer, [member(18), member(7)])
    data = buffer.getvalue()
    parts = [gzip.compress(data[:700]), gzip.compress(data[700:]), bytes(200_000)]
    (tmp_path / "boxes.tgz").write_bytes(b"".join(parts))
    assert read(tmp_path / "boxes.tgz", tmp_path / "scratch").num_rows == 2


def test_several_workers_give_the_rows_of_one(tmp_path: Path):
    path = tmp_path / "boxes.tar"
    write_boxes(path, [member(n, Drawn(TENCH, 0, 0, n % 400 + 1, 9)) for n in range(5000)])
    one = read(path, tmp_path / "one")
    with LocalWorkers(2) as workers:
        room = BuildContext(tmp_path / "two", BuildOptions(workers=2), workers)
        two = boxes_.index_boxes(["test"], found(path), Naming("train", IDS), room).table
    assert path.stat().st_size > box_archives._SMALL_BYTES
    assert two.equals(one)
    assert one["key"].to_pylist() == [f"{TENCH}_{n}.JPEG" for n in range(5000)]


def test_nothing_is_left_in_scratch_but_the_cached_index(tmp_path: Path):
    write_boxes(tmp_path / "boxes.tgz", [member()])
    read(tmp_path / "boxes.tgz", tmp_path / "scratch")
    [left] = (tmp_path / "scratch").iterdir()
    assert left.suffix == ".arrow"


def test_the_same_annotation_twice_counts_once(tmp_path: Path):
    write_boxes(tmp_path / "boxes.tgz", [member(), member(7), member(folder=GOLDFISH), member()])
    table = read(tmp_path / "boxes.tgz", tmp_path / "scratch")
    assert table["key"].to_pylist() == [f"{TENCH}_18.JPEG", f"{TENCH}_7.JPEG"]
    assert table["repeats"].to_pylist() == [2, 0]
    assert table["elsewhere"].to_pylist() == [False, False]


def damaged(path: Path, change: Callable[[bytes], bytes]) -> Path:
    # Of random numbers, so that the compressed data are long enough to damage them.
    numbers = random.Random(0).choices(range(1, 400), k=2000)
    write_boxes(path, [member(i, Drawn(TENCH, 0, 0, n, n)) for i, n in enumerate(numbers)])
    path.write_bytes(change(path.read_bytes()))
    return path


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


def cut_unpacked(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data)[: 512 * 100])


GZIP_FAULTS = {
    "cut off at 90 %": (lambda data: data[: len(data) * 9 // 10], r"at byte [0-9,]+: .*is cut off"),
    "cut off in the checksum": (lambda data: data[:-3], r"at byte [0-9,]+: .*is cut off"),
    "a flipped bit in the middle": (
        lambda data: flip(data, len(data) // 2),
        "gzip data are damaged here or|changed byte somewhere between byte 0 and here",
    ),
    "a wrong checksum": (lambda data: flip(data, len(data) - 6), "incorrect data check"),
    "a wrong length": (lambda data: flip(data, len(data) - 2), "incorrect length check"),
    "junk behind it": (lambda data: data + b"junk", "text follows"),
    "nothing but the magic": (lambda data: data[:2], "is cut off"),
    "no bytes": (lambda data: b"", "found no bytes at all"),
    "another compression": (lambda data: b"BZh91AY" + data, "the bzip2 data are damaged"),
    "a web page": (lambda data: b"<html>Not Found</html>", "a web page"),
    "a tar cut off at a member's end": (cut_unpacked, r"\(unpacked\), at byte 51,200: .*cut off"),
    "no tar inside": (lambda data: gzip.compress(XML * 9), r"\(unpacked\).*expected a tar archive"),
}


@pytest.mark.parametrize("name", GZIP_FAULTS)
def test_a_damaged_archive_is_an_error_that_names_it_and_the_place(tmp_path: Path, name: str):
    change, problem = GZIP_FAULTS[name]
    path = damaged(tmp_path / "boxes.tgz", change)
    with pytest.raises(ArchiveError, match=problem) as caught:
        read(path, tmp_path / "scratch")
    assert str(caught.value).startswith(str(path))
    assert not list((tmp_path / "scratch").glob("*"))


def link(name: str) -> tarfile.TarInfo:
    info = archives.header(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


MEMBERS: dict[str, tuple[archives.Member, str]] = {
    "another kind of file": (
        (f"{TENCH}/readme.txt", b"x"),
        "only annotations such as n01440764_18",
    ),
    "a hidden file": ((f"{TENCH}/._{TENCH}_18.xml", XML), "only annotations such as"),
    "an annotation of validation": (("val/ILSVRC2012_val_00000001.xml", XML), "only annotations"),
    "a name that is not UTF-8": ((f"{TENCH}/{TENCH}_\udcff.xml", XML), "only annotations such as"),
    "a path that leads out": ((f"../{TENCH}_18.xml", XML), "a path that leads out of the archive"),
    "an absolute path": ((f"/{TENCH}_18.xml", XML), "a path that leads out of the archive"),
    "a link": ((link(f"{TENCH}/{TENCH}_18.xml"), b""), "a symlink where only plain files belong"),
    "a large file": ((f"{TENCH}/{TENCH}_18.xml", bytes(1 << 21)), "at most 1,048,576 bytes, found"),
    "a broken annotation": ((f"{TENCH}/{TENCH}_18.xml", XML[:99]), "not an annotation that can be"),
    "an entity bomb": ((f"{TENCH}/{TENCH}_18.xml", BOMB), "found a document type"),
    "no size": ((f"{TENCH}/{TENCH}_18.xml", annotation([WHOLE], size=(0, 0))), "greater than 0"),
    "two that differ": (member(7, Drawn(TENCH, 1, 1, 9, 9)), "two annotations .* at byte 512"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_does_not_belong_is_an_error_that_names_it(tmp_path: Path, name: str):
    (info, data), problem = MEMBERS[name]
    write_boxes(tmp_path / "boxes.tgz", [member(7), (info, data)])
    with pytest.raises(ArchiveError, match=problem) as caught:
        read(tmp_path / "boxes.tgz", tmp_path / "scratch")
    assert str(caught.value).startswith(f"{tmp_path}/boxes.tgz (unpacked), member '")
    assert "at byte " in str(caught.value)


@pytest.mark.parametrize("number", [0, 50_001, 99_999_999])
def test_a_validation_image_must_have_a_valid_number(tmp_path: Path, number: int):
    write_boxes(tmp_path / "boxes.tgz", [(f"val/ILSVRC2012_val_{number:08d}.xml", XML)])
    with pytest.raises(ArchiveError, match="numbered from 1 to 50,000"):
        read(tmp_path / "boxes.tgz", tmp_path / "scratch", "validation")


def test_an_archive_that_unpacks_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(box_archives, "MAX_UNPACKED_BYTES", 10 << 20)
    (tmp_path / "bomb.tgz").write_bytes(gzip.compress(bytes(64 << 20)))
    with pytest.raises(ArchiveError, match="at most 10,485,760 bytes unpacked"):
        read(tmp_path / "bomb.tgz", tmp_path / "scratch")


def test_a_full_scratch_directory_is_named_with_the_remedy(tmp_path: Path):
    write_boxes(tmp_path / "boxes.tgz", [member(number) for number in range(20)])
    with mounted(tmp_path / "small", "size=8k") as small:
        with pytest.raises(OSError, match=r"No space left .* to unpack .*--scratch-dir") as caught:
            read(tmp_path / "boxes.tgz", small / "scratch")
        assert list((small / "scratch").iterdir()) == []
    assert caught.value.filename == str(small / "scratch")


@pytest.mark.parametrize("kind", ["a link", "a directory of mode 777"])
def test_what_others_may_have_made_in_the_place_of_scratch_is_not_written_to(
    kind: str, tmp_path: Path
):
    write_boxes(tmp_path / "boxes.tgz", [member()])
    (tmp_path / "theirs").mkdir(mode=0o700)
    if kind == "a link":
        (tmp_path / "scratch").symlink_to(tmp_path / "theirs")
    else:
        (tmp_path / "scratch").mkdir()
        (tmp_path / "scratch").chmod(0o777)
    with pytest.raises(NotOursError, match=r"scratch .* --scratch-dir"):
        read(tmp_path / "boxes.tgz", tmp_path / "scratch")
    assert list((tmp_path / "theirs").iterdir()) == []


def test_an_archive_that_changes_before_it_is_read_is_an_error(tmp_path: Path):
    write_boxes(tmp_path / "boxes.tgz", [member()])
    file = SourceFile.of(tmp_path / "boxes.tgz")
    write_boxes(tmp_path / "boxes.tgz", [member(7), member(8)])
    with (
        pytest.raises(SourceError, match="the file changed after it was indexed"),
        box_archives.opened(file, tmp_path / "scratch"),
    ):
        pass
