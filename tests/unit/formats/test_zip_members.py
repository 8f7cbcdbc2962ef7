"""The zip reader against Python's, and against archives that are damaged or made to deceive."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import zip_directory, zip_members
from imagenet_builders.formats.zip_members import ZipMember, chunks, list_members, read

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
NOISE = random.Random(0).randbytes(3000)
CONTENT = {"a.txt": b"hello " * 100, "d/": b"", "d/noise.bin": NOISE, "d/e/empty": b""}


def make(
    content: dict[str, bytes] | None = None, method: int = DEFLATED, comment: bytes = b""
) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.comment = comment
        for name, data in (CONTENT if content is None else content).items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return bytearray(stream.getvalue())


def streamed(content: dict[str, bytes], method: int = DEFLATED) -> bytearray:
    """As written to a pipe: sizes and CRC follow the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.data += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return pipe.data


class Reading:
    """An archive in a file."""

    def __init__(self, path: Path, data: bytes | bytearray, **place):
        self.path = path / "archive.zip"
        self.path.write_bytes(data)
        self.place = place

    def members(self) -> dict[str, ZipMember]:
        with open(self.path, "rb") as file:
            found = list_members(file.fileno(), str(self.path), **self.place)
        return {member.name: member for member in found}

    def content(self) -> dict[str, bytes]:
        with open(self.path, "rb") as file:
            return {
                name: read(file.fileno(), str(self.path), member, limit=1 << 20)
                for name, member in self.members().items()
            }


def refused(path: Path, data: bytes | bytearray, **place) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        Reading(path, data, **place).content()
    assert str(path) in str(caught.value)
    return caught.value


