"""Whatever is wrong with what is staged: one sentence that says where, and nothing published.

Every build here goes through the real command line. What is odd but sound is in `test_odd_input`.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import io
import os
import re
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import archives
from support import command_line
from support.built_datasets import records_by_split, split_info
from support.command_line import build, refused
from support.corpora.ilsvrc2012 import (
    GOLDFISH,
    PATCH,
    TENCH,
    TEST,
    TRAIN,
    VAL,
    member_offsets,
    picture,
    staged,
    test_name,
    val_name,
    with_image,
)

from imagenet_builders.locate.official import official_archives


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an error must say that the fault is."""

    archive: Path
    member: str | None = None
    offset: int | None = None

    def __str__(self) -> str:
        member = "" if self.member is None else f", member {self.member!r}"
        offset = "" if self.offset is None else f", at byte {self.offset:,}"
        return f"{self.archive}{member}{offset}: "


# A fault stages a corpus in a directory and says where it is wrong and what is to be said of it.
Fault = Callable[[Path], tuple[Place, str]]
FAULTS: dict[str, Fault] = {}


def fault(stage: Fault) -> Fault:
    FAULTS[stage.__name__] = stage
    return stage


def of_value(
    stage: Callable[..., tuple[Place, str]], value: object, path: Path
) -> tuple[Place, str]:
    return stage(path, value)


def each(**variants: object) -> Callable[[Callable[..., tuple[Place, str]]], None]:
    """Registers a fault once for each value of its second argument."""

    def register(stage: Callable[..., tuple[Place, str]]) -> None:
        for name, value in variants.items():
            FAULTS[f"{stage.__name__}-{name}"] = functools.partial(of_value, stage, value)

    return register


# --- cut off ---------------------------------------------------------------------------------

SECOND_OF = {TRAIN: f"{TENCH}.tar", VAL: val_name(1), TEST: test_name(1)}
ARCHIVES = {"train": TRAIN, "validation": VAL, "test": TEST}


def end_of_members(path: Path) -> int:
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512


@each(**ARCHIVES)
def cut_off_inside_a_member(path: Path, name: str) -> tuple[Place, str]:
    archive = staged().write(path) / name
    _, body = member_offsets(archive, SECOND_OF[name])
    os.truncate(archive, body + 700)
    return Place(archive, SECOND_OF[name], body), "cut off: this member needs .* only 700 remain"


@each(**ARCHIVES)
def cut_off_inside_a_header(path: Path, name: str) -> tuple[Place, str]:
    archive = staged().write(path) / name
    header, _ = member_offsets(archive, SECOND_OF[name])
    os.truncate(archive, header + 100)
    return Place(archive, None, header), "cut off after member .*: a header needs 512 bytes"


@each(**ARCHIVES)
def cut_off_between_two_members(path: Path, name: str) -> tuple[Place, str]:
    archive = staged().write(path) / name
    header, _ = member_offsets(archive, SECOND_OF[name])
    os.truncate(archive, header)
    return Place(archive, None, header), "cut off after member .*, or .*: it ends at a member's end"


@each(**ARCHIVES)
def without_the_blocks_that_end_an_archive(path: Path, name: str) -> tuple[Place, str]:
    archive = staged().write(path) / name
    end = end_of_members(archive)
    os.truncate(archive, end)
    return Place(archive, None, end), "cut off after member .*, or .*: it ends at a member's end"


@each(**ARCHIVES)
def with_one_of_the_two_blocks_that_end_an_archive(path: Path, name: str) -> tuple[Place, str]:
    archive = staged().write(path) / name
    end = end_of_members(archive)
    os.truncate(archive, end + 512)
    return Place(archive, None, end), "must end in two blocks of zeros"


@each(**ARCHIVES)
def followed_by_other_data(path: Path, name: str) -> tuple[Place, str]:
    archive = staged().write(path) / name
    with archive.open("ab") as file:
        file.write(b"junk")
    return Place(archive, None, archive.stat().st_size - 4), "then other data"


