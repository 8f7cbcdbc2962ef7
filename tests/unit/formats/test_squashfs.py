"""SquashFS images made by mksquashfs: every file's bytes, from one number; damage is an error."""

from __future__ import annotations

import lzma
import os
import random
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import lz4.block
import pyarrow as pa
import pytest
import zstandard

from imagenet_builders.datasets.ilsvrc2012.examples import make_examples
from imagenet_builders.errors import ArchiveError, OptionError
from imagenet_builders.formats.squashfs import files as squashfs_files
from imagenet_builders.formats.squashfs.blocks import BadBlockError, unpacker
from imagenet_builders.formats.squashfs.image import Member, SquashFSImage, list_files
from imagenet_builders.formats.squashfs.tables import SUPERBLOCK_BYTES
from imagenet_builders.plan.index import to_bytes
from imagenet_builders.plan.recipe import ImagePolicy
from imagenet_builders.sources.reader import Reader
from imagenet_builders.sources.rows import WHOLE_FILE, SourceFile
from imagenet_builders.sources.squashfs import KIND
from imagenet_builders.write import outputs, shard
from imagenet_builders.write.shard import ShardJob

pytestmark = pytest.mark.skipif(
    shutil.which("mksquashfs") is None,
    reason="makes real images: install mksquashfs (apt install squashfs-tools)",
)

COMPRESSORS = {"gzip": 1, "lzma": 2, "xz": 4, "lz4": 5, "zstd": 6}
MIB = 1 << 20
# The superblock's fields, by their positions.
COMPRESSOR, MAJOR, ROOT, BYTES_USED, INODE_TABLE, DIRECTORY_TABLE = 20, 28, 32, 40, 64, 72


