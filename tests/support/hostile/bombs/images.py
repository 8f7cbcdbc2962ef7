"""Images that claim to be huge, or inflate to more than they say."""

from __future__ import annotations

import functools
import gzip
import io
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from makers import archives, pictures
from makers.tiny_imagenet import ROOT, make_tiny_imagenet
from PIL import Image

from support.corpora import layouts
from support.corpora.ilsvrc2012 import TENCH, TRAIN
from support.corpora.layouts import by_class
from support.hostile.bombs.registry import BOMBS, GB, MB, Bomb, bomb

_ONE = f"{TENCH}_1.JPEG"


def _claiming(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def small_jpeg(mode: str) -> bytes:
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


def localization(directory: Path, image: bytes) -> None:
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
    "localization": ("imagenet2012_localization", localization),
    "dogs": ("imagenet2012_dogs", _dogs),
    "tiny": ("tiny_imagenet", _tiny),
    "winter21": ("imagenet21k_winter21/whole", _whole),
}
_HUGE: dict[str, Callable[[], bytes]] = {
    "RGB JPEG": lambda: _claiming(small_jpeg("RGB"), 50_000, 50_000),
    "CMYK JPEG": lambda: _claiming(small_jpeg("CMYK"), 50_000, 50_000),
    "PNG": lambda: _png(50_000, 50_000, whole=False),
    "gzip of a CMYK JPEG": lambda: gzip.compress(_claiming(small_jpeg("CMYK"), 50_000, 50_000)),
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
    _train(directory, _claiming(small_jpeg("CMYK"), 8000, 8000))


@bomb("imagenet2012", "unpacks to more than")
def gzip_bomb_for_an_image(directory: Path) -> None:
    _train(directory, gzip.compress(bytes(300 * MB)))