def with_inner(path: Path, change: Callable[[bytes], bytes]) -> tuple[Path, int]:
    """Stages a sound train archive whose second class tar is not, and says where that begins."""
    outer = staged().outer()
    name, inner = outer[1]
    outer[1] = (name, change(inner))
    archives.write_tar(path / TRAIN, outer)
    return path / TRAIN, member_offsets(path / TRAIN, f"{TENCH}.tar")[1]


@fault
def an_inner_archive_cut_off_inside_an_image(path: Path) -> tuple[Place, str]:
    archive, start = with_inner(path, lambda inner: inner[: 512 + 600])
    member = f"{TENCH}.tar/{TENCH}_7.JPEG"
    return Place(archive, member, start + 512), "cut off: this member needs .* only 600 remain"


@fault
def an_inner_archive_cut_off_between_two_images(path: Path) -> tuple[Place, str]:
    size = len(archives.tar_bytes(staged().train[TENCH][:1])[: 512 + 512])
    size += -(-len(picture(f"{TENCH}_7.JPEG")) // 512) * 512 - 512
    archive, start = with_inner(path, lambda inner: inner[:size])
    return Place(archive, f"{TENCH}.tar", start + size), "it ends at a member's end"


@fault
def an_inner_archive_whose_rest_is_zeros(path: Path) -> tuple[Place, str]:
    """As a copy that broke off and was resumed at the wrong place leaves it."""
    archive, start = with_inner(path, lambda inner: inner[:1500] + bytes(len(inner) - 1500))
    # Zeros where headers should be end an archive, but the image before them is cut off as well.
    return Place(archive, f"{TENCH}_7.JPEG", start + 512), "cut off|damaged|truncated|no end"


@fault
def an_inner_archive_without_bytes(path: Path) -> tuple[Place, str]:
    archive, start = with_inner(path, lambda inner: b"")
    return Place(archive, f"{TENCH}.tar", start), "expected a tar archive, found no bytes at all"


@fault
def an_inner_archive_without_images(path: Path) -> tuple[Place, str]:
    archive, start = with_inner(path, lambda inner: archives.tar_bytes([]))
    return Place(archive, f"{TENCH}.tar", start - 512), "there is no image in this class's archive"


@fault
def an_inner_archive_that_is_gzipped(path: Path) -> tuple[Place, str]:
    archive, start = with_inner(path, gzip.compress)
    return Place(archive, f"{TENCH}.tar", start), "found gzip-compressed data"


# --- damaged headers -------------------------------------------------------------------------

HEADERS = {
    "train": (TRAIN, f"{TENCH}.tar"),
    "inner": (TRAIN, f"{TENCH}.tar/{TENCH}_2.JPEG"),
    "validation": (VAL, val_name(1)),
    "test": (TEST, test_name(1)),
}


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@each(**HEADERS)
def a_flipped_byte_in_a_header(path: Path, which: tuple[str, str]) -> tuple[Place, str]:
    name, member = which
    archive = staged().write(path) / name
    header, _ = member_offsets(archive, member)
    overwrite(archive, header + 130, b"7")  # In the size, which leads to the next header.
    inner = f"{TENCH}.tar" if ".tar/" in member else None
    return Place(archive, inner, header), "expected a header after member .*checksum is wrong"


@each(**HEADERS)
def a_header_of_zeros(path: Path, which: tuple[str, str]) -> tuple[Place, str]:
    name, member = which
    archive = staged().write(path) / name
    header, body = member_offsets(archive, member)
    overwrite(archive, header, bytes(512))
    inner = f"{TENCH}.tar" if ".tar/" in member else None
    return Place(archive, inner, body), "expected nothing but zeros .* found one block of zeros"


# --- members that do not belong --------------------------------------------------------------


def with_member(path: Path, where: str, extra: str | tarfile.TarInfo) -> tuple[Path, str]:
    """Stages a corpus with one member too many; gives the archive and that member's full name."""
    whole = staged()
    name = extra if isinstance(extra, str) else extra.name
    member = (extra, picture("extra"))
    if where == "train":
        outer = whole.outer()
        outer.insert(1, member)
        archives.write_tar(path / TRAIN, outer)
        return path / TRAIN, name
    if where == "inner":
        whole.train[TENCH].insert(1, member)
        return whole.write(path) / TRAIN, f"{TENCH}.tar/{name}"
    members = {"validation": whole.validation, "test": whole.test, "patch": whole.patch}[where]
    members.insert(1, member)
    file = {"validation": VAL, "test": TEST, "patch": PATCH}[where]
    return whole.write(path) / file, name


# What a member must look like to belong: other than in what is wrong with it, it should.
SOUND = {
    "train": "n01491361.tar",
    "inner": f"{TENCH}_99.JPEG",
    "validation": val_name(99),
    "test": test_name(99),
    "patch": test_name(2),
}
DOES_NOT_BELONG = "this member does not belong in the archive: "


@each(
    **{
        f"{where}-{file}": (where, file.format(name=name, stem=name.rpartition(".")[0]))
        for where, name in SOUND.items()
        for file in (".{name}.Xa4b2c", ".hidden", "readme.txt", "{name}~", "{name} ")
    }
)
def a_hidden_or_foreign_file(path: Path, what: tuple[str, str]) -> tuple[Place, str]:
    archive, member = with_member(path, *what)
    return Place(archive, member, member_offsets(archive, member)[0]), f"{DOES_NOT_BELONG}only "


@each(
    **{
        f"{where}-{label}": (where, f"{before}{name}")
        for where, name in SOUND.items()
        for label, before in (("above", "../"), ("above_inside", "a/../../"), ("absolute", "/"))
    }
)
def a_path_that_leads_out(path: Path, what: tuple[str, str]) -> tuple[Place, str]:
    archive, member = with_member(path, *what)
    offset = member_offsets(archive, member)[0]
    return Place(archive, member, offset), f"{DOES_NOT_BELONG}a path that leads out"


@each(
    **{
        f"{where}-{label}": (where, name.removesuffix(ending) + instead)
        for where, name in SOUND.items()
        for ending in (name[name.rindex(".") :],)
        for label, instead in (
            ("jpeg", ".jpeg"),
            ("upper_or_lower", ending.swapcase()),
            ("not_utf8", f"\udcff{ending}"),
            ("other_digits", f"٣{ending}"),
            ("line_break", f"\n{ending}"),
            ("300_characters", "x" * 300 + ending),
        )
        # Names may have any letter case, and those of images other endings.
        if label != "upper_or_lower" and (where == "train" or label != "jpeg")
    }
)
def an_odd_name(path: Path, what: tuple[str, str]) -> tuple[Place, str]:
    archive, member = with_member(path, *what)
    return Place(archive, member, member_offsets(archive, member)[0]), f"{DOES_NOT_BELONG}only "


KINDS = {
    "symlink": (tarfile.SYMTYPE, "symlink"),
    "hardlink": (tarfile.LNKTYPE, "hardlink"),
    "character_device": (tarfile.CHRTYPE, "nor directory nor link"),
    "block_device": (tarfile.BLKTYPE, "nor directory nor link"),
    "fifo": (tarfile.FIFOTYPE, "nor directory nor link"),
}


@each(**{f"{where}-{kind}": (where, kind) for where in SOUND for kind in KINDS})
def a_member_that_is_not_a_file(path: Path, what: tuple[str, str]) -> tuple[Place, str]:
    where, kind = what
    info = archives.header(SOUND[where])
    info.type, said = KINDS[kind]
    info.linkname = SOUND[where]
    archive, member = with_member(path, where, info)
    offset = member_offsets(archive, member)[0]
    return Place(archive, member, offset), f"{DOES_NOT_BELONG}.*{said} where only plain files"


@each(
    validation_0=("validation", val_name(0), "the images are numbered from 1 to 50,000"),
    validation_50001=("validation", val_name(50_001), "the images are numbered from 1 to 50,000"),
    test_0=("test", test_name(0), "the images are numbered from 1 to 100,000"),
    test_100001=("test", test_name(100_001), "the images are numbered from 1 to 100,000"),
    test_in_validation=("validation", test_name(7), "only images such as ILSVRC2012_val_"),
    validation_in_test=("test", val_name(7), "only images such as ILSVRC2012_test_"),
    validation_in_patch=("patch", val_name(7), "only images such as ILSVRC2012_test_"),
    image_in_train=("train", f"{TENCH}_99.JPEG", "only class archives such as"),
    unknown_class=(
        "train",
        "n00000001.tar",
        "n00000001 is not one of the 1,000 classes of this dataset",
    ),
    class_of_21k=(
        "train",
        "n00004475.tar",
        "n00004475 is not one of the 1,000 classes of this dataset",
    ),
    image_of_another_class=("inner", f"{GOLDFISH}_99.JPEG", f"only images such as {TENCH}_1.JPEG"),
)
def a_name_that_belongs_elsewhere(path: Path, what: tuple[str, str, str]) -> tuple[Place, str]:
    where, name, said = what
    archive, member = with_member(path, where, name)
    return Place(archive, member, member_offsets(archive, member)[0]), DOES_NOT_BELONG + said


@fault
def a_class_twice(path: Path) -> tuple[Place, str]:
    outer = staged().outer()
    archives.write_tar(path / TRAIN, [*outer, ("again/" + str(outer[0][0]), outer[0][1])])
    member = f"again/{outer[0][0]}"
    offset = member_offsets(path / TRAIN, member)[0]
    return Place(path / TRAIN, member, offset), f"{GOLDFISH} is there twice, first at byte 0"


@each(train=TRAIN, validation=VAL, test=TEST)
def an_image_twice(path: Path, name: str) -> tuple[Place, str]:
    whole = staged()
    members = {TRAIN: whole.train[TENCH], VAL: whole.validation, TEST: whole.test}[name]
    first = str(members[0][0])
    members.append((f"./{first}", picture("again")))
    archive = whole.write(path) / name
    prefix = f"{TENCH}.tar/" if name == TRAIN else ""
    (_, before), (_, offset) = (member_offsets(archive, f"{prefix}{p}{first}") for p in ("", "./"))
    said = f"there twice: first as .* in {re.escape(str(archive))} at byte {before:,}"
    return Place(archive, first, offset), said


# --- images ----------------------------------------------------------------------------------

JPEG = picture("whole")
IMAGES = {
    "zero_bytes": (b"", "empty \\(0 bytes\\)"),
    "web_page": (b"<html><body>404 Not Found</body></html>\n", "an HTML page, not an image"),
    "text": (b"Quota exceeded\n", "text of 15 bytes, not an image"),
    "zeros": (bytes(900), "all of its 900 bytes are zero"),
    "truncated_jpeg": (JPEG[: len(JPEG) // 2], "cut off"),
    "jpeg_without_its_end": (JPEG[:-2], "cut off"),
    "jpeg_whose_rest_is_zeros": (JPEG[:300] + bytes(len(JPEG) - 300), "cut off|damaged"),
    "start_of_a_jpeg": (JPEG[:3], "cut off"),
    "gif": (b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(20), "a GIF image, not a JPEG"),
    "truncated_png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG cut off"),
    "truncated_gzip": (gzip.compress(JPEG)[:-20], "gzip-wrapped and cut off"),
    "gzipped_text": (gzip.compress(b"Not Found"), "gzip-wrapped.*text"),
    "other_bytes": (b"\x00\x01\x02\x03" * 40, "no known kind of image"),
}


@each(
    **{
        f"{where}-{kind}": (where, *image)
        for where in ("train", "validation", "test", "patch")
        for kind, image in IMAGES.items()
        if where in ("train", "validation") or kind == "zero_bytes"
    }
)
def an_image_that_is_none(path: Path, what: tuple[str, bytes, str]) -> tuple[Place, str]:
    where, data, said = what
    return Place(*with_image(path, where, data)), f"(?i){said}.*--bad-images skip"


# --- what is not a tar archive; what does not go together ------------------------------------


@each(
    seven_zip=(lambda tar: b"7z\xbc\xaf\x27\x1c" + tar, "found a 7z archive; unpack it"),
    web_page=(lambda tar: b"<html>Please log in</html>", "found a web page"),
    nothing=(lambda tar: b"", "found no bytes at all"),
    zeros=(lambda tar: bytes(len(tar)), "no example"),
    text=(lambda tar: b"see the wiki\n" * 90, "found text"),
)
def what_is_called_an_archive(
    path: Path, what: tuple[Callable[[bytes], bytes], str]
) -> tuple[Place, str]:
    archive = staged().write(path) / VAL
    archive.write_bytes(what[0](archive.read_bytes()))
    if what[1] == "no example":
        return Place(archive), "no image"
    return Place(archive, None, 0), what[1]


@fault
def a_zip_archive_called_tar(path: Path) -> tuple[Place, str]:
    archive = staged().write(path) / VAL
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(val_name(1), picture(val_name(1)))
    return Place(archive, None, 0), "found a zip archive"


@fault
def an_archive_under_the_name_of_another(path: Path) -> tuple[Place, str]:
    (staged().write(path) / VAL).replace(path / TRAIN)
    return Place(path / TRAIN), "these are images of validation, such as"


@fault
def a_patch_for_an_image_that_is_not_in_the_test_archive(path: Path) -> tuple[Place, str]:
    archive, member = with_member(path, "patch", test_name(99))
    return Place(
        archive, member, member_offsets(archive, member)[1]
    ), "test archive has no such image"


@fault
def a_patch_that_is_cut_off(path: Path) -> tuple[Place, str]:
    archive = staged().write(path) / PATCH
    os.truncate(archive, 700)
    return Place(archive, test_name(3), 512), "cut off: this member needs .* only 188 remain"


@fault
def a_patch_that_is_nothing_but_zeros(path: Path) -> tuple[Place, str]:
    archive = staged().write(path) / PATCH
    archive.write_bytes(bytes(archive.stat().st_size))
    return Place(archive, None, None), "there is no image in this patch"


@fault
def a_patch_with_an_image_twice(path: Path) -> tuple[Place, str]:
    whole = staged()
    whole.patch += [(f"test/{test_name(3)}", picture("patched otherwise"))]
    archive = whole.write(path) / PATCH
    second = member_offsets(archive, f"test/{test_name(3)}")[1]
    return Place(archive, test_name(3), second), "this image is there twice, first at byte 512,"


@pytest.mark.parametrize(
    "stage",
    [pytest.param(stage, id=name) for name, stage in FAULTS.items()],
)
def test_a_build_names_a_fault_and_publishes_nothing(stage: Fault, tmp_path: Path) -> None:
    where, said = stage(tmp_path / "staged")
    sentence = refused(build(tmp_path / "staged", tmp_path / "built"), tmp_path / "built")
    assert sentence.startswith(str(where))
    assert re.search(said, sentence.removeprefix(str(where)))


ONLY_READING_TELLS = re.compile(
    r"an_image_that_is_none-.*"  # What the bytes of an image are, no header says.
    r"|an_inner_archive_whose_rest_is_zeros"  # The zeros are all within one image.
)


@pytest.mark.parametrize("name", FAULTS)
def test_check_finds_a_fault_that_names_and_headers_tell(name: str, tmp_path: Path) -> None:
    """Each of them ends a build, so a check that ends with 0 would have said what is not so."""
    FAULTS[name](tmp_path / "staged")
    outcome = command_line.run("check", str(tmp_path / "staged"), "imagenet2012")
    assert outcome.status == (0 if ONLY_READING_TELLS.fullmatch(name) else 1), outcome.out


# --- nothing staged --------------------------------------------------------------------------

LOOKED_FOR = (TRAIN, VAL, TEST, TEST.replace("_v10102019", ""))
only_patch = dataclasses.replace(staged(), train={}, validation=[], test=[])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: None, id="missing"),
        pytest.param(lambda path: path.mkdir(), id="empty"),
        pytest.param(lambda path: path.write_text("x"), id="a_file"),
        pytest.param(lambda path: staged().write(path / "inside"), id="one_too_high"),
        pytest.param(lambda path: (path / TRAIN).mkdir(parents=True), id="folder_for_archive"),
        pytest.param(lambda path: only_patch.write(path), id="patch_alone"),
    ],
)
def test_an_empty_manual_dir_is_an_error_that_lists_the_expected_names(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    manual_dir = tmp_path / "staged"
    make(manual_dir)
    sentence = refused(build(manual_dir, tmp_path / "built"), tmp_path / "built")
    assert str(manual_dir) in sentence
    if manual_dir.is_dir():
        for name in LOOKED_FOR:
            assert str(manual_dir / name) in sentence
    else:
        assert "must be the directory that holds the archives" in sentence


def test_a_patch_without_the_test_archive_is_ignored_and_the_test_split_reported_missing(
    tmp_path: Path,
) -> None:
    dataclasses.replace(staged(), test=[]).write(tmp_path / "staged")
    outcome = build(tmp_path / "staged", tmp_path / "built")
    assert outcome.status == 0
    assert set(split_info(tmp_path / "built")) == {"train", "validation"}
    assert any("split test will be missing" in line for line in outcome.warnings)


@pytest.mark.parametrize("what", ["other_case", "a_link_to_nothing", "a_directory"])
def test_anything_with_the_patchs_name_is_read_or_refused(tmp_path: Path, what: str) -> None:
    patch = staged().write(tmp_path / "staged") / PATCH
    patched = build(tmp_path / "staged", tmp_path / "patched")
    assert patched.status == 0
    if what == "other_case":
        patch.rename(patch.with_name(PATCH.lower()))
        assert build(tmp_path / "staged", tmp_path / "built").status == 0
        assert records_by_split(tmp_path / "built") == records_by_split(tmp_path / "patched")
        return
    patch.unlink()
    if what == "a_directory":
        patch.mkdir()
    else:
        patch.symlink_to("nowhere")
    sentence = refused(build(tmp_path / "staged", tmp_path / "built"), tmp_path / "built")
    assert str(patch) in sentence


# --- official archives that do not hold what they should -------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (VAL, "holds 5 images instead of 50,000"),
        (TRAIN, "class n01440764 has 3 images instead of the official 1,300"),
    ],
)
def test_an_archive_of_the_official_size_must_hold_the_official_number_of_images(
    name: str, said: str, tmp_path: Path
) -> None:
    """One image of it is a hole of as many bytes as are needed to have the right size."""
    archive = staged().write(tmp_path / "staged") / name
    size = official_archives()[name].size
    assert size is not None
    grow_last_image(archive, size)
    assert archive.stat().st_size == size
    if archive.stat().st_blocks * 512 > 1 << 24:
        pytest.skip("this file system has no sparse files")
    started = time.monotonic()
    sentence = refused(build(tmp_path / "staged", tmp_path / "built"), tmp_path / "built")
    assert time.monotonic() - started < 5
    assert sentence.startswith(f"{archive}: ")
    assert said in sentence
    assert f"the official size of {size:,} bytes" in sentence


