"""Unpacking a gzip archive to scratch: once, exactly, and not from nothing after an accident."""

from __future__ import annotations

import fcntl
import gzip
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from imagenet_builders.errors import ArchiveError, OptionError, SourceError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.formats import gzip_stream
from imagenet_builders.scratch import gunzip, rapid
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.unpacking import packed_tar

# As incompressible as images are, and more than one read.
CONTENT = random.Random(0).randbytes(3_500_000)
PACKED = gzip.compress(CONTENT, mtime=0)


@pytest.fixture(params=["one processor", "several processors"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether rapidgzip has the first try, which changes nothing but the time it takes."""
    way: str = request.param
    if way == "several processors":
        pytest.importorskip("rapidgzip")
        monkeypatch.setattr(rapid, "_LEAST_BYTES", 0)
        monkeypatch.setattr(rapid, "usable_cpus", lambda: 2)
    return way


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "staged" / "winter21_whole.tar.gz"
    path.parent.mkdir()
    path.write_bytes(PACKED)
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch" / "unpacked"


def gunzipped(
    archive: Path, scratch: Path, report: Callable[[int], None] = lambda size: None
) -> Path:
    """Unpacks an archive to a directory; returns the plain file."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    with PrivateDir.enter(scratch) as directory:
        packed = packed_tar(SourceFile.of(archive))
        gunzip.unpack_to(packed, directory, report, processors=2)
    return scratch / packed.name


def left(scratch: Path, content: bytes | bytearray) -> None:
    """Leaves the partial file of an interrupted run."""
    scratch.mkdir(mode=0o700, parents=True)
    partial = scratch / "winter21_whole.tar.partial"
    partial.touch(mode=0o600)
    partial.write_bytes(content)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where in the plain file something was written."""
    places: list[int] = []
    pwrite = os.pwrite

    def spy(fd: int, data: bytes, at: int) -> int:
        places.append(at)
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", spy)
    return places


def test_the_content_becomes_a_plain_file_with_the_same_name(archive: Path, scratch: Path):
    plain = gunzipped(archive, scratch)
    assert plain == scratch / "winter21_whole.tar"
    assert plain.read_bytes() == CONTENT


def test_all_gzip_members_are_unpacked_and_padding_ignored(archive: Path, scratch: Path):
    parts = [CONTENT[:1_000_000], b"", CONTENT[1_000_000:2_500_000], CONTENT[2_500_000:]]
    packed = b"".join(gzip.compress(part, mtime=0) for part in parts)
    archive.write_bytes(packed + bytes(2 << 20))
    assert gunzipped(archive, scratch).read_bytes() == CONTENT


@pytest.mark.parametrize("read_bytes", [1, 2, 3, 17])
def test_the_size_of_reads_does_not_matter(
    archive: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
):
    monkeypatch.setattr(gzip_stream, "READ_BYTES", read_bytes)
    archive.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two") + bytes(5))
    assert gunzipped(archive, scratch).read_bytes() == b"one two"


def test_highly_compressed_data_is_unpacked_in_small_pieces(
    archive: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, written: list[int]
):
    monkeypatch.setattr(gzip_stream, "PIECE_BYTES", 1000)
    archive.write_bytes(gzip.compress(b"z" * 10_500))
    assert gunzipped(archive, scratch).read_bytes() == b"z" * 10_500
    assert len(written) >= 11


def test_progress_counts_the_bytes_of_the_archive(archive: Path, scratch: Path):
    told: list[int] = []
    gunzipped(archive, scratch, report=told.append)
    assert sum(told) == len(PACKED)


def test_too_little_space_is_an_error_before_anything_is_written(
    archive: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = shutil.disk_usage(archive.parent)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OptionError, match=r"has 1\.0 MB free, but 3\.9 MB are .*scratch-dir"):
        gunzipped(archive, scratch)
    assert (scratch / "winter21_whole.tar.partial").stat().st_size == 0


def test_unpacked_data_needs_no_more_space(
    archive: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    left(scratch, CONTENT[:3_000_000])
    usage = shutil.disk_usage(archive.parent)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert gunzipped(archive, scratch).read_bytes() == CONTENT


def test_a_full_disk_is_an_error_with_a_remedy_and_keeps_the_unpacked_data(
    archive: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    pwrite = os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        if at >= 2_000_000:
            raise OSError(28, "No space left on device")
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OptionError, match=r"no space is left after 2\.\d MB.*--scratch-dir"):
        gunzipped(archive, scratch)
    kept = (scratch / "winter21_whole.tar.partial").read_bytes()
    assert len(kept) >= 2_000_000
    assert CONTENT.startswith(kept)


@pytest.mark.parametrize("flags", [0b10, 0b100000, 0b10000000])
def test_a_header_that_zlib_refuses_is_refused(archive: Path, scratch: Path, flags: int):
    """Of a wrong checksum of its own, or flags that mean nothing; rapidgzip looks at neither."""
    more = b"\0\0" if flags == 0b10 else b""
    archive.write_bytes(PACKED[:3] + bytes([flags]) + PACKED[4:10] + more + PACKED[10:])
    with pytest.raises(ArchiveError, match="at byte 0: the gzip data are damaged here"):
        gunzipped(archive, scratch)


def test_where_no_process_can_be_started_zlib_unpacks(
    archive: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert gunzipped(archive, scratch).read_bytes() == CONTENT


# Once is enough.


def test_the_second_time_nothing_is_read_or_written(
    archive: Path, scratch: Path, written: list[int]
):
    plain = gunzipped(archive, scratch)
    before = plain.stat()
    told: list[int] = []
    written.clear()
    assert gunzipped(archive, scratch, report=told.append) == plain
    assert (told, written, plain.stat().st_mtime_ns) == ([], [], before.st_mtime_ns)


@pytest.mark.parametrize("change", ["the archive", "the plain file", "no state"])
def test_a_changed_archive_is_unpacked_again(
    archive: Path, scratch: Path, written: list[int], change: str
):
    plain = gunzipped(archive, scratch)
    content = CONTENT
    if change == "the archive":
        content = CONTENT[:1_500_000] + b"!" + CONTENT[1_500_001:]
        archive.write_bytes(gzip.compress(content, mtime=0))
        os.utime(archive, ns=(1, 1))
    elif change == "the plain file":
        os.truncate(plain, 2_000_000)
    else:
        plain.with_name(f"{plain.name}.json").unlink()
    written.clear()
    assert gunzipped(archive, scratch).read_bytes() == content
    assert len(written) < 4, "only what differs is written"


# Damage.


def keeps_good_bytes(scratch: Path, least: int) -> None:
    kept = (scratch / "winter21_whole.tar.partial").read_bytes()
    assert len(kept) >= least
    assert kept[:least] == CONTENT[:least]
    assert not (scratch / "winter21_whole.tar").exists()


def test_a_cut_off_archive_names_the_offset_and_keeps_the_good_part(archive: Path, scratch: Path):
    cut = len(PACKED) * 9 // 10
    archive.write_bytes(PACKED[:cut])
    with pytest.raises(ArchiveError, match=r"cut off.*inside the gzip data.*are kept") as caught:
        gunzipped(archive, scratch)
    assert (caught.value.archive, caught.value.offset) == (str(archive), cut)
    keeps_good_bytes(scratch, len(CONTENT) * 9 // 10 - 100_000)


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_missing_end_of_the_checksum_counts_as_cut_off(
    archive: Path, scratch: Path, missing: int
):
    archive.write_bytes(PACKED[:-missing])
    with pytest.raises(ArchiveError, match="cut off"):
        gunzipped(archive, scratch)


def test_a_wrong_checksum_gives_the_range_of_the_damage(archive: Path, scratch: Path):
    # Random bytes are stored as they are, so a changed one is not seen before the end.
    spoil(archive, len(PACKED) // 2)
    with pytest.raises(ArchiveError, match=r"checksum.*between byte 0 and here") as caught:
        gunzipped(archive, scratch)
    assert caught.value.offset == pytest.approx(len(PACKED), abs=1000)
    keeps_good_bytes(scratch, len(CONTENT) // 2 - 1000)


def test_a_damaged_block_gives_its_approximate_place(archive: Path, scratch: Path):
    text = b"".join(b"%d," % number for number in range(500_000))
    packed = gzip.compress(text, mtime=0)
    middle = len(packed) // 2
    archive.write_bytes(packed[:middle] + b"\xff" * 400 + packed[middle + 400 :])
    with pytest.raises(ArchiveError, match=r"gzip data are damaged|checksum") as caught:
        gunzipped(archive, scratch)
    assert middle - 600 <= (caught.value.offset or 0) <= len(packed)
    kept = (scratch / "winter21_whole.tar.partial").read_bytes()
    assert len(kept) > len(text) * 0.4
    assert kept[: int(len(text) * 0.4)] == text[: int(len(text) * 0.4)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no bytes at all"),
        (b"winter21_whole/".ljust(512, b"\0"), "expected a gzip file, found unknown data"),
        (PACKED + b"appended", "text follows"),
        (PACKED + b"\x1f", "unknown data follow"),
        (PACKED + PACKED[:100], "cut off"),
    ],
    ids=["empty", "a tar", "something appended", "half a magic number", "half a member"],
)
def test_anything_but_a_whole_gzip_file_is_refused(
    archive: Path, scratch: Path, content: bytes, message: str
):
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=message):
        gunzipped(archive, scratch)
    assert not (scratch / "winter21_whole.tar").exists()


def test_a_decompression_bomb_is_stopped(
    archive: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gunzip, "_ALWAYS_ALLOWED", 1 << 20)
    archive.write_bytes(gzip.compress(bytes(64 << 20)))
    with pytest.raises(ArchiveError, match="more than 3 times its size"):
        gunzipped(archive, scratch)
    assert (scratch / "winter21_whole.tar.partial").stat().st_size < 16 << 20


def spoil(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


# The next run.


def cut_off(archive: Path) -> None:
    os.truncate(archive, len(PACKED) * 9 // 10)


def spoilt(archive: Path) -> None:
    spoil(archive, len(PACKED) // 2)


@pytest.mark.parametrize("damage", [cut_off, spoilt])
def test_a_new_copy_of_the_archive_is_written_only_where_it_differs(
    archive: Path, scratch: Path, written: list[int], damage: Callable[[Path], None]
):
    damage(archive)
    with pytest.raises(ArchiveError):
        gunzipped(archive, scratch)
    archive.write_bytes(PACKED)
    written.clear()
    assert gunzipped(archive, scratch).read_bytes() == CONTENT
    assert 0 < len(written) <= 2


def test_a_killed_run_continues(archive: Path, scratch: Path, written: list[int]):
    # As a power cut may leave it: a good part, a hole, and rubbish beyond the end.
    there = bytearray(CONTENT + b"rubbish")
    there[1_200_000:1_300_000] = bytes(100_000)
    left(scratch, there)
    assert gunzipped(archive, scratch).read_bytes() == CONTENT
    assert 0 < len(written) <= 2


def test_two_processes_do_not_write_to_the_same_file(archive: Path, scratch: Path):
    left(scratch, b"")
    with open(scratch / "winter21_whole.tar.partial", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="another build is unpacking"):
            gunzipped(archive, scratch)


def test_an_archive_that_changes_while_it_is_read_is_an_error(archive: Path, scratch: Path):
    def touch(_: int) -> None:
        os.utime(archive, ns=(1, 1))

    with pytest.raises(SourceError, match="changed after it was indexed"):
        gunzipped(archive, scratch, report=touch)
    assert not (scratch / "winter21_whole.tar").exists()


# Several processors.


def inflated(path: Path, told: list[int] | None = None) -> bytes:
    """What rapidgzip makes of a file, if it is believed."""
    packed = packed_tar(SourceFile.of(path))
    with open(path, "rb") as file:
        processors = rapid.processors_for(packed, file.fileno(), 2)
        assert processors == 2
        told = [] if told is None else told
        return b"".join(rapid.pieces(packed, file.fileno(), processors, told.append))


@pytest.fixture
def several(way: str) -> None:
    if way != "several processors":
        pytest.skip("of rapidgzip")


@pytest.mark.usefixtures("several")
def test_a_sound_archive_is_inflated_once(archive: Path):
    told: list[int] = []
    assert inflated(archive, told) == CONTENT
    assert sum(told) == len(PACKED)


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    "content",
    [
        PACKED[: len(PACKED) // 2],
        PACKED[:-9],
        PACKED[:-4],
        PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:],
        PACKED[:-4] + bytes([PACKED[-4] ^ 1]) + PACKED[-3:],
        PACKED[:2_000_000] + bytes([PACKED[2_000_000] ^ 1]) + PACKED[2_000_001:],
        PACKED + PACKED,
        PACKED + b"appended",
    ],
    ids=["half", "9 off", "4 off", "crc", "length", "a bit", "two members", "appended"],
)
def test_what_its_last_bytes_do_not_say_is_not_believed(archive: Path, content: bytes):
    archive.write_bytes(content)
    with pytest.raises(rapid.Doubt):
        inflated(archive)


@pytest.mark.usefixtures("several")
def test_no_process_is_left_when_the_caller_stops(archive: Path):
    packed = packed_tar(SourceFile.of(archive))
    before = set(psutil.Process().children())  # Other tests may have left some.
    with open(archive, "rb") as file:
        pieces = rapid.pieces(packed, file.fileno(), 2, lambda size: None)
        next(pieces)
        assert set(psutil.Process().children()) > before
        pieces.close()
    assert set(psutil.Process().children()) <= before


@pytest.mark.usefixtures("several")
def test_what_is_read_twice_is_reported_once(archive: Path, scratch: Path):
    archive.write_bytes(PACKED + PACKED)
    told: list[int] = []
    assert gunzipped(archive, scratch, told.append).read_bytes() == CONTENT + CONTENT
    assert sum(told) == 2 * len(PACKED)
