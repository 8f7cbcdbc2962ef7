"""Tars, archives of boxes and files in folders that claim more than they hold."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from makers import archives

from imagenet_builders import labels
from support.corpora.ilsvrc2012 import TENCH, TRAIN, VAL, val_name
from support.hostile.bombs.images import localization, small_jpeg
from support.hostile.bombs.registry import GB, MB, bomb

_ONE = f"{TENCH}_1.JPEG"

# --- tars ---------------------------------------------------------------------------------------


def _headers(names: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Headers of so many empty files, a thousand at a time."""
    info = tarfile.TarInfo("x")
    template = np.frombuffer(info.tobuf(tarfile.USTAR_FORMAT), np.uint8).copy()
    template[:100] = 0
    for begin in range(0, count, 4096):
        number = min(4096, count - begin)
        blocks = np.tile(template, (number, 1))
        for block in blocks:
            name = next(names)
            block[: len(name)] = np.frombuffer(name, np.uint8)
        blocks[:, 148:156] = ord(" ")
        sums = blocks.sum(axis=1, dtype=np.int64)
        digits = [b"%06o\0 " % each for each in sums]
        blocks[:, 148:156] = np.frombuffer(b"".join(digits), np.uint8).reshape(number, 8)
        yield blocks.tobytes()


def tar_of_many(path: Path, classes: int, count: int) -> None:
    """An archive of class tars, each of so many empty images."""
    path.parent.mkdir(parents=True)
    with open(path, "wb") as file:
        for wnid in labels.wnids("imagenet2012")[:classes]:
            outer = tarfile.TarInfo(f"{wnid}.tar")
            outer.size = 512 * count + 1024
            names = (b"%b_%d.JPEG" % (wnid.encode(), number) for number in range(count))
            file.write(outer.tobuf(tarfile.GNU_FORMAT))
            for blocks in _headers(names, count):
                file.write(blocks)
            file.write(bytes(1024))
        file.write(bytes(1024))


@bomb("imagenet2012", "or somebody has added images", peak=GB, slow=True)
def tar_of_two_million_members(directory: Path) -> None:
    """As many as are taken."""
    tar_of_many(directory / TRAIN, 1000, 2000)


@bomb("imagenet2012", "at most 2,097,152 images", peak=GB, slow=True)
def tar_of_more_members(directory: Path) -> None:
    tar_of_many(directory / TRAIN, 1000, 2200)


@bomb("imagenet2012", "at most 65,536 images of class n01440764", slow=True)
def class_tar_of_two_million_members(directory: Path) -> None:
    tar_of_many(directory / TRAIN, 1, 2_000_000)


@bomb("imagenet2012", "at most 2,097,152 images", peak=700 * MB, slow=True)
def shard_of_more_members(directory: Path) -> None:
    """Of WebDataset."""
    count, wnid = 2_200_000, TENCH.encode()
    directory.mkdir()
    with open(directory / "imagenet1k-train-0000.tar", "wb") as file:
        for blocks in _headers((b"%b_%d.jpg" % (wnid, n) for n in range(count)), count):
            file.write(blocks)
        file.write(bytes(1024))


def header_of_size(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@bomb("imagenet2012", "cut off: this member needs")
def tar_member_that_claims_8_eib(directory: Path) -> None:
    directory.mkdir()
    (directory / VAL).write_bytes(header_of_size(val_name(1), (1 << 63) - 1) + bytes(4096))


@bomb("imagenet2012", "expected an image of at most")
def tar_member_of_5_gb(directory: Path) -> None:
    """It is there: a hole."""
    directory.mkdir()
    with open(directory / VAL, "wb") as file:
        file.write(header_of_size(val_name(1), 5 * GB))
        file.truncate(512 + 5 * GB + 1024)


@bomb("imagenet2012", "expected an image of at most")
def image_file_of_5_gb(directory: Path) -> None:
    path = directory / "train" / TENCH / _ONE
    path.parent.mkdir(parents=True)
    with open(path, "wb") as file:
        file.truncate(5 * GB)


@bomb("imagenet2012", "bytes are zero", peak=GB)
def image_files_of_128_mb(directory: Path) -> None:
    """The largest that are read, and some are read ahead."""
    for number in range(20):
        path = directory / "train" / TENCH / f"{TENCH}_{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(128 * MB)


@bomb("imagenet2012", "long-name or pax header of at most")
def tar_with_a_name_of_4_gb(directory: Path) -> None:
    directory.mkdir()
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 4 * GB
    with open(directory / VAL, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(5 * GB)


@bomb("imagenet21k_winter21/whole", "unpacks to more than 3 times", slow=True)
def gzip_bomb_for_an_archive(directory: Path) -> None:
    directory.mkdir()
    packer = zlib.compressobj(1, wbits=31)
    with open(directory / "winter21_whole.tar.gz", "wb") as file:
        for _ in range(100):
            file.write(packer.compress(bytes(12 * MB)))
        file.write(packer.flush())


# --- boxes --------------------------------------------------------------------------------------


def _bbox(directory: Path, xml: bytes) -> None:
    localization(directory, small_jpeg("RGB"))
    data = archives.tar_bytes([(f"{TENCH}/{TENCH}_1.xml", xml)])
    (directory / "ILSVRC2012_bbox_train_v2.tar.gz").write_bytes(gzip.compress(data))


@bomb("imagenet2012_localization", "not an annotation that can be read")
def entities_that_expand(directory: Path) -> None:
    entities = "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 100}">' for n in range(12)
    )
    _bbox(directory, f"<!DOCTYPE a [{entities}]><annotation>&e11;</annotation>".encode())


@bomb("imagenet2012_localization", "not an annotation that can be read")
def elements_one_in_another(directory: Path) -> None:
    _bbox(directory, b"<annotation>" + b"<a>" * 300_000)


@bomb("imagenet2012_localization", "expected an annotation of at most")
def annotation_of_60_mb(directory: Path) -> None:
    _bbox(directory, b"<annotation>" + bytes(60 * MB))


@bomb("imagenet2012_localization", "bytes unpacked, found a larger one")
def gzip_bomb_for_boxes(directory: Path) -> None:
    _bbox(directory, b"")
    path = directory / "ILSVRC2012_bbox_train_v2.tar.gz"
    path.write_bytes(gzip.compress(bytes(300 * MB), 9))