def grow_last_image(archive: Path, size: int) -> None:
    """Makes the archive as large as `size` by a hole in its last image (of its last class tar)."""
    data = archive.read_bytes()
    with tarfile.open(archive) as outer:
        last = outer.getmembers()[-1]
    headers = [last]
    if last.name.endswith(".tar"):
        start = last.offset_data
        with tarfile.open(fileobj=io.BytesIO(data[start : start + last.size])) as inner:
            headers.append(inner.getmembers()[-1])
        headers[1].offset += start
        headers[1].offset_data += start
    end = size - 1024  # An end of archive is two blocks of zeros; images are padded to a block.
    with open(archive, "r+b") as file:
        file.truncate(headers[-1].offset_data)
        file.truncate(size)
        for header in headers:
            header.size = end - header.offset_data
            end -= 1024
            file.seek(header.offset)
            file.write(header.tobuf(tarfile.GNU_FORMAT))


@pytest.mark.parametrize("aligned", [True, False], ids=["at_a_members_end", "inside_an_image"])
@pytest.mark.parametrize("where", ["validation", "inner"])
def test_a_hole_up_to_the_end_never_loses_images_silently(
    where: str, aligned: bool, tmp_path: Path
) -> None:
    """As a copy into a preallocated file that broke off; the size tells only for some archives."""
    partial = staged()
    members = partial.validation if where == "validation" else partial.train[TENCH]
    sound = archives.tar_bytes(members)
    with tarfile.open(fileobj=io.BytesIO(sound)) as archive:
        second = archive.getmembers()[1]
    cut = second.offset if aligned else second.offset_data + 700
    damaged = sound[:cut] + bytes(2 << 20)
    path = partial.write(tmp_path / "staged") / (VAL if where == "validation" else TRAIN)
    if where == "validation":
        path.write_bytes(damaged)
    else:
        path, _ = with_inner(tmp_path / "staged", lambda inner: damaged)
    outcome = build(tmp_path / "staged", tmp_path / "built", "--bad-images", "skip")
    assert str(path) in refused(outcome, tmp_path / "built")


