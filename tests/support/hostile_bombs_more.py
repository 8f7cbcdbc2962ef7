"""Bombs in images, tars, gzip, boxes, TFRecords, SquashFS and lists; see `hostile_bombs`."""

from __future__ import annotations

import functools
import gzip
import io
import shutil
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from makers import archives, pictures
from makers.tiny_imagenet import ROOT, make_tiny_imagenet
from PIL import Image

from imagenet_builders import labels
from support import layouts_corpus as layouts
from support.hostile_bombs import BOMBS, GB, MB, Bomb, bomb
from support.layouts_corpus import by_class
from support.staged_corpus import TENCH, TRAIN, VAL, val_name

_ONE = f"{TENCH}_1.JPEG"

# --- images that claim to be huge ---------------------------------------------------------------


def _claiming(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def _small(mode: str) -> bytes:
    buffer = io.BytesIO()
    pictures.draw("x", key="bomb", size=(64, 64)).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def _png(width: int, height: int, *, whole: bool) -> bytes:
    """A PNG of zeros: all of them, deflated, or as many as pass for all."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        )

    packer, body = zlib.compressobj(9), b""
    if whole:
        row = bytes(1 + 3 * width)
        body = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    else:
        body = bytes(width * height * 3 // 1000)
    header = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _train(directory: Path, image: bytes) -> None:
    inner = archives.tar_bytes([(_ONE, image)])
    archives.write_tar(directory / TRAIN, [(f"{TENCH}.tar", inner)])


def _replaced(directory: Path, dataset: str, archive: str, name: str, image: bytes) -> None:
    """The archives of a dataset with one other image."""
    shutil.copytree(layouts.DUMMY / dataset, directory)
    of = layouts.pictures(dataset)
    files = {**of.train, **of.train_t3, name: image}
    classes = [(f"{w}.tar", archives.tar_bytes(m.items())) for w, m in by_class(files).items()]
    archives.write_tar(directory / archive, classes)


def _dogs(directory: Path, image: bytes) -> None:
    name = next(iter(layouts.pictures("imagenet2012_dogs").train_t3))
    _replaced(directory, "imagenet2012_dogs", "ILSVRC2012_img_train_t3.tar", name, image)


def _localization(directory: Path, image: bytes) -> None:
    name = next(iter(layouts.pictures("imagenet2012_localization").train))
    _replaced(directory, "imagenet2012_localization", TRAIN, name, image)


def _tiny(directory: Path, image: bytes) -> None:
    make_tiny_imagenet(
        directory, replace={f"{ROOT}/train/n01443537/images/n01443537_1.JPEG": image}
    )


def _whole(directory: Path, image: bytes) -> None:
    inner = archives.tar_bytes([(_ONE, image)])
    archives.write_tar(directory / "winter21_whole.tar", [(f"winter21_whole/{TENCH}.tar", inner)])


_PLACES: dict[str, tuple[str, Callable[[Path, bytes], None]]] = {
    "imagenet2012": ("imagenet2012", _train),
    "localization": ("imagenet2012_localization", _localization),
    "dogs": ("imagenet2012_dogs", _dogs),
    "tiny": ("tiny_imagenet", _tiny),
    "winter21": ("imagenet21k_winter21/whole", _whole),
}
_HUGE: dict[str, Callable[[], bytes]] = {
    "RGB JPEG": lambda: _claiming(_small("RGB"), 50_000, 50_000),
    "CMYK JPEG": lambda: _claiming(_small("CMYK"), 50_000, 50_000),
    "PNG": lambda: _png(50_000, 50_000, whole=False),
    "gzip of a CMYK JPEG": lambda: gzip.compress(_claiming(_small("CMYK"), 50_000, 50_000)),
}


def _stage_made(
    stage: Callable[[Path, bytes], None], image: Callable[[], bytes], directory: Path
) -> None:
    stage(directory, image())


for _place, (_dataset, _stage) in _PLACES.items():
    for _what, _image in _HUGE.items():
        BOMBS[f"{_what} of 50,000 x 50,000 in {_place}"] = Bomb(
            _dataset,
            functools.partial(_stage_made, _stage, _image),
            "50,?000 x 50,?000 pixels",
        )


# The largest that is decoded for a repair.
@bomb("imagenet2012", None, peak=GB)
def cmyk_jpeg_of_8000_x_8000(directory: Path) -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (8000, 8000), (10, 200, 30, 40)).save(buffer, "JPEG", quality=50)
    _train(directory, buffer.getvalue())


@bomb("imagenet2012", None, peak=GB)
def png_of_8000_x_8000(directory: Path) -> None:
    _train(directory, _png(8000, 8000, whole=True))


@bomb("imagenet2012", "cannot be decoded", peak=GB)
def png_that_claims_8000_x_8000(directory: Path) -> None:
    _train(directory, _png(8000, 8000, whole=False))


# As TensorFlow has it: what is not there is grey.
@bomb("imagenet2012", None, peak=GB)
def cmyk_jpeg_that_claims_8000_x_8000(directory: Path) -> None:
    _train(directory, _claiming(_small("CMYK"), 8000, 8000))


@bomb("imagenet2012", "unpacks to more than")
def gzip_bomb_for_an_image(directory: Path) -> None:
    _train(directory, gzip.compress(bytes(300 * MB)))


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


@bomb("imagenet2012", "empty .0 bytes", peak=GB, slow=True)
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


def _with_size(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@bomb("imagenet2012", "cut off: this member needs")
def tar_member_that_claims_8_eib(directory: Path) -> None:
    directory.mkdir()
    (directory / VAL).write_bytes(_with_size(val_name(1), (1 << 63) - 1) + bytes(4096))


@bomb("imagenet2012", "expected an image of at most")
def tar_member_of_5_gb(directory: Path) -> None:
    """It is there: a hole."""
    directory.mkdir()
    with open(directory / VAL, "wb") as file:
        file.write(_with_size(val_name(1), 5 * GB))
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
    _localization(directory, _small("RGB"))
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


# --- TFRecords, WebDataset, SquashFS, lists -----------------------------------------------------


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
        file.write(_with_size(f"{stem}.jpg", 0))
        file.write(_with_size(f"{stem}.json", GB))
        file.truncate(GB + 3 * 512 + 1024)


def _squashed(directory: Path, files: dict[str, bytes], *options: str) -> Path:
    directory.mkdir()
    layouts.write_squashfs(directory / "train.sqsh", files, *options)
    return directory / "train.sqsh"


def _superblock(name: str, at: int, value: bytes, sentence: str) -> None:
    def stage(directory: Path) -> None:
        path = _squashed(directory, {f"{TENCH}/{_ONE}": _small("RGB")})
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
    layouts.write(directory / "train", {f"{TENCH}/{_ONE}": _small("RGB")})
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
