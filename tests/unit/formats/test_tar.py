"""The header walk reads what `tarfile` and GNU tar write. `tarfile` is the oracle."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import io
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.corpora.tar_headers import (
    END,
    as_member,
    extended,
    header,
    oracle,
    padded,
    record,
    walk,
)

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import tar, tar_header

Format = Literal[0, 1, 2]
"""The dialects that Python's tarfile writes, by its numbers for them."""
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


# --- what tarfile writes ---------------------------------------------------------------------

alphabet = st.one_of(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),  # bytes that are not UTF-8
    st.sampled_from("a/\n. é"),
)
names = st.one_of(
    st.text(alphabet, max_size=12),
    st.builds(
        lambda text, n: (text * 300)[:n], st.text(alphabet, min_size=1), st.integers(90, 320)
    ),
    st.builds(lambda n: "n01440764/" * (n // 10) + "x" * (n % 10), st.integers(90, 320)),
)
types = st.sampled_from(
    [tarfile.REGTYPE] * 3
    + [tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]
    + [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.CONTTYPE, b"Q"]
)


@st.composite
def infos(draw: st.DrawFn) -> tarfile.TarInfo:
    info = tarfile.TarInfo(draw(names))
    info.type = draw(types)
    info.size = draw(st.sampled_from([0, 1, 511, 512, 513, 1536]))
    info.linkname = draw(names)
    info.mtime = draw(st.sampled_from([0, 1340000000, 1340000000.25]))
    info.uid = draw(st.sampled_from([0, 1000, 2097152, 2**33]))
    return info


def build(members: list[tarfile.TarInfo], form: Format) -> bytes:
    """An archive; members that the format cannot express are left out.

    So are old-style files with long names: where the name is cut behind a slash, tarfile makes a
    directory of them, as a test of its own tells.
    """
    parts = []
    for info in members:
        is_old = info.type == tarfile.AREGTYPE
        if is_old and len(info.name) > 30:
            continue
        try:
            head = info.tobuf(form, "utf-8", "surrogateescape")
        except ValueError:
            continue
        has_body = as_member(info).size and not (is_old and info.name.endswith("/"))
        parts.append(head + padded(b"\xff" * info.size if has_body else b""))
    return b"".join(parts) + END


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@given(members=st.lists(infos(), max_size=6), before=st.binary(max_size=600))
@settings(max_examples=150, deadline=None)
def test_members_are_those_of_tarfile(
    form: Format, members: list[tarfile.TarInfo], before: bytes
) -> None:
    data = build(members, form)
    expected = oracle(data)
    assert walk(data) == expected

    inside = walk(before + data + b"after", start=len(before), end=len(before) + len(data))
    shift = len(before)
    assert inside == [
        m._replace(offset=m.offset + shift, header_offset=m.header_offset + shift) for m in expected
    ]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_an_empty_archive_has_no_members(form: int) -> None:
    with io.BytesIO() as stream:
        tarfile.open(fileobj=stream, mode="w", format=form).close()
        assert walk(stream.getvalue()) == []


def test_global_pax_headers_count_as_in_tarfile() -> None:
    with io.BytesIO() as stream:
        pax = {"path": "all/", "comment": "é"}
        with tarfile.open(
            fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, pax_headers=pax
        ) as archive:
            archive.addfile(tarfile.TarInfo("plain.JPEG"))
            archive.addfile(tarfile.TarInfo("é" * 10))
        data = stream.getvalue()
    assert walk(data) == oracle(data)
    assert [member.name for member in walk(data)] == ["all", "é" * 10]


def test_a_global_pax_header_alone_is_an_empty_archive() -> None:
    # git archive writes one for an empty tree; tarfile refuses it.
    assert walk(extended(b"g", record("comment", "0" * 40)) + END) == []


def test_a_tar_inside_a_tar_is_walked_in_place_by_several_threads() -> None:
    inner = build([tarfile.TarInfo(f"n01440764_{i}.JPEG") for i in range(50)], tarfile.GNU_FORMAT)
    outer = b"".join(header(b"n%08d.tar" % i, len(inner)) + inner for i in range(16)) + END
    with tempfile.TemporaryFile() as file, concurrent.futures.ThreadPoolExecutor(8) as pool:
        file.write(outer)
        file.flush()
        fd = file.fileno()

        def names_in(member: tar.Member) -> list[str]:
            end = member.offset + member.size
            members = tar.walk(fd, "t.tar", start=member.offset, end=end, inner=member.name)
            return [m.name for m in members]

        assert (
            list(pool.map(names_in, tar.walk(fd, "t.tar")))
            == [[f"n01440764_{i}.JPEG" for i in range(50)]] * 16
        )


# --- what older programs wrote ---------------------------------------------------------------


@pytest.mark.parametrize(
    "checksum", ["%06o\0 ", "%07o\0", "%6o\0 ", "%6o  ", " %o \0", "%o\0", "%08o"]
)
@pytest.mark.parametrize(
    "size",
    [
        b"00000000012\0",
        b"00000000012 ",
        b"000000000012",
        b"         12 ",
        b"          12",
        b"12\0garbage",
        b"12 \0",
        b"\x80" + (10).to_bytes(11, "big"),
    ],
)
@pytest.mark.parametrize("magic", [b"", b"ustar\x0000", b"ustar  \0"], ids=["v7", "ustar", "gnu"])
def test_numbers_are_read_in_every_spelling(checksum: str, size: bytes, magic: bytes) -> None:
    flag = b"0" if magic else b"\0"
    data = header(b"a.JPEG", size, flag, magic=magic, checksum=checksum)
    data += padded(b"x" * 10) + header(b"dir/", 0, b"\0", magic=b"") + END
    assert walk(data) == oracle(data)
    assert [(m.name, m.kind, m.size) for m in walk(data)] == [
        ("a.JPEG", "file", 10),
        ("dir", "directory", 0),
    ]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", [b"a", b"\xff", "é".encode() * 10, b"\xff" * 9])
def test_checksums_of_signed_and_unsigned_bytes_are_right(signed: bool, name: bytes) -> None:
    data = header(name, 3, signed=signed) + padded(b"abc") + END
    assert walk(data) == oracle(data) != []


@given(st.binary(min_size=512, max_size=512), st.booleans())
@example(b"\x7f" * 512, True)
@example(b"\xff" * 512, False)
def test_the_quick_checksum_is_the_sum_of_the_bytes(block: bytes, ascii_only: bool) -> None:
    if ascii_only:
        block = bytes(byte & 127 for byte in block)
    block = block[:148] + b" " * 8 + block[156:]
    block = block[:148] + b"%06o\0 " % sum(block) + block[156:]
    assert tar_header.has_right_checksum(block)
    wrong = bytes([block[0] ^ 1]) + block[1:]
    assert not tar_header.has_right_checksum(wrong)
    assert tar_header.plain_file_size(wrong) is None


def test_a_header_that_passes_as_plain_has_the_right_checksum() -> None:
    """Of 100,000 damaged ones, against the sum itself."""
    rng = random.Random(5)
    names = [f"n01440764_{number}.JPEG" for number in (1, 18, 10_026)]
    whole = [tar_header.plain_file(name, 109_527 + len(name)) for name in names]
    taken = 0
    for _ in range(100_000):
        block = bytearray(rng.choice(whole))
        for _ in range(rng.choice((1, 2, 2))):
            # Mostly in the checksum and the fields around it, by as much as others may make up for.
            at = rng.choice((rng.randrange(512), rng.randrange(124, 158), rng.randrange(148, 156)))
            block[at] = rng.choice((0, 0x20, 0x30, block[at] ^ 1, rng.randrange(256)))
        size = tar_header.plain_file_size(bytes(block))
        if size is None:
            continue
        taken += 1
        total = sum(block) - sum(block[148:156]) + 8 * 0x20
        assert block[148:156] == b"%06o\0 " % total
        assert size == int(block[124:135], 8)
    assert taken > 500


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_the_size_of_a_member_without_a_body_is_ignored(kind: bytes) -> None:
    data = header(b"a", 1 << 30, kind) + header(b"b", 1) + padded(b"x") + END
    assert walk(data) == oracle(data)
    assert [(m.name, m.size) for m in walk(data)] == [("a", 0), ("b", 1)]


@pytest.mark.parametrize("flag", [b"D", b"M", b"N", b"V"])
def test_a_gnu_entry_that_is_no_file_is_other_and_its_body_skipped(flag: bytes) -> None:
    data = header(b"label", 3, flag) + padded(b"abc") + header(b"a", 1) + padded(b"x") + END
    assert [(m.name, m.kind) for m in walk(data)] == [("label", "other"), ("a", "file")]
    assert walk(data) == [oracle(data)[0]._replace(kind="other"), oracle(data)[1]]


def test_the_first_of_several_names_counts() -> None:
    names = extended(b"L", b"first\0") + extended(
        b"X", record("path", "second") + record("size", "1")
    )
    data = header(b"0") + names + extended(b"K", b"k\0") + header(b"third", 0) + padded(b"x") + END
    assert walk(data) == oracle(data)
    assert walk(data)[1] == tar.Member("first", "file", len(data) - 1536, 1, 512)


def test_gnu_times_in_the_place_of_the_prefix_are_not_a_name() -> None:
    # As in GNU tar's incremental archives; tarfile takes them for a directory's name.
    head = header(b"a", magic=b"ustar  \0", prefix=b"14012345670\x0014012345670\0")
    assert [m.name for m in walk(head + END)] == ["a"]


def test_a_long_name_decides_whether_an_old_header_is_a_directory() -> None:
    name = b"d" * 98 + b"/image.JPEG"
    data = extended(b"L", name + b"\0") + header(name[:99], 3, b"\0") + padded(b"abc") + END
    assert [(m.name, m.kind, m.size) for m in walk(data)] == [(name.decode(), "file", 3)]


# --- what GNU tar writes ---------------------------------------------------------------------


def gnu_tar(folder: Path, *options: str) -> bytes:
    program = shutil.which("tar")
    if program is None:
        pytest.skip("no tar program")
    if b"GNU tar" not in subprocess.run([program, "--version"], capture_output=True).stdout:
        pytest.skip("the tar program is not GNU tar")
    target = folder.parent / "made.tar"
    command = [program, "-C", str(folder), "-cf", str(target), *options, "."]
    subprocess.run(command, check=True, capture_output=True)
    return target.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "n01440764").mkdir(parents=True)
    (folder / "n01440764" / "n01440764_18.JPEG").write_bytes(b"\xff\xd8" * 700)
    (folder / "é\n.JPEG").write_bytes(b"x" * 512)
    (folder / "empty").touch()
    os.link(folder / "empty", folder / "hard")
    (folder / "soft").symlink_to("empty")
    os.mkfifo(folder / "fifo")
    return folder


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_archives_of_gnu_tar_are_read_as_tarfile_does(folder: Path, form: str) -> None:
    if form != "v7":
        (folder / ("d" * 90)).mkdir()
        (folder / ("d" * 90) / ("x" * 60)).write_bytes(b"y")
    if form in ("oldgnu", "gnu", "posix"):
        (folder / ("n" * 250)).write_bytes(b"z" * 1000)
        (folder / "far").symlink_to("t" * 300)
    data = gnu_tar(folder, f"--format={form}", *(["--exclude=./fifo"] if form == "v7" else []))
    assert walk(data) == oracle(data)
    assert {"file", "directory", "symlink", "hardlink"} <= {member.kind for member in walk(data)}


@pytest.mark.parametrize(
    "options",
    [
        ("--format=oldgnu",),
        ("--format=gnu",),
        ("--format=posix", "--sparse-version=0.0"),
        ("--format=posix", "--sparse-version=0.1"),
        ("--format=posix", "--sparse-version=1.0"),
    ],
    ids=" ".join,
)
def test_sparse_members_are_marked_and_skipped(folder: Path, options: tuple[str, ...]) -> None:
    with open(folder / "holes", "wb") as file:
        for i in range(60):  # More than one block of map.
            file.seek(i << 16)
            file.write(b"data" * 1024)
        file.truncate(1 << 24)
    data = gnu_tar(folder, "--sparse", *options)
    found = {m.name: m.kind for m in walk(data)}
    if "sparse" not in found.values():
        pytest.skip("the file system does not report holes")
    assert found == {m.name: m.kind for m in oracle(data)}
    assert found["./holes"] == "sparse"


def test_an_incremental_archive_of_gnu_tar_keeps_its_names(folder: Path, tmp_path: Path) -> None:
    data = gnu_tar(folder, "--format=gnu", f"--listed-incremental={tmp_path / 'snapshot'}")
    assert "./n01440764/n01440764_18.JPEG" in [m.name for m in walk(data) if m.kind == "file"]
    assert {m.kind for m in walk(data) if m.name.endswith("/")} == {"other"}


@pytest.mark.parametrize("factor", [20, 2048, 4096, 8192, 20480, 131072])
def test_an_archive_may_be_padded_to_large_records(folder: Path, factor: int) -> None:
    data = gnu_tar(folder, "-b", str(factor))
    assert len(data) % (factor * 512) == 0
    assert [m.name for m in walk(data)] == [m.name for m in oracle(data)]


def test_more_zeros_than_fill_a_record_may_be_either_of_two_things(folder: Path) -> None:
    """A broken copy and a padded archive cannot be told apart, so both are named."""
    for data in (gnu_tar(folder, "-b", "3000"), gnu_tar(folder) + bytes(3 << 20)):
        with pytest.raises(ArchiveError) as caught:
            walk(data)
        assert "either a copy" in caught.value.problem
        assert "or the archive was written in records of an unusual size" in caught.value.problem
        assert "if they differ, finish the copy; if not" in caught.value.problem


# --- the system ------------------------------------------------------------------------------


@pytest.mark.parametrize("holes_are_known", [True, False])
def test_data_after_a_long_run_of_zeros_is_refused(
    holes_are_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not holes_are_known:

        def unsupported(*_: object) -> int:
            raise OSError(errno.EINVAL, "not here")

        monkeypatch.setattr(os, "lseek", unsupported)
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 23)
        with contextlib.suppress(OSError):  # No data at all: the file system knows its holes.
            if os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0 and holes_are_known:
                pytest.skip("the file system does not report holes")
        length = (1 << (36 if holes_are_known else 23)) - 512
        file.write(header(b"a") + END)
        file.flush()
        file.truncate(length)
        fd = file.fileno()
        with pytest.raises(ArchiveError, match="broke off or is not done yet") as caught:
            list(tar.walk(fd, "t.tar"))
        assert caught.value.offset == 512
        os.pwrite(fd, b"x", length - 7)
        with pytest.raises(ArchiveError, match="other data") as caught:
            list(tar.walk(fd, "t.tar"))
        assert caught.value.offset == length - 7


def test_a_failed_read_is_an_error_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread

    def failing(fd: int, size: int, offset: int) -> bytes:
        if offset >= 512:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(ArchiveError, match=r"train\.tar.*at byte 512: .*Input/output error"):
        walk(header(b"a") + END)


def test_a_file_that_shrinks_while_read_is_an_error() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(header(b"a") + header(b"b") + END)
        file.flush()
        members = tar.walk(file.fileno(), "t.tar")
        assert next(members).name == "a"
        file.truncate(700)
        with pytest.raises(ArchiveError, match="became shorter"):
            list(members)
