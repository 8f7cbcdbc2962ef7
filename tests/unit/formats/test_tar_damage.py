"""A damaged tar archive is an error or lists whole; it is never listed short, and never hangs."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corpora.tar_headers import END, PATH, extended, header, padded, record, walk

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import tar


def make(form: int) -> bytes:
    """A small archive with a directory, plain files, a link, a long name, and bodies of 0xFF."""
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for name, kind, size in [
                ("val", tarfile.DIRTYPE, 0),
                ("val/ILSVRC2012_val_00000001.JPEG", tarfile.REGTYPE, 700),
                ("soft", tarfile.SYMTYPE, 0),
                ("empty", tarfile.REGTYPE, 0),
                ("n01440764/" * 12 + "é.JPEG", tarfile.REGTYPE, 3),
                ("last.JPEG", tarfile.REGTYPE, 512),
            ]:
                info = tarfile.TarInfo(name)
                info.type, info.size, info.linkname = kind, size, "empty"
                archive.addfile(info, io.BytesIO(b"\xff" * size))
        return stream.getvalue()


ARCHIVES = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
every_format = pytest.mark.parametrize(
    "archive", [make(form) for form in ARCHIVES.values()], ids=ARCHIVES
)


def walk_or_none(data: bytes) -> list[tar.Member] | None:
    """The members, or None where the walk ends in the one error that it may end in."""
    try:
        return walk(data)
    except ArchiveError as raised:
        error = raised
    assert error.archive == PATH
    assert error.offset is not None
    assert 0 <= error.offset <= len(data)
    assert str(error).isprintable()
    return None


def end_of(members: list[tar.Member]) -> int:
    return members[-1].offset + -(-members[-1].size // 512) * 512


# --- any single damage -----------------------------------------------------------------------


@every_format
def test_an_archive_cut_off_at_any_byte_is_an_error(archive: bytes) -> None:
    members = walk(archive)
    needed = end_of(members) + len(END)
    for length in range(needed):
        assert walk_or_none(archive[:length]) is None, length
    for length in range(needed, len(archive) + 1):
        assert walk(archive[:length]) == members


@every_format
def test_any_flipped_bit_of_a_header_is_an_error(archive: bytes) -> None:
    members = walk(archive)
    for member in members:
        for i in range(member.header_offset, member.offset):
            # What a long-name or pax header carries has no checksum; see the next test.
            if member.header_offset + 512 <= i < member.offset - 512:
                continue
            for mask in (0x01, 0x10, 0x20, 0x80, 0xFF):
                data = bytearray(archive)
                data[i] ^= mask
                found = walk_or_none(bytes(data))
                # The checksum's own zeros in front and behind may also be spaces.
                is_checksum = 148 <= (i - member.header_offset) % 512 < 156
                assert found is None or (is_checksum and found == members), i


@every_format
def test_a_flipped_bit_in_a_long_name_or_pax_header_loses_no_member(archive: bytes) -> None:
    members = walk(archive)
    for member in members:
        for i in range(member.header_offset + 512, member.offset - 512):
            for bit in range(8):
                data = bytearray(archive)
                data[i] ^= 1 << bit
                found = walk_or_none(bytes(data))
                assert found is None or len(found) == len(members), i


@every_format
def test_any_header_of_zeros_is_an_error(archive: bytes) -> None:
    for member in walk(archive):
        for i in range(member.header_offset, member.offset, 512):
            assert walk_or_none(archive[:i] + bytes(512) + archive[i + 512 :]) is None, i


@every_format
def test_a_lost_or_repeated_block_is_an_error_or_visible(archive: bytes) -> None:
    members = walk(archive)
    for i in range(0, end_of(members), 512):
        for data in (archive[:i] + archive[i + 512 :], archive[: i + 512] + archive[i:]):
            found = walk_or_none(data)
            # Whole members of one block may be lost or come twice; counting them is for others.
            assert found is None or abs(len(found) - len(members)) <= 1, i


@every_format
@pytest.mark.parametrize("distance", [0, 1, 511, 512, 513, 1023, 9000, (1 << 20) + 5])
def test_anything_after_the_end_is_an_error_with_its_place(archive: bytes, distance: int) -> None:
    end = end_of(walk(archive)) + len(END)
    with pytest.raises(ArchiveError, match="then other data") as caught:
        walk(archive[:end] + bytes(distance) + b"junk" + bytes(3))
    assert caught.value.offset == end + distance


@every_format
def test_two_archives_in_one_file_are_an_error(archive: bytes) -> None:
    assert walk_or_none(archive + archive) is None


# --- any damage at all -----------------------------------------------------------------------


@every_format
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_members_or_the_one_error(archive: bytes, data: st.DataObject) -> None:
    damaged = bytearray(archive)
    for _ in range(data.draw(st.integers(1, 4))):
        i = data.draw(st.integers(0, len(damaged)))
        damaged[i : i + data.draw(st.integers(0, 700))] = data.draw(st.binary(max_size=700))
    walk_or_none(bytes(damaged))


hostile_numbers = st.one_of(
    st.binary(min_size=12, max_size=12),
    st.integers(0, 2**33 - 1).map(lambda n: b"%011o\0" % n),
    st.integers(0, 2**95 - 1).map(lambda n: b"\x80" + n.to_bytes(12, "big")[1:]),
    st.integers(-(2**88), -1).map(lambda n: n.to_bytes(12, "big", signed=True)),
)
hostile_headers = st.builds(
    header,
    st.binary(max_size=100),
    hostile_numbers,
    st.sampled_from([b"\0", *(bytes([c]) for c in b"01234567gxXLKSDMNVQ")]),
    magic=st.sampled_from([b"", b"ustar\x0000", b"ustar  \0"]),
    prefix=st.binary(max_size=155),
)
hostile_records = st.builds(
    record,
    st.sampled_from(["path", "size", "GNU.sparse.major", "GNU.sparse.name", "comment"]),
    st.one_of(st.text(max_size=30), st.integers(-2, 2000).map(str), st.just("9" * 5000)),
)
hostile_extensions = st.builds(
    extended,
    st.sampled_from([b"x", b"g", b"X", b"L", b"K"]),
    st.one_of(st.binary(max_size=60), st.lists(hostile_records, max_size=3).map(b"".join)),
)


@given(st.lists(st.one_of(hostile_headers, hostile_extensions), max_size=6), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_header_with_a_valid_checksum_gives_members_or_the_one_error(
    parts: list[bytes], is_ended: bool
) -> None:
    data = b"".join(parts) + (END if is_ended else b"")
    members = walk_or_none(data)
    if members is not None:
        assert is_ended
        spans = [(m.header_offset, m.offset, m.offset + m.size) for m in members]
        assert [value for span in spans for value in span] == sorted(
            value for span in spans for value in span
        )


# --- what it says ----------------------------------------------------------------------------

ONE = header(b"a.JPEG", 3) + padded(b"abc")
OTHER_FORMATS = {
    "no bytes at all": b"",
    "gzip-compressed": gzip.compress(ONE),
    "web page": b"\n<!DOCTYPE html>\n<html>Log in</html>",
    "web page, perhaps": b"<?xml version='1.0'?><Error>" + b" " * 600,
    "JPEG image": b"\xff\xd8\xff\xe0" + bytes(700),
    "Git LFS pointer; fetch what it stands for: git lfs pull": (
        b"version https://git-lfs.github.com/spec/v1\n"
    ),
    "7z archive; unpack it": b"7z\xbc\xaf\x27\x1c" + bytes(600),
    "Parquet file": b"PAR1" + bytes(600),
    "only 9 bytes": b"ImageNet\n",
    "found text; this is not a tar archive": b"ImageNet" * 100,
    "checksum is wrong": b"x" + ONE[1:] + END,
}


@pytest.mark.parametrize(("said", "data"), OTHER_FORMATS.items(), ids=OTHER_FORMATS)
def test_another_file_type_is_named(said: str, data: bytes) -> None:
    with pytest.raises(ArchiveError, match=said) as caught:
        walk(data)
    assert str(caught.value).startswith(f"{PATH}, at byte 0: expected a ")


def test_a_zip_archive_is_named() -> None:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a.JPEG", b"abc")
        data = stream.getvalue()
    with pytest.raises(ArchiveError, match="found a zip archive"):
        walk(data)


FAULTS = {
    "body cut off": (
        ONE + header(b"b.JPEG", 110_000) + bytes(4096),
        "this member needs 110,000 bytes but only 4,096 remain; copy the archive again",
        "b.JPEG",
        1536,
    ),
    "padding cut off": (ONE[:-1], "padding needs 512 bytes but only 511 remain", "a.JPEG", 512),
    "header cut off": (ONE + ONE[:100], "header needs 512 bytes but only 100 remain", None, 1024),
    "cut at a boundary": (
        ONE,
        "after member 'a.JPEG', or its writer .*: it ends at a member's end",
        None,
        1024,
    ),
    "one zero block": (ONE + bytes(512), "but only 512 bytes remain", None, 1024),
    "header of zeros": (ONE + bytes(512) + ONE, "found one block of zeros", None, 1536),
    "second archive": (ONE + END + ONE, "found the two blocks of zeros", None, 2048),
    "header damaged": (ONE + b"x" * 512 + END, "after member 'a.JPEG'.* checksum", None, 1024),
    "not octal": (header(b"a", b"0000000009z") + END, "expected the size of the", "a", 0),
    "negative": (header(b"a", b"\xff" * 12) + END, "expected the size of the", "a", 0),
    "absurd": (header(b"a", b"\x80" + b"\xff" * 11) + END, "needs 309,485,009,821,3", "a", 512),
    "long name and end": (extended(b"L", b"long\0") + END, "found the end", "long", 1024),
    "pax header and nothing": (extended(b"x", record("path", "p")), "found the end", "p", 1024),
    "long name too long": (header(b"@", 1 << 21, b"L") + END, "claims 2,097,152", "@", 0),
    "long name cut off": (header(b"@", 4000, b"L") + END, "only 1,024 remain", "@", 512),
    "no length": (extended(b"x", b"path=b\n"), "in place of a record's length", "././@Ext", 0),
    "wrong length": (extended(b"x", b"99 path=b\n"), "length, 99, is wrong", "././@Ext", 0),
    "length 0": (extended(b"x", b"0 path=b\n"), "length, 0, is wrong", "././@Ext", 0),
    "no equals sign": (extended(b"g", b"9 path:b\n"), "without '='", "././@Ext", 0),
    "no keyword": (extended(b"x", b"5 =b\n"), "one without '='", "././@Ext", 0),
    "bad pax size": (extended(b"x", record("size", "-1")), "found '-1'", "././@Ext", 0),
    "global size": (extended(b"g", record("size", "1")), "for all", "././@Ext", 0),
    "no long name": (extended(b"L", b"\0") + ONE, "of 1 bytes .* found 0", "././@Ext", 0),
    "long link of zeros": (extended(b"K", bytes(300)) + ONE, "of 300 .* found 0", "././@Ext", 0),
    "pax header of zeros": (extended(b"x", bytes(30)) + ONE, "record's length", "././@Ext", 0),
    "zeros in a path": (extended(b"x", record("path", "a\0b")) + ONE, "a zero b", "././@Ext", 0),
    "chain": (extended(b"K", b"k\0") * 17 + ONE + END, "more than 16 ", None, 17 * 1024),
    "pax size too large": (
        extended(b"x", record("size", "99999999") + record("path", "p")) + ONE + END,
        "this member needs 99,999,999 bytes but only 1,536 remain",
        "p",
        1536,
    ),
}


@pytest.mark.parametrize(("data", "said", "member", "offset"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("inner", [None, "n01440764.tar"])
def test_an_error_names_the_fault_and_its_place(
    data: bytes, said: str, member: str | None, offset: int, inner: str | None
) -> None:
    before = bytes(300) if inner else b""
    with pytest.raises(ArchiveError, match=said) as caught:
        walk(
            before + data + b"x" * len(before),
            start=len(before),
            end=len(before + data),
            inner=inner,
        )
    error = caught.value
    parts = [part for part in (inner, member) if part is not None]
    assert (error.member or "").startswith("/".join(parts))
    assert (error.member is None) == (not parts)
    assert error.offset == offset + len(before)
    assert str(error).startswith(f"{PATH}, ")
    assert f"at byte {error.offset:,}: " in str(error)


def test_a_range_that_goes_beyond_the_file_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="cut off"):
        walk(ONE, end=1 << 40)


# --- what it takes ---------------------------------------------------------------------------

LIES = {
    "size": header(b"a", b"\x80" + b"\xff" * 11),
    "long name": header(b"a", 8**11 - 1, b"L"),
    "pax header": header(b"a", 8**11 - 1, b"x"),
    "pax size": extended(b"x", record("size", "9" * 5000)) + header(b"a"),
    "sparse map": header(b"a", 1, b"S")[:482] + b"\x01" + header(b"a", 1, b"S")[483:],
    "many pax headers": extended(b"g", record("comment", "c" * 900)) * 5000,
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_a_false_size_takes_no_memory(data: bytes) -> None:
    data += b"\xff" * (4 << 20)
    walk_or_none(ONE + END)
    tracemalloc.start()
    try:
        assert walk_or_none(data) is None
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_sparse_map_without_end_is_an_error() -> None:
    head = bytearray(header(b"holes", 1, b"S"))
    head[482] = 1
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    with pytest.raises(ArchiveError, match="sparse map of less than 1,048,576 bytes"):
        walk(bytes(head) + b"\xff" * (2 << 20))


def test_a_pax_header_of_many_records_takes_linear_time() -> None:
    records = b"6 a=b\n" * 170_000  # Just below the bound.
    before = time.process_time()
    assert [m.name for m in walk(extended(b"x", records) + ONE + END)] == ["a.JPEG"]
    assert time.process_time() - before < 5  # A tenth of a second, or minutes if quadratic.
