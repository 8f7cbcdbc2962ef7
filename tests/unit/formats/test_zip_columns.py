"""What is said of all members of a zip archive at once is what is said of each."""

from __future__ import annotations

import io
import os
import random
import struct
import zipfile
from collections.abc import Callable, Iterator

import pytest

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import zip_columns
from imagenet_builders.formats.zip_directory import ENTRY, MAX_MEMBERS
from imagenet_builders.formats.zip_members import list_members

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
CONTENT = {"a/": b"", "a/b.txt": b"hello " * 9, "a/c d-1.JPEG": bytes(range(99)), "e": b""}
# As Info-ZIP's `zip` writes them: times and owner.
EXTRA = bytes.fromhex("5554 0500 0300000000 7578 0b00 0104000000000400000000")


def make(
    method: int = STORED, extra: bytes = b"", content: dict[str, bytes] = CONTENT, **fields: int
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in content.items():
            member = zipfile.ZipInfo(name)
            member.extra = extra
            for field, value in fields.items():
                setattr(member, field, value)
            archive.writestr(member, data, method)
    return stream.getvalue()


def streamed() -> bytes:
    """As written to a pipe: sizes and CRC follow the data."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", DEFLATED) as archive:
        for name, data in CONTENT.items():
            archive.writestr(name, data)
    return pipe.getvalue()


@pytest.fixture
def listed() -> Iterator[Callable[[bytes], tuple[object, object]]]:
    fd = os.memfd_create("archive")

    def columns() -> object:
        found = zip_columns.usual_members(fd, "archive.zip")
        if found is None:
            return None
        numbers = (column.tolist() for column in found[1:])
        return list(zip(found.names, *numbers, strict=True))

    def one_by_one() -> object:
        return [
            (
                each.name,
                each.header_offset,
                each.offset,
                each.compressed_size,
                each.size,
                each.crc,
                each.method == "deflated",
            )
            for each in list_members(fd, "archive.zip")
            if not each.is_directory
        ]

    def both(data: bytes) -> tuple[object, object]:
        os.ftruncate(fd, 0)
        os.pwrite(fd, data, 0)
        outcomes = []
        for way in (columns, one_by_one):
            try:
                outcomes.append(way())
            except ArchiveError as error:
                outcomes.append(str(error))
        return outcomes[0], outcomes[1]

    yield both
    os.close(fd)


USUAL = {
    "stored": make,
    "deflated": lambda: make(DEFLATED),
    "with times and owners": lambda: make(extra=EXTRA),
    "written to a pipe": streamed,
    "no folders": lambda: make(content={"b.JPEG": b"b", "a.JPEG": b"a" * 3_000_000}),
    "more than a read": lambda: make(content={f"{n}.JPEG": bytes(1000) for n in range(3000)}),
}


@pytest.mark.parametrize("kind", USUAL)
def test_usual_archives_are_listed_at_once(kind: str, listed):
    at_once, one_by_one = listed(USUAL[kind]())
    assert at_once
    assert at_once == one_by_one


def test_members_come_in_the_order_of_their_data(listed):
    data = make(content={"a": b"1", "b": b"22"})
    begin = data.index(b"PK\1\2")
    entry = len("a") + 46
    swapped = (
        data[:begin]
        + data[begin + entry : begin + 2 * entry]
        + data[begin : begin + entry]
        + data[begin + 2 * entry :]
    )
    at_once, one_by_one = listed(swapped)
    assert [name for name, *_ in at_once] == ["a", "b"]
    assert at_once == one_by_one


UNUSUAL = {
    "a name that is no ASCII": make(content={"\u00e9": b"1"}),
    "a backslash": make(content={"aXb": b"1"}).replace(b"aXb", b"a\\b"),
    "a line break": make(content={"aXb": b"1"}).replace(b"aXb", b"a\nb"),
    "a way out": make(content={"../b": b"1"}),
    "an absolute path": make(content={"Xb": b"1"}).replace(b"Xb", b"/b"),
    "a drive": make(content={"CXb": b"1"}).replace(b"CXb", b"C:b"),
    "a name twice": make(content={"aX": b"1", "aY": b"1"}).replace(b"aY", b"aX"),
    "a symlink": make(external_attr=0o120777 << 16),
    "a ZIP64 field": make(extra=struct.pack("<HHQ", 1, 8, 5)),
    "another name in a field": make(extra=struct.pack("<HHB", 0x7075, 1, 1)),
    "no members": make(content={}),
    "a bomb": make(DEFLATED, content={"a": bytes(1 << 20)}),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_is_unusual_is_left_to_be_looked_at_one_by_one(kind: str, listed):
    at_once, _ = listed(UNUSUAL[kind])
    assert at_once is None


@pytest.mark.parametrize("kind", ["deflated", "with times and owners", "written to a pipe"])
def test_no_damage_is_overlooked(kind: str, listed):
    data = USUAL[kind]()
    rng = random.Random(kind)
    left = 0
    for at in range(len(data)):
        for value in {0, 0xFF, data[at] ^ 1 << rng.randrange(8), rng.randrange(256)}:
            at_once, one_by_one = listed(data[:at] + bytes([value]) + data[at + 1 :])
            assert at_once is None or at_once == one_by_one, (at, value)
            left += at_once is None
    assert left > len(data)


def test_no_cut_is_overlooked(listed):
    data = make(extra=EXTRA)
    for end in range(len(data)):
        at_once, one_by_one = listed(data[:end])
        assert at_once is None or at_once == one_by_one
        assert isinstance(one_by_one, str)


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
def test_what_looks_like_too_many_entries_is_too_many(more: int, refused: bool, listed):
    """Comments full of what an entry begins with, up to the bound and beyond it."""
    members = 17
    left = MAX_MEMBERS + more - members
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(members):
            member = zipfile.ZipInfo(f"{number}")
            member.comment = ENTRY * min(left, 0xFFFF // len(ENTRY))
            left -= len(member.comment) // len(ENTRY)
            archive.writestr(member, b"1")
    assert left == 0
    at_once, one_by_one = listed(stream.getvalue())
    if refused:
        assert at_once is None
        assert f"found one that says it has {MAX_MEMBERS + more:,}" in one_by_one
    else:
        assert len(at_once) == members
        assert at_once == one_by_one