ARCHIVES: dict[str, Callable[[], bytearray]] = {
    "deflated": make,
    "stored": lambda: make(method=STORED),
    "with a comment": lambda: make(comment=b"made by a test"),
    "written to a pipe": lambda: streamed(CONTENT),
    "empty": lambda: make({}),
    "many": lambda: make({f"{number}.txt": b"%d" % number for number in range(70_000)}, STORED),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_members_are_those_of_zipfile(tmp_path: Path, kind: str):
    data = ARCHIVES[kind]()
    reading = Reading(tmp_path, data)
    found = reading.members()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert list(found) == [info.filename for info in archive.infolist()]
        for info in archive.infolist():
            member = found[info.filename]
            assert (member.size, member.crc, member.compressed_size) == (
                info.file_size,
                info.CRC,
                info.compress_size,
            )
            assert member.is_directory == info.is_dir()
        if kind != "many":
            assert reading.content() == {name: archive.read(name) for name in archive.namelist()}


def test_an_end_record_in_the_comment_is_not_the_end(tmp_path: Path):
    # zipfile takes it for the end, and refuses the archive.
    comment = b"PK\x05\x06 and so on, longer than the record would be"
    assert Reading(tmp_path, make(comment=comment)).content() == CONTENT


def test_a_stored_member_lies_at_its_offset(tmp_path: Path):
    data = make(method=STORED)
    member = Reading(tmp_path, data).members()["d/noise.bin"]
    assert member.method == "stored"
    assert data[member.offset : member.offset + member.size] == NOISE
    assert data[member.header_offset :][:4] == b"PK\x03\x04"
    assert member.file_name == "noise.bin"


def test_a_zip_in_a_zip_is_read_where_it_lies(tmp_path: Path):
    inner = bytes(make())
    data = make({"first": b"1", "inner.zip": inner}, STORED)
    member = Reading(tmp_path, data).members()["inner.zip"]
    place = {"start": member.offset, "end": member.offset + member.size, "inner": "inner.zip"}
    assert Reading(tmp_path, data, **place).content() == CONTENT
    data[member.offset + 2] ^= 1
    assert refused(tmp_path, data, **place).member == "inner.zip/a.txt"


def test_a_small_zip64_archive_is_read(tmp_path: Path):
    # As NumPy writes: 64-bit sizes in the header, as it does not know how large it will be.
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", DEFLATED) as archive:
        for name, data in CONTENT.items():
            if data:
                with archive.open(name, "w", force_zip64=True) as member:
                    member.write(data)
    kept = {name: data for name, data in CONTENT.items() if data}
    assert Reading(tmp_path, stream.getvalue()).content() == kept


def test_a_zip64_archive_of_5_gigabytes_is_read(tmp_path: Path):
    path = tmp_path / "sparse.zip"
    hole = 5 << 30
    with open(path, "wb") as file:
        # A stored member of zeros that is a hole, so nothing of it is written or read.
        name = b"zeros"
        extra = struct.pack("<HHQQ", 1, 16, hole, hole)
        full = 0xFFFFFFFF
        file.write(
            struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 33, 7, full, full, 5, 20)
            + name
            + extra
        )
        file.seek(hole, 1)
        second = file.tell()
        file.write(struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 907060870, 5, 5, 5, 0))
        file.write(b"after" + b"hello")
        directory = file.tell()
        entry = "<4s6H3L5H2L"
        file.write(
            struct.pack(entry, b"PK\1\2", 45, 45, 0, 0, 0, 33, 7, full, full, 5, 20, 0, 0, 0, 0, 0)
            + name
            + extra
        )
        far = struct.pack("<HHQ", 1, 8, second)
        crc = zlib.crc32(b"hello")
        head = (b"PK\1\2", 45, 45, 0, 0, 0, 33, crc, 5, 5, 5, 12, 0, 0, 0, 0, full)
        file.write(struct.pack(entry, *head) + b"after" + far)
        size = file.tell() - directory
        end = file.tell()
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, size, directory))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, size, full, 0))
    # Its second header must have the right CRC for the two to agree.
    with open(path, "r+b") as file:
        file.seek(second + 14)
        file.write(struct.pack("<L", crc))
        file.flush()
        zeros, after = list_members(file.fileno(), str(path))
        assert (zeros.size, after.header_offset) == (hole, second)
        assert read(file.fileno(), str(path), after, limit=5) == b"hello"
        with pytest.raises(ArchiveError, match="expected at most 1,000 bytes, found 5,368,709,120"):
            read(file.fileno(), str(path), zeros, limit=1000)


@pytest.mark.parametrize("length", [0, 1, 21, 22, 100, 1000, -23, -1])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, length: int):
    data = make()[:length]
    problem = "no bytes at all" if not data else "cut off|expected a zip archive, found"
    error = refused(tmp_path, data)
    assert any(part in error.problem for part in problem.split("|"))


def test_an_archive_with_bytes_before_or_after_it_is_refused(tmp_path: Path):
    assert "something was added" in refused(tmp_path, make() + b"more").problem
    assert "joined to something else" in refused(tmp_path, b"#!/bin/sh\n" + make()).problem
    assert "a tar" not in refused(tmp_path, b"<html>not here</html>").problem


def patched(data: bytearray, signature: bytes, offset: int, value: bytes, which: int = 0) -> bytes:
    """An archive with other bytes at an offset of one of its records of a kind."""
    at = -1
    for _ in range(which + 1):
        at = data.index(signature, at + 1)
    data[at + offset : at + offset + len(value)] = value
    return bytes(data)


LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


def test_an_encrypted_member_is_refused(tmp_path: Path):
    error = refused(tmp_path, patched(make(), CENTRAL, 8, b"\x01"))
    assert "encrypted" in error.problem
    assert error.member == "a.txt"
    assert "one of them is damaged" in refused(tmp_path, patched(make(), LOCAL, 6, b"\1")).problem


@pytest.mark.parametrize(
    ("method", "name"),
    [(9, "deflate64"), (12, "bzip2"), (14, "LZMA"), (93, "zstd"), (1, "unknown")],
)
def test_another_compression_is_refused_by_its_name(tmp_path: Path, method: int, name: str):
    data = patched(make(), CENTRAL, 10, bytes([method]))
    assert f"({name}, method {method})" in refused(tmp_path, data).problem