# --- unreadable ------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [VAL, "."])
def test_an_unreadable_archive_is_an_error(which: str, open_path: Path) -> None:
    manual_dir = staged().write(open_path / "staged")
    (open_path / "built").mkdir()
    (open_path / "built").chmod(0o777)
    denied = manual_dir / which
    denied.chmod(0)
    try:
        outcome = command_line.build_as_nobody(open_path, manual_dir, open_path / "built")
    finally:
        denied.chmod(0o755)
    sentence = refused(outcome, open_path / "built")
    assert sentence.startswith(f"'{denied}' cannot be read: Permission denied")
    assert "only the first 16 of your groups may count" in sentence


# --- any damage ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sound:
    """An archive before it is damaged: its bytes, and where headers and images are in it."""

    data: bytes
    headers: list[int]
    images: list[tuple[int, int]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sound]:
    found = {}
    for archive in staged().write(tmp_path_factory.mktemp("sound")).iterdir():
        headers, images = [], []
        tars = [(0, archive.read_bytes())]
        while tars:
            start, data = tars.pop()
            with tarfile.open(fileobj=io.BytesIO(data)) as opened:
                for info in opened.getmembers():
                    body, end = info.offset_data, info.offset_data + info.size
                    headers.append(start + info.offset)
                    if info.name.endswith(".tar"):
                        tars.append((start + body, data[body:end]))
                    else:
                        images.append((start + body, start + end))
        found[archive.name] = Sound(archive.read_bytes(), headers, images)
    return found


