"""Tiny ImageNet: `tiny-imagenet-200.zip` or the folder that it unpacks to, small enough to commit.

Each picture has its box drawn into it, so a box that belongs to another picture is seen at once.
"""

import dataclasses
import io
import random
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw

from makers import pictures

ROOT = "tiny-imagenet-200"
ARCHIVE = f"{ROOT}.zip"
SIDE = 64

WORDS: Mapping[str, str] = {
    "n01443537": "goldfish",
    "n01917289": "coral",
    "n02125311": "cougar",
    "n03444034": "go-kart",
    "n04399382": "teddy",
    "n12267677": "acorn",
}
"""A word for each class of the dummy data; the first and the last of the sorted wnids are there."""

Compression = Literal["smaller", "stored", "deflated"]
Box = tuple[int, int, int, int]

_DATE = (2014, 11, 10, 0, 0, 0)


class Stored(NamedTuple):
    """What is stored under one name: class and box in pixels (xmin, ymin, xmax, ymax), and bytes.

    Class and box are None for test.
    """

    wnid: str | None
    box: Box | None
    data: bytes


Split = Mapping[str, Stored]
"""Base name of each picture and what it holds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny:
    """All that `make_tiny_imagenet` wrote.

    Attributes:
      path: the archive, or the folder.
      files: what every file in it holds, by its name in the archive.
      train: the train pictures.
      validation: the validation pictures.
      test: the test pictures.
    """

    path: Path
    files: Mapping[str, bytes]
    train: Split
    validation: Split
    test: Split


def wnids_in_file_order() -> list[str]:
    """Returns the 200 wnids in the unsorted order of the real `wnids.txt`."""
    return (Path(__file__).parent / "tiny_wnids.txt").read_text().split()


def make_tiny_imagenet(
    directory: str | Path,
    *,
    train_per_class: int = 3,
    val: int = 8,
    test: int = 6,
    compression: Compression = "smaller",
    unpacked: bool = False,
    replace: Mapping[str, bytes | None] | None = None,
    seed: int = 0,
) -> Tiny:
    """Writes Tiny ImageNet with a few classes and pictures, and returns what is in it.

    The class list is the whole one. Among the train pictures of the first class is a greyscale
    JPEG, as there are in the real archive.

    Args:
      directory: where to write; made if need be.
      train_per_class: train pictures of each class of `WORDS`.
      val: validation pictures, of the classes of `WORDS` in turn.
      test: test pictures. With 0 pictures, a split is not there at all.
      compression: how members are stored. `smaller` is what Info-ZIP does: deflated where that
        makes a member smaller. Pictures are so small that it does for some.
      unpacked: write the folder instead of the archive.
      replace: other contents of files, or further files, by their name in the archive; None
        leaves one out. What is returned beside `files` does not know of it.
      seed: another seed gives other pictures and boxes.
    """
    files: dict[str, bytes] = {}
    train = dict(_train(train_per_class, seed, files)) if train_per_class else {}
    rng = random.Random(f"{seed}/validation")
    wnids = [list(WORDS)[position % len(WORDS)] for position in range(val)]
    rng.shuffle(wnids)
    validation = {
        f"val_{number}.JPEG": _picture(wnid, f"val_{number}.JPEG", seed)
        for number, wnid in enumerate(wnids)
    }
    for name, stored in validation.items():
        files[f"{ROOT}/val/images/{name}"] = stored.data
    if validation:
        lines = [
            "\t".join([name, *map(str, (stored.wnid, *(stored.box or ())))])
            for name, stored in validation.items()
        ]
        files[f"{ROOT}/val/val_annotations.txt"] = _text(lines)
    tested = {
        name: Stored(None, None, pictures.jpeg(_draw("test", name, seed)))
        for name in (f"test_{number}.JPEG" for number in range(test))
    }
    for name, stored in tested.items():
        files[f"{ROOT}/test/images/{name}"] = stored.data
    files[f"{ROOT}/wnids.txt"] = _text(wnids_in_file_order())
    files[f"{ROOT}/words.txt"] = _text([f"{wnid}\t{word}" for wnid, word in WORDS.items()])
    for name, data in (replace or {}).items():
        if data is None:
            del files[name]
        else:
            files[name] = data
    write = _write_folder if unpacked else _write_archive
    path = write(Path(directory), files, compression)
    return Tiny(path=path, files=files, train=train, validation=validation, test=tested)


def zip_bytes(files: Mapping[str, bytes], compression: Compression = "smaller") -> bytes:
    """Returns a zip of files and of the folders they are in, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in _with_folders(files):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3  # Unix, whatever this machine is.
            info.external_attr = (0o40755 << 16 | 0x10) if name.endswith("/") else 0o100644 << 16
            data = files.get(name, b"")
            archive.writestr(info, data, _method(data, compression))
    return buffer.getvalue()


def _method(data: bytes, compression: Compression) -> int:
    if compression == "stored" or not data:
        return zipfile.ZIP_STORED
    if compression == "deflated":
        return zipfile.ZIP_DEFLATED
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", data)
        smaller = archive.infolist()[0].compress_size < len(data)
    return zipfile.ZIP_DEFLATED if smaller else zipfile.ZIP_STORED


def _train(count: int, seed: int, files: dict[str, bytes]) -> Iterator[tuple[str, Stored]]:
    """Yields the train pictures and puts them, and the files of their boxes, into `files`."""
    for position, wnid in enumerate(reversed(list(WORDS))):
        lines = []
        for number in range(count):
            name = f"{wnid}_{number}.JPEG"
            grey = position == len(WORDS) - 1 and number == 1
            stored = _picture(wnid, name, seed, grey=grey)
            files[f"{ROOT}/train/{wnid}/images/{name}"] = stored.data
            lines.append("\t".join([name, *map(str, stored.box or ())]))
            yield name, stored
        files[f"{ROOT}/train/{wnid}/{wnid}_boxes.txt"] = _text(lines)


def _picture(wnid: str, name: str, seed: int, *, grey: bool = False) -> Stored:
    rng = random.Random(f"{seed}/box/{name}")
    left, top = rng.randrange(0, 24), rng.randrange(0, 24)
    box = (left, top, rng.randrange(left + 20, SIDE), rng.randrange(top + 20, SIDE))
    image = _draw(WORDS[wnid], name, seed)
    ImageDraw.Draw(image).rectangle(box, outline=(255, 0, 0))
    return Stored(wnid, box, pictures.jpeg(image, grey=grey))


def _draw(word: str, name: str, seed: int) -> Image.Image:
    return pictures.draw(word, key=name, size=(SIDE, SIDE), seed=seed)


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _with_folders(files: Mapping[str, bytes]) -> list[str]:
    """Names of files, each folder's entry before the first file in it."""
    names: dict[str, None] = {}
    for name in files:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            names["/".join(parts[:depth]) + "/"] = None
        names[name] = None
    return list(names)


def _write_archive(directory: Path, files: Mapping[str, bytes], compression: Compression) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / ARCHIVE
    path.write_bytes(zip_bytes(files, compression))
    return path


def _write_folder(directory: Path, files: Mapping[str, bytes], compression: Compression) -> Path:
    del compression  # Files are files.
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory / ROOT