@pytest.mark.parametrize(
    "name",
    ["../up", "a/../../up", "/absolute", "c:/drive", "..\\up", "a\\..\\..\\up", "\\root", "nul\0"],
)
def test_a_name_that_escapes_the_archive_is_refused(tmp_path: Path, name: str):
    plain = "x" * len(name)
    data = bytes(make({plain: b"1"})).replace(plain.encode(), name.encode())
    assert "leads out of the archive" in refused(tmp_path, data).problem


def test_windows_backslashes_are_between_directories(tmp_path: Path):
    names = {"train/n01440764/": b"", "train/n01440764/a.JPEG": b"1"}
    data = bytes(make(names)).replace(b"train/n01440764/", b"train\\n01440764\\")
    reading = Reading(tmp_path, data)
    assert reading.content() == names
    assert [name for name, member in reading.members().items() if member.is_directory] == [
        "train/n01440764/"
    ]


def test_one_name_spelled_in_two_ways_is_a_duplicate(tmp_path: Path):
    data = bytes(make({"a/b": b"1", "a.b": b"2"})).replace(b"a.b", b"a\\b")
    assert "there twice" in refused(tmp_path, data).problem


def test_a_symlink_is_refused(tmp_path: Path):
    data = patched(make(), CENTRAL, 38, struct.pack("<L", 0o120777 << 16))
    assert "symlink" in refused(tmp_path, data).problem


def test_a_duplicate_name_is_refused(tmp_path: Path):
    data = bytes(make({"one": b"1", "two": b"2"})).replace(b"two", b"one")
    assert "there twice" in refused(tmp_path, data).problem


def test_overlapping_members_are_refused(tmp_path: Path):
    # The second entry of the directory leads to the data of the first, as in David Fifield's bomb.
    data = make({"one": b"1" * 50, "two": b"1" * 50})
    end = data.index(END)
    first = data.index(CENTRAL)
    second = data.index(CENTRAL, first + 1)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    assert "the directory says" in refused(tmp_path, bytes(data)).problem
    data[second:end] = data[first:second]
    assert "there twice" in refused(tmp_path, bytes(data)).problem


def test_a_member_around_another_is_refused(tmp_path: Path):
    data = make({"one": b"1" * 50, "two": b"2" * 50}, STORED)
    for offset, record in ((18, LOCAL), (20, CENTRAL)):
        data = bytearray(patched(data, record, offset, struct.pack("<LL", 90, 90)))
    assert "inside the one before" in refused(tmp_path, bytes(data)).problem
    data = make({"one": b"1" * 50}, STORED)
    for offset, record in ((18, LOCAL), (20, CENTRAL)):
        data = bytearray(patched(data, record, offset, struct.pack("<LL", 90, 90)))
    assert "lead into the directory" in refused(tmp_path, bytes(data)).problem


def test_false_sizes_are_refused(tmp_path: Path):
    def lying(size: int, method: int = DEFLATED) -> bytes:
        data = make({"one": b"1" * 5000}, method)
        for offset, record in ((22, LOCAL), (24, CENTRAL)):
            data = bytearray(patched(data, record, offset, struct.pack("<L", size)))
        return bytes(data)

    assert "1 bytes less" in refused(tmp_path, lying(5001)).problem
    assert "found more" in refused(tmp_path, lying(4999)).problem
    assert "cannot come out of" in refused(tmp_path, lying(1 << 20)).problem
    assert "stored as they are" in refused(tmp_path, lying(5001, STORED)).problem


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path: Path):
    error = refused(tmp_path, make({"bomb": bytes(100 << 20)}))
    assert "zip bomb" in error.problem
    # A picture of one colour shrinks as much, but is small.
    assert Reading(tmp_path, make({"flat": bytes(1 << 20)})).content() == {"flat": bytes(1 << 20)}


