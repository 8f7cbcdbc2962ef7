"""Shards of TFRecord and WebDataset, SquashFS images and lists that claim more than they hold."""

from __future__ import annotations

import lzma
import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from support.corpora import layouts
from support.corpora.ilsvrc2012 import TENCH
from support.hostile.bombs.archives import header_of_size
from support.hostile.bombs.images import small_jpeg
from support.hostile.bombs.registry import BOMBS, GB, MB, Bomb, bomb

_ONE = f"{TENCH}_1.JPEG"


def _masked(data: bytes) -> int:
    import google_crc32c

    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@bomb("imagenet2012", "goes beyond the end of the file")
def tfrecord_that_claims_an_exabyte(directory: Path) -> None:
    length = struct.pack("<Q", 1 << 60)
    frame = length + struct.pack("<I", _masked(length)) + bytes(100)
    layouts.write(directory, {"train-00000-of-00001": frame})


@bomb("imagenet2012", "a record is larger than any image")
def tfrecord_of_5_gb(directory: Path) -> None:
    length = struct.pack("<Q", 5 * GB)
    layouts.write(directory, {"train-00000-of-00001": length + struct.pack("<I", _masked(length))})
    with open(directory / "train-00000-of-00001", "r+b") as file:
        file.truncate(5 * GB + 16)


@bomb("imagenet2012", "expected at most .* bytes, found")
def json_of_1_gb(directory: Path) -> None:
    directory.mkdir()
    stem = _ONE.removesuffix(".JPEG")
    with open(directory / "imagenet1k-train-0000.tar", "wb") as file:
        file.write(header_of_size(f"{stem}.jpg", 0))
        file.write(header_of_size(f"{stem}.json", GB))
        file.truncate(GB + 3 * 512 + 1024)


def _parquet(directory: Path, images: pa.Array, **options: Any) -> Path:
    directory.mkdir()
    path = directory / "train-00000-of-00001.parquet"
    table = pa.table({"image": images, "label": pa.array([0] * len(images), pa.int64())})
    pq.write_table(table, path, compression="zstd", **options)
    return path


def _images_of(data: list[bytes]) -> pa.Array:
    names = [f"{TENCH}_{number}_{TENCH}.JPEG" for number in range(len(data))]
    return pa.StructArray.from_arrays(
        [pa.array(data, pa.binary()), pa.array(names)], ["bytes", "path"]
    )


@bomb("imagenet2012", "as those of no images do", slow=True)
def parquet_of_zeros_that_shrank(directory: Path) -> None:
    _parquet(directory, _images_of([bytes(100 * MB)] * 10), use_dictionary=False)


@bomb("imagenet2012", "more than 3 times its size|as those of no images do", peak=GB, slow=True)
def parquet_of_one_image_a_thousand_times(directory: Path) -> None:
    image = random.Random(0).randbytes(16 * MB)
    _parquet(directory, _images_of([image] * 100), dictionary_pagesize_limit=64 * MB)


@bomb("imagenet2012", "cannot be read|as those of no images do")
def parquet_page_that_claims_2_gb(directory: Path) -> None:
    path = _parquet(directory, _images_of([bytes(1000)] * 4), use_dictionary=False)
    data = path.read_bytes()
    # The type of the page, then its unpacked size, in the compact protocol of Thrift.
    at = data.index(b"\x15\x00\x15")
    size = b"\xfe\xff\xff\xff\x0f"
    path.write_bytes(data[: at + 3] + size + data[at + 3 + len(size) :])


@bomb("imagenet2012", "more than 3 times its size", slow=True)
def xz_of_zeros(directory: Path) -> None:
    directory.mkdir()
    packer = lzma.LZMACompressor(preset=0)
    with open(directory / "ILSVRC2012_img_val.tar.xz", "wb") as file:
        file.write(packer.compress(header_of_size("ILSVRC2012_val_00000001.JPEG", 5 * GB)))
        for _ in range(5 * GB // (64 * MB)):
            file.write(packer.compress(bytes(64 * MB)))
        file.write(packer.flush())


def _squashed(directory: Path, files: dict[str, bytes], *options: str) -> Path:
    directory.mkdir()
    layouts.write_squashfs(directory / "train.sqsh", files, *options)
    return directory / "train.sqsh"


def _superblock(name: str, at: int, value: bytes, sentence: str) -> None:
    def stage(directory: Path) -> None:
        path = _squashed(directory, {f"{TENCH}/{_ONE}": small_jpeg("RGB")})
        data = bytearray(path.read_bytes())
        data[at : at + len(value)] = value
        path.write_bytes(data)

    BOMBS[f"SquashFS {name}"] = Bomb("imagenet2012", stage, sentence)


_superblock("of 4 billion inodes", 4, b"\xff" * 4, "expected .* files and directories|damaged")
_superblock("of 4 billion fragments", 16, b"\xff" * 4, "superblock .* is damaged")
_superblock("of 16 EiB", 40, b"\xff" * 8, "cut off|damaged|bytes")
_superblock("of blocks of 2 GB", 12, struct.pack("<L", 1 << 31), "superblock .* is damaged")


@bomb("imagenet2012", "an image of at most", slow=True)
def squashfs_with_an_image_of_4_gb(directory: Path) -> None:
    """Of blocks that are not stored, because they are zeros."""
    source = directory / "source" / TENCH
    source.mkdir(parents=True)
    with open(source / _ONE, "wb") as file:
        file.truncate(4 * GB)
    command = ["mksquashfs", str(source.parent), str(directory / "train.sqsh"), "-quiet"]
    subprocess.run([*command, "-no-progress"], check=True, stdout=subprocess.DEVNULL)
    (source / _ONE).unlink()
    source.rmdir()
    source.parent.rmdir()


def _listed(directory: Path) -> Path:
    layouts.write(directory / "train", {f"{TENCH}/{_ONE}": small_jpeg("RGB")})
    return directory / "train_files.txt"


@bomb("imagenet2012", "longer than any path")
def list_of_one_line_of_1_gb(directory: Path) -> None:
    with open(_listed(directory), "wb") as file:
        file.truncate(GB)


@bomb("imagenet2012", "list of at most .* lines")
def list_of_empty_lines(directory: Path) -> None:
    with open(_listed(directory), "wb") as file:
        for _ in range(30):
            file.write(b"\n" * MB)


@bomb("imagenet2012", "list of at most .* lines", peak=600 * MB, slow=True)
def list_of_10_million_images(directory: Path) -> None:
    with open(_listed(directory), "wb") as file:
        for begin in range(0, 10_000_000, 100_000):
            file.writelines(b"%b_%d.JPEG\n" % (TENCH.encode(), begin + n) for n in range(100_000))