def stage(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def make(source: Path, image: Path, *options: str) -> Path:
    """An image of a folder, the same bytes each time."""
    fixed = "-quiet -no-progress -no-xattrs -all-root -processors 1 -mkfs-time 0 -all-time 0"
    command = ["mksquashfs", str(source), str(image), *fixed.split(), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return image


def contents(image: Path) -> dict[str, bytes]:
    """All files by path, each read by a reference alone, in an order that has nothing to do."""
    members = list(list_files(image))
    assert {member.kind for member in members} <= {"file"}
    assert len({member.path for member in members}) == len(members)
    random.Random(5).shuffle(members)
    with SquashFSImage(image) as opened:
        return {member.path: read_in_both_ways(opened, member) for member in members}


def read_in_both_ways(image: SquashFSImage, member: Member) -> bytes:
    """What `read` gives; where `read_into` gives anything, it is the same."""
    buffer = bytearray(member.size if member.size <= 2 * MIB else 0)
    is_there = image.read_into(member.reference, memoryview(buffer))
    try:
        data = image.read(member.reference, member.size)
    except ArchiveError:
        assert not is_there
        raise
    assert not is_there or buffer == data
    return data


def field(image: Path, position: int, kind: str = "Q") -> int:
    (value,) = struct.unpack_from(f"<{kind}", image.read_bytes(), position)
    return int(value)


def patched(image: Path, position: int, data: bytes) -> Path:
    whole = bytearray(image.read_bytes())
    whole[position : position + len(data)] = data
    other = image.with_suffix(".patched")
    other.write_bytes(whole)
    return other


# --- every layout of a file --------------------------------------------------------------------


def corpus() -> dict[str, bytes]:
    """Files of every size that matters to blocks of 4 KiB, 128 KiB or 1 MiB."""
    rng = random.Random(1)
    files = {}
    for i, size in enumerate(
        [0, 1, 4095, 4096, 4097, 12_288, 110_000, 131_071, 131_072, 131_073, MIB, MIB + 77]
    ):
        files[f"train/n01440764/n01440764_{i}.JPEG"] = rng.randbytes(size)
    for i in range(400):
        files[f"train/n01443537/n01443537_{i}.JPEG"] = b"\xff\xd8 %d" % i + bytes(i)
    files["train/n01443537/twice.JPEG"] = files["train/n01440764/n01440764_6.JPEG"]
    files["val/ILSVRC2012_val_00000001.JPEG"] = b"compresses well " * 30_000
    files["val/mixed.JPEG"] = rng.randbytes(200_000) + bytes(300_000) + rng.randbytes(100)
    files["val/é ü.JPEG"] = b"x"
    files["a/prefix/of/folders/" + "n" * 255] = b"long"
    return files


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    root = tmp_path_factory.mktemp("staged")
    files = corpus()
    stage(root, files)
    with (root / "val/hole.JPEG").open("wb") as file:
        file.seek(MIB + 12_345)
        file.write(b"end")
        file.truncate(2 * MIB)
    files["val/hole.JPEG"] = (root / "val/hole.JPEG").read_bytes()
    os.link(root / "val/mixed.JPEG", root / "val/again.JPEG")
    files["val/again.JPEG"] = files["val/mixed.JPEG"]
    return root, files


@pytest.mark.parametrize(
    "options",
    ["", "-b 4K -always-use-fragments", "-b 1M -no-fragments", "-noI -noD -noF -tailends"],
)
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_every_file_has_its_bytes(
    staged: tuple[Path, dict[str, bytes]], tmp_path: Path, compressor: str, options: str
) -> None:
    source, files = staged
    image = make(source, tmp_path / "x.sqsh", "-comp", compressor, *options.split())
    assert contents(image) == files


@pytest.mark.parametrize("block", ["4K", "1M"])
def test_files_that_are_not_packed_are_read_to_their_places(
    staged: tuple[Path, dict[str, bytes]], tmp_path: Path, block: str
) -> None:
    source, files = staged
    image = make(source, tmp_path / "x", "-noI", "-noD", "-no-fragments", "-b", block)
    into = 0
    with SquashFSImage(image) as opened:
        for member in list_files(image):
            buffer = bytearray(member.size)
            if opened.read_into(member.reference, memoryview(buffer)):
                assert buffer == files[member.path]
                into += 1
            # Another size is none of it.
            assert not opened.read_into(member.reference, memoryview(bytearray(member.size + 1)))
    # Of the others, the inode runs on into the next block of them, or has a type of its own.
    assert into > len(files) * 0.95


def test_images_that_are_flat_or_without_export_table_or_without_padding_are_read(
    tmp_path: Path,
) -> None:
    files = {f"ILSVRC2012_val_{i:08}.JPEG": b"%d" % i * (i % 7000) for i in range(3000)}
    stage(tmp_path / "val", files)
    image = make(tmp_path / "val", tmp_path / "v.sfs", "-no-exports", "-nopad", "-noappend")
    assert contents(image) == files
    assert [member.path for member in list_files(image)] == sorted(files)


def test_an_image_that_was_appended_to_is_read(tmp_path: Path) -> None:
    stage(tmp_path / "one", {"train/a.JPEG": b"a" * 5000, "z.JPEG": b"z"})
    stage(tmp_path / "two", {"more/b.JPEG": b"b" * 200_000, "c.JPEG": b""})
    make(tmp_path / "one", tmp_path / "x.sqsh")
    image = make(tmp_path / "two", tmp_path / "x.sqsh")
    assert contents(image) == {
        "train/a.JPEG": b"a" * 5000,
        "z.JPEG": b"z",
        "more/b.JPEG": b"b" * 200_000,
        "c.JPEG": b"",
    }


def test_an_entry_that_is_no_file_is_named(tmp_path: Path) -> None:
    stage(tmp_path / "in", {"d/file.JPEG": b"1"})
    (tmp_path / "in/empty").mkdir()
    (tmp_path / "in/link.JPEG").symlink_to("d/file.JPEG")
    os.mkfifo(tmp_path / "in/pipe")
    image = make(tmp_path / "in", tmp_path / "x.sqsh", "-p", "null c 666 0 0 1 3")
    with SquashFSImage(image) as opened:
        members = {member.path: member for member in opened.members()}
        assert {path: member.kind for path, member in members.items()} == {
            "link.JPEG": "symlink",
            "null": "other",
            "pipe": "other",
            "d": "directory",
            "d/file.JPEG": "file",
            "empty": "directory",
        }
        for path in ("link.JPEG", "d", "null"):
            with pytest.raises(ArchiveError, match=r"link\.JPEG.*expected the inode of a file"):
                opened.read(members[path].reference, 0, "link.JPEG")
    assert sorted(member.path for member in list_files(image)) == [
        *("d/file.JPEG", "link.JPEG", "null", "pipe")
    ]


def test_a_file_is_read_without_reading_directories(tmp_path: Path) -> None:
    stage(tmp_path / "in", {f"{i}.JPEG": b"%d" % i for i in range(500)})
    image = make(tmp_path / "in", tmp_path / "x.sqsh")
    members = list(list_files(image))
    broken = patched(image, field(image, DIRECTORY_TABLE), b"\xff" * 100)
    with SquashFSImage(broken) as opened:
        assert all(
            opened.read(member.reference, member.size) == member.path[:-5].encode()
            for member in members
        )
    with pytest.raises(ArchiveError):
        list(list_files(broken))


# --- what is not read --------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    stage(tmp_path / "small", {"train/n01440764/a.JPEG": b"1" * 100, "train/loop/zz": b"2"})
    return make(tmp_path / "small", tmp_path / "small.sqsh", "-noI", "-nopad")


def test_another_file_type_is_named(small: Path) -> None:
    for position, data, message in [
        (0, b"sqsh", r"version 4\.0, found a big-endian one of version 3"),
        (MAJOR, b"\3\0\1\0", r"version 4\.0, found one of version 3\.1"),
        (0, b"PK\3\4", r"expected a SquashFS image, found a zip archive"),
        (0, b"abcd", r"expected a SquashFS image, found unknown data"),
        (COMPRESSOR, b"\3", "found LZO; make it again with"),
        (COMPRESSOR, b"\7", "unknown compressor 7"),
        (12, b"\0\0\0\1", "the superblock of this SquashFS image is damaged"),
    ]:
        image = patched(small, position, data)
        with pytest.raises(ArchiveError, match=message) as raised:
            SquashFSImage(image)
        assert raised.value.archive == str(image)
    small.write_bytes(b"")
    with pytest.raises(ArchiveError, match="found an empty file"):
        SquashFSImage(small)
    small.unlink()
    with pytest.raises(ArchiveError, match="cannot be opened: No such file"):
        SquashFSImage(small)


def test_a_cut_off_image_is_an_error_when_it_is_opened(small: Path) -> None:
    whole = small.read_bytes()
    assert field(small, BYTES_USED) == len(whole)
    for length in range(len(whole)):
        small.write_bytes(whole[:length])
        with pytest.raises(ArchiveError):
            SquashFSImage(small)
    assert whole[:96] == whole[:length][:96]
    with pytest.raises(ArchiveError, match="copy is not complete, copy the image again"):
        SquashFSImage(small)


@pytest.mark.parametrize(("compressor", "package"), [("zstd", "zstandard"), ("lz4", "lz4")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressor: str, package: str
) -> None:
    stage(tmp_path / "in", {"a": b"1"})
    image = make(tmp_path / "in", tmp_path / "x.sqsh", "-comp", compressor)
    for name in (package, f"{package}.block"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError, match=rf"{package}.*its extra: '\.\[squashfs]'"):
        SquashFSImage(image)


def test_gzip_and_xz_need_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(tmp_path / "in", {"a": b"1"})
    for name in ("zstandard", "lz4", "lz4.block"):
        monkeypatch.setitem(sys.modules, name, None)
    for compressor in ("gzip", "xz"):
        assert contents(make(tmp_path / "in", tmp_path / compressor, "-comp", compressor))


# --- made to deceive ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"..", b"a/", b"/.", b"a\0", b"\xff\xfe", b"\xc3("])
def test_impossible_file_names_are_errors(small: Path, name: bytes) -> None:
    at = small.read_bytes().index(b"zz", field(small, DIRECTORY_TABLE))
    with pytest.raises(ArchiveError, match=r"'train/loop'.*impossible name"):
        list(list_files(patched(small, at, name)))


def test_duplicate_names_are_errors(tmp_path: Path) -> None:
    stage(tmp_path / "in", {"a.JPEG": b"1", "b.JPEG": b"2"})
    image = make(tmp_path / "in", tmp_path / "x.sqsh", "-noI")
    at = image.read_bytes().index(b"b.JPEG")
    for name in (b"a.JPEG", b"A.JPEG"):
        with pytest.raises(ArchiveError, match="its names are not in order"):
            list(list_files(patched(image, at, name)))


def test_a_directory_inside_itself_is_an_error(small: Path) -> None:
    data = small.read_bytes()
    root = field(small, ROOT) & 0xFFFF
    inodes = field(small, INODE_TABLE) + 2
    (root_number,) = struct.unpack_from("<I", data, inodes + root + 12)
    entry = data.index(b"loop", field(small, DIRECTORY_TABLE)) - 8
    (first,) = struct.unpack_from("<I", data, entry - 12 + 8)
    as_root = patched(small, entry, struct.pack("<H", root))
    with pytest.raises(ArchiveError, match="its inodes belong to other entries"):
        list(list_files(as_root))
    as_root = patched(small, entry, struct.pack("<Hh", root, root_number - first))
    with pytest.raises(ArchiveError, match="it is there twice") as raised:
        list(list_files(as_root))
    assert raised.value.member == "train/loop"


def test_too_large_a_file_is_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(tmp_path / "in", {"few": b"1"})
    with (tmp_path / "in/bomb").open("wb") as file:
        file.truncate(100 * MIB)
    bomb, few = list_files(make(tmp_path / "in", tmp_path / "x.sqsh", "-b", "1M"))
    assert (bomb.path, bomb.size, few.path) == ("bomb", 100 * MIB, "few")
    with SquashFSImage(tmp_path / "x.sqsh") as image:
        tracemalloc.start()
        try:
            with pytest.raises(ArchiveError, match=r"'bomb'.* 0 bytes that become 104,857,600"):
                image.read(bomb.reference, bomb.size, "bomb")
            monkeypatch.setattr(squashfs_files, "MAX_FILE_BYTES", 99 * MIB)
            with pytest.raises(ArchiveError, match=r"'bomb'.* file of at most 103,809,024 bytes"):
                image.read(bomb.reference, bomb.size, "bomb")
            with pytest.raises(ArchiveError, match="file of 1,000,000,000,000 bytes, found one"):
                image.read(few.reference, 10**12)
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()
        assert image.read(few.reference, 1) == b"1"


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": zlib.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "xz": lzma.compress,
    "lz4": lambda data: bytes(lz4.block.compress(data, store_size=False)),
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_a_block_never_inflates_beyond_its_size(compressor: str) -> None:
    unpack = unpacker("x.sqsh", COMPRESSORS[compressor])
    packed = PACK[compressor](bytes(8192))
    assert unpack(packed, 8192) == bytes(8192)
    bombs = [PACK[compressor](bytes(size)) for size in (8193, 16 * MIB)]
    tracemalloc.start()
    try:
        for block in (*bombs, packed[:-1], b"", b"\xff" * 50):
            with pytest.raises(BadBlockError):
                unpack(block, 8192)
        # The dictionary of xz and lzma is 8 MiB here.
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
    if compressor not in ("lz4", "lzma"):
        with pytest.raises(BadBlockError):
            unpack(packed + b"\0\0\0\0", 8192)


# --- any damage --------------------------------------------------------------------------------

FUZZED = {
    "gzip": "-comp gzip",
    "xz": "-comp xz",
    "zstd": "-comp zstd",
    "lz4": "-comp lz4",
    "lzma": "-comp lzma",
    "plain tables": "-comp zstd -noI",
}
TRIES = 250


def damaged(rng: random.Random, whole: bytes) -> Iterator[bytes]:
    """Images with one thing wrong, most of them in the tables, where it matters."""
    tables = struct.unpack_from("<Q", whole, INODE_TABLE)[0]
    for _ in range(TRIES):
        data = bytearray(whole)
        begin = rng.choice([0, 0, tables, tables, tables, 96])
        end = 96 if begin == 0 else tables if begin == 96 else len(whole)
        at = rng.randrange(begin, end)
        if rng.random() < 0.7:
            data[at] ^= 1 << rng.randrange(8)
        elif rng.random() < 0.5:
            size = rng.randrange(1, 9)
            data[at : at + size] = rng.choice([b"\0", b"\xff", b"\x7f"]) * size
        elif rng.random() < 0.5:
            del data[at : at + rng.randrange(1, 9)]
        else:
            other = rng.randrange(tables, len(whole))
            data[at : at + 8] = whole[other : other + 8]
        yield bytes(data)


@pytest.mark.parametrize("kind", FUZZED)
def test_any_damage_is_an_error_or_in_the_bytes_of_a_file(tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    files = {f"train/n01440764/{i}.JPEG": rng.randbytes(rng.randrange(400)) for i in range(12)}
    files |= {"train/n01443537/b.JPEG": rng.randbytes(9000) + bytes(9000), "val/c.JPEG": b"c" * 999}
    stage(tmp_path / "in", files)
    image = make(tmp_path / "in", tmp_path / "x", *FUZZED[kind].split(), "-b", "4K", "-nopad")
    assert contents(image) == files
    whole = image.read_bytes()
    sizes = {name: len(data) for name, data in files.items()}
    # Only these compressors have checksums, so only there is a damaged table always found out.
    is_checked = kind in ("gzip", "xz")
    outcomes = {"same": 0, "other bytes": 0, "error": 0}
    tracemalloc.start()
    try:
        for data in damaged(rng, whole):
            image.write_bytes(data)
            begun = time.monotonic()
            try:
                found = contents(image)
            except (ArchiveError, OptionError):
                outcomes["error"] += 1
            else:
                outcomes["same" if found == files else "other bytes"] += 1
                assert len(found) == len(files)
                if is_checked:
                    assert {name: len(data) for name, data in found.items()} == sizes
            assert time.monotonic() - begun < 10
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert outcomes["error"] > TRIES // 4
    assert outcomes["same"] > 0


# Reading ahead.


@pytest.mark.parametrize(
    "options",
    [(), ("-no-fragments",), ("-noI", "-noD", "-noF"), ("-always-use-fragments", "-b", "4K")],
    ids=["plain", "no fragments", "as it is", "ends in fragments"],
)
def test_every_read_of_an_image_was_requested_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """No more and no less, but for tables, and the gaps that are too small to be left out."""
    noise = random.Random(7)
    sizes = [1, 700, 4096, 10_000, 131_072, 300_000, 5000, 6000]
    stage(
        tmp_path / "files", {f"c/{n}.JPEG": noise.randbytes(size) for n, size in enumerate(sizes)}
    )
    (tmp_path / "files/c/holes.JPEG").write_bytes(bytes(200_000) + b"end")
    image = make(tmp_path / "files", tmp_path / "train.sqsh", *options)
    tables = int.from_bytes(image.read_bytes()[INODE_TABLE : INODE_TABLE + 8], "little")
    # Half of the files, as a shard has some of many.
    members = sorted(list_files(image))[::2]
    names = ("key", "label", "file", "offset", "size", "name", "reference")
    columns = [
        (each.path, 0, 0, WHOLE_FILE, each.size, each.path, each.reference) for each in members
    ]
    rows = pa.table(dict(zip(names, map(list, zip(*columns, strict=True)), strict=True)))
    files = (SourceFile.of(image),)
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda fd, start, size, advice: asked.append((start, start + size))
    )
    monkeypatch.setattr(shard, "_ADVICE_GAP", 0)
    monkeypatch.delattr(os, "RWF_NOWAIT")  # Which says that all of it is in memory.
    shard.prefetch(
        ShardJob(
            "train",
            0,
            "",
            outputs.DEFAULT,
            make_examples,
            to_bytes(rows),
            files,
            ImagePolicy(),
            "",
            KIND.access,
        )
    )
    found: list[tuple[int, int]] = []
    pread = os.pread

    def reading(fd: int, size: int, start: int) -> bytes:
        if SUPERBLOCK_BYTES <= start < tables:
            found.append((start, start + size))
        return pread(fd, size, start)

    monkeypatch.setattr(os, "pread", reading)
    with Reader(files, KIND.access) as reader:
        images = {row.path: row.data for row in reader.images(rows)}
        into_buffers = reader.filling(rows)
        for row, data in zip(rows.to_pylist(), images.values(), strict=True):
            buffer = bytearray(row["size"])
            assert into_buffers(memoryview(buffer))
            assert buffer == data
        assert reader.bytes_read == 2 * sum(rows["size"].to_pylist())
    assert {len(data) for data in images.values()} == {each.size for each in members}
    assert asked == sorted(asked)

    def each_byte(ranges: list[tuple[int, int]]) -> set[int]:
        return {byte for start, end in ranges for byte in range(start, end)}

    assert each_byte(found)
    assert each_byte(asked) == each_byte(found)


# --- folders ------------------------------------------------------------------------------------


def test_folders_are_listed_as_far_as_they_are_asked_for(tmp_path: Path):
    files = {"a/b/c/1.JPEG": b"1", "a/d/2.JPEG": b"2", "e/f/3.JPEG": b"3", "4.txt": b"4"}
    stage(tmp_path / "tree", files)
    with SquashFSImage(make(tmp_path / "tree", tmp_path / "image")) as image:
        assert list(image.folders(lambda path: True)) == ["a", "e", "a/b", "a/d", "a/b/c", "e/f"]
        assert list(image.folders(lambda path: path == "e")) == ["a", "e", "e/f"]


def test_more_folders_than_an_image_can_need_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imagenet_builders.formats.squashfs.image.MAX_FOLDERS", 3)
    stage(tmp_path / "tree", {f"{name}/1.JPEG": b"1" for name in "abcd"})
    with (
        SquashFSImage(make(tmp_path / "tree", tmp_path / "image")) as image,
        pytest.raises(ArchiveError, match="at most 3 directories"),
    ):
        list(image.folders(lambda path: True))