def test_inflating_takes_no_more_memory_than_a_few_chunks(tmp_path: Path):
    data = random.Random(1).randbytes(1 << 16) * 300
    reading = Reading(tmp_path, make({"large": data}))
    [member] = reading.members().values()
    with open(reading.path, "rb") as file:
        tracemalloc.start()
        assert sum(map(len, chunks(file.fileno(), "", member))) == len(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 << 20 < len(data)


def test_a_directory_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = make({str(number): b"" for number in range(100)})
    monkeypatch.setattr(zip_directory, "MAX_MEMBERS", 99)
    assert "at most 99 members, found one that says it has 100" in refused(tmp_path, data).problem


def test_a_member_that_is_damaged_is_named_with_its_place(tmp_path: Path):
    data = make(method=STORED)
    data[data.index(NOISE) + 5] ^= 1
    error = refused(tmp_path, data)
    assert (error.member, error.offset) == ("d/noise.bin", data.index(NOISE[6:]) - 6)
    assert "found other bytes" in error.problem


def test_an_archive_in_parts_is_refused(tmp_path: Path):
    error = refused(tmp_path, patched(make(), END, 4, b"\1"))
    assert "join the parts first: zip -s 0" in error.problem


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(b"1" * 100, mtime=0), "found gzip-compressed data; decompress it"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "found a 7z archive; unpack it"),
        (b" <html>Log in</html>", "found a web page"),
        (b"PK\7\10" + bytes(100), "the archive has no end"),
    ],
)
def test_another_file_type_is_named(tmp_path: Path, data: bytes, said: str):
    assert said in refused(tmp_path, data).problem


KINDS = {
    "deflated": bytes(make()),
    "stored": bytes(make(method=STORED, comment=b"comment")),
    "streamed": bytes(streamed({name: data for name, data in CONTENT.items() if data})),
}


@settings(
    max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 10_000)),
    tail=st.booleans(),
)
def test_damage_is_found_or_does_not_matter(tmp_path: Path, kind, flips, cut, tail):
    whole = KINDS[kind]
    data = bytearray(whole[: None if cut is None else cut % (len(whole) + 1)])
    for where, change in flips:
        if data:
            # Half of the flips go where the directory is.
            position = len(data) - 1 - where % min(len(data), 300) if tail else where % len(data)
            data[position] ^= change
    content = {name: body for name, body in CONTENT.items() if body or kind != "streamed"}
    with contextlib.suppress(ArchiveError):
        assert Reading(tmp_path, data).content() == content


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=200), end=st.booleans())
def test_another_file_type_is_refused(tmp_path: Path, data: bytes, end: bool):
    data += b"PK\5\6" + bytes(18) if end else b""
    try:
        assert Reading(tmp_path, data).content() == {}
    except ArchiveError:
        return
    assert data == b"PK\5\6" + bytes(18)


def test_an_unreadable_file_is_named(tmp_path: Path):
    import os

    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(ArchiveError, match="could not be read"):
            list_members(fd, str(tmp_path))
    finally:
        os.close(fd)


def test_the_reader_needs_no_more_than_one_read_for_many_members(tmp_path: Path, monkeypatch):
    reading = Reading(tmp_path, make({str(number): b"x" for number in range(1000)}, STORED))
    reads = []
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        reads.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert len(reading.members()) == 1000
    assert len(reads) < 10


def test_a_member_never_gives_more_bytes_than_its_size(tmp_path: Path):
    reading = Reading(tmp_path, make({"large": bytes(3 << 20)}))
    member = reading.members()["large"]._replace(size=1 << 20)
    given = 0
    with open(reading.path, "rb") as file:
        pieces = zip_members.chunks(file.fileno(), "", member)
        with contextlib.suppress(ArchiveError):
            for piece in pieces:
                given += len(piece)
            pytest.fail("more was given than the member has")
    assert given <= 1 << 20