def positions(archive: Sound) -> st.SearchStrategy[int]:
    """Any byte of an archive, but one of a header as often as one of an image."""
    in_header = st.builds(int.__add__, st.sampled_from(archive.headers), st.integers(0, 511))
    starts = st.sampled_from([start for start, _ in archive.images])
    near_start = st.builds(int.__add__, starts, st.integers(0, 700))
    return st.one_of(st.integers(0, len(archive.data) - 1), in_header, near_start)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_single_damage_is_an_error_or_changes_one_image_at_most(
    data: st.DataObject, sound: dict[str, Sound], whole: dict[str, list[bytes]]
) -> None:
    name = data.draw(st.sampled_from(sorted(sound)), "archive")
    archive = sound[name]
    position = data.draw(positions(archive), "position")
    flip = data.draw(st.one_of(st.none(), st.integers(1, 255)), "flip (None: cut off)")
    damaged = bytearray(archive.data)
    if flip is None:
        del damaged[position:]
    else:
        damaged[position] ^= flip
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "staged").mkdir()
        for other, kept in sound.items():
            (path / "staged" / other).write_bytes(damaged if other == name else kept.data)
        outcome = build(path / "staged", path / "built")
        if outcome.status != 0:
            assert str(path / "staged" / name) in refused(outcome, path / "built")
            return
        found = records_by_split(path / "built")
    # A flip within the compressed pixels cannot be seen without decoding them; an image of
    # the test archive that the patch replaces is not looked at.
    changes = [
        (archive.data[start:end], bytes(damaged[start:end]))
        for start, end in archive.images
        if start <= position < end and flip is not None
    ]
    assert found == {
        split: [one.replace(*changes[0]) if changes else one for one in of_split]
        for split, of_split in whole.items()
    }
