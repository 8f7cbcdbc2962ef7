"""ImageNet-21k winter 2021 and ImageNet-21K-P: a gzipped tar of class tars, one of class folders.

And what sites make of them: the tars without gzip, the folder of class tars, the class folders.
"""

import dataclasses
import gzip
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from makers import archives, pictures
from makers.ilsvrc2012 import Stored

Layout = Literal["tar.gz", "tar", "class tars", "folders", "shards"]
"""How something is staged. Only `whole` has class tars, and timm's shards of WebDataset."""

WHOLE = "winter21_whole"
P = "imagenet21k_resized"
TRAIN, VALIDATION, SMALL = "imagenet21k_train", "imagenet21k_val", "imagenet21k_small_classes"

WORDS: Mapping[str, str] = {
    "n00004475": "organism",
    "n00017222": "plant",
    "n01440764": "tench",
    "n01678043": "desert iguana",
    "n02368116": "viscacha",
    "n02958343": "car",
    "n07739125": "apple",
    "n15102894": "knothole",
}
"""A word for each class; the first and the last wnid of the release are among them."""

NUMBERS: Mapping[str, int] = {
    "n00004475": 0,
    "n00017222": 6,
    "n01440764": 359,
    "n01678043": 1031,
    "n02368116": 3179,
    "n02958343": 5328,
    "n07739125": 12992,
    "n15102894": 19166,
}
"""The position of each class among the 19,167 sorted ones."""

SMALL_CLASSES = ("n00004475", "n02368116")
"""The classes that have no more than 500 images, so that ImageNet-21K-P does not have them."""

GZIPPED = ("n01678043_6448.JPEG", "n02368116_318.JPEG")
"""Two of the 20 images of the real archive that are wrapped in gzip, under their real names."""

_SIZE = (96, 72)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Winter21:
    """All that `make_imagenet21k_winter21` wrote.

    Attributes:
      directory: where it is.
      whole: what is stored under each name; empty where it was not asked for.
      train: the same of ImageNet-21K-P's train split.
      validation: and of its validation split.
      small: and of its small classes, which are in no split.
      odd: names in `whole` that are not plain RGB or greyscale JPEGs, and what they are: `gzip`,
        `cmyk`, `png`, `gif`, `bmp`.
    """

    directory: Path
    whole: Mapping[str, Stored]
    train: Mapping[str, Stored]
    validation: Mapping[str, Stored]
    small: Mapping[str, Stored]
    odd: Mapping[str, str]


def make_imagenet21k_winter21(
    directory: str | Path,
    *,
    whole: Layout | None = "tar.gz",
    p: Layout | None = "tar.gz",
    classes: Sequence[str] = tuple(WORDS),
    odd: bool = True,
    seed: int = 0,
) -> Winter21:
    """Writes small archives or folders under their official names and returns what is in them.

    Args:
      directory: where to write; made if need be.
      whole: how the whole release is staged; None leaves it out.
      p: how ImageNet-21K-P is staged; None leaves it out.
      classes: wnids, four pictures each in `whole`, and in `p` three of train and two of
        validation, or two in the folder of small classes.
      odd: whether to put in the odd images, of the classes n01440764 (CMYK, PNG, GIF, BMP),
        n01678043 and n02368116 (gzip).
      seed: another seed gives other pictures, numbers and orders.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{seed}/winter21")
    kinds: dict[str, str] = {}
    by_class = {wnid: _class_of_whole(wnid, odd, kinds, rng, seed) for wnid in _mixed(classes, rng)}
    trees: dict[str, dict[str, dict[str, Stored]]] = {TRAIN: {}, VALIDATION: {}, SMALL: {}}
    for wnid in _mixed(classes, rng):
        names = _names(wnid, 5, rng)
        if wnid in SMALL_CLASSES:
            trees[SMALL][wnid] = {name: _resized(wnid, name, seed) for name in names[:2]}
        else:
            # The official choice: the first of the sorted names are validation's.
            names.sort()
            trees[VALIDATION][wnid] = {name: _resized(wnid, name, seed) for name in names[:2]}
            trees[TRAIN][wnid] = {name: _resized(wnid, name, seed) for name in names[2:]}
    if whole:
        _write_whole(directory, whole, by_class)
    if p:
        _write_p(directory, p, trees)
    flat = {top: _joined(tree) if p else {} for top, tree in trees.items()}
    return Winter21(
        directory=directory,
        whole=_joined(by_class) if whole else {},
        train=flat[TRAIN],
        validation=flat[VALIDATION],
        small=flat[SMALL],
        odd=kinds,
    )


def write_shards(
    directory: Path,
    stem: str,
    images: Mapping[str, Stored],
    numbers: Mapping[str, int],
    *,
    count: int = 2,
    digits: int = 4,
    base: int = 0,
) -> None:
    """Writes shards of WebDataset as timm's converter does: `.cls`, `.jpg` and `.json`.

    Args:
      directory: where.
      stem: what the names of shards begin with, such as `imagenet_w21-train`.
      images: what is stored under each name; it is dealt out to the shards in turn.
      numbers: the number of each class, counted from 0.
      count: number of shards.
      digits: digits of their numbers.
      base: the number of the first class.
    """
    for shard in range(count):
        members: list[archives.Member] = []
        for name, stored in list(images.items())[shard::count]:
            key = name.removesuffix(".JPEG")
            label = numbers[str(stored.wnid)] + base
            said = json.dumps({"label": label, "width": 96, "height": 72, "filename": name})
            members += [
                (f"{key}.cls", str(label).encode()),
                (f"{key}.jpg", stored.data),
                (f"{key}.json", said.encode()),
            ]
        archives.write_tar(directory / f"{stem}-{shard:0{digits}}.tar", members)


def write_gzip(path: str | Path, data: bytes) -> None:
    """Writes a gzip file that depends on nothing but the data (and the version of zlib)."""
    Path(path).write_bytes(gzip.compress(data, mtime=archives.MTIME))


def gif(image: Image.Image) -> bytes:
    """Encodes as GIF."""
    return _saved(image, "GIF")


def bmp(image: Image.Image) -> bytes:
    """Encodes as BMP."""
    return _saved(image, "BMP")


def _saved(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def _gzipped(image: Image.Image) -> bytes:
    return gzip.compress(pictures.jpeg(image), mtime=archives.MTIME)


_ODD: Mapping[str, Callable[[Image.Image], bytes]] = {
    "cmyk": pictures.cmyk_jpeg,
    "png": pictures.png,
    "gif": gif,
    "bmp": bmp,
    "gzip": _gzipped,
}


def _class_of_whole(
    wnid: str, odd: bool, kinds: dict[str, str], rng: random.Random, seed: int
) -> dict[str, Stored]:
    """Makes the pictures of a class; the odd ones take the place of ordinary ones."""
    names = _names(wnid, 4, rng)
    if odd and wnid == "n01440764":
        kinds |= zip(names, ("cmyk", "png", "gif", "bmp"), strict=True)
    known = [name for name in GZIPPED if odd and name.startswith(wnid)]
    kinds |= dict.fromkeys(known, "gzip")
    stored = {}
    for position, name in enumerate(known + names[len(known) :]):
        # Small: a BMP is not compressed.
        size = (48, 36) if kinds.get(name) == "bmp" else _SIZE
        image = pictures.draw(WORDS.get(wnid, wnid), key=name, size=size, seed=seed)
        if name in kinds:
            data = _ODD[kinds[name]](image)
        else:
            data = pictures.jpeg(image, grey=position == 3)
        stored[name] = Stored(wnid, data)
    return stored


def _resized(wnid: str, name: str, seed: int) -> Stored:
    """A picture of ImageNet-21K-P: 224x224, but smaller where the original was."""
    side = 224 if int(name[10:-5]) % 3 else 90
    image = pictures.draw(WORDS.get(wnid, wnid), key=name, size=(side, side), seed=seed)
    return Stored(wnid, pictures.jpeg(image, quality=70))


def _names(wnid: str, count: int, rng: random.Random) -> list[str]:
    return [f"{wnid}_{number}.JPEG" for number in rng.sample(range(2, 50_000), count)]


def _joined(tree: Mapping[str, Mapping[str, Stored]]) -> dict[str, Stored]:
    return {name: stored for of_class in tree.values() for name, stored in of_class.items()}


def _mixed(items: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(list(items), len(items))


def _write_whole(
    directory: Path, layout: Layout, by_class: Mapping[str, Mapping[str, Stored]]
) -> None:
    if layout == "folders":
        _write_folders(directory / WHOLE, by_class)
        return
    if layout == "shards":
        write_shards(directory, "imagenet_w21-train", _joined(by_class), NUMBERS)
        return
    tars = {
        f"{wnid}.tar": archives.tar_bytes(
            [(name, stored.data) for name, stored in of_class.items()]
        )
        for wnid, of_class in by_class.items()
    }
    if layout == "class tars":
        (directory / "tars").mkdir()
        for name, data in tars.items():
            (directory / "tars" / name).write_bytes(data)
        return
    members: list[archives.Member] = [(f"{WHOLE}/{name}", data) for name, data in tars.items()]
    _write_archive(directory, WHOLE, layout, members, dirs=[WHOLE])


def _write_p(
    directory: Path, layout: Layout, trees: Mapping[str, Mapping[str, Mapping[str, Stored]]]
) -> None:
    if layout == "folders":
        for top, tree in trees.items():
            _write_folders(directory / P / top, tree)
        return
    members: list[archives.Member] = [
        (f"{P}/{top}/{wnid}/{name}", stored.data)
        for top, tree in trees.items()
        for wnid, of_class in tree.items()
        for name, stored in of_class.items()
    ]
    dirs = [P, *(f"{P}/{top}" for top in trees)]
    _write_archive(directory, P, layout, members, dirs=dirs)


def _write_folders(root: Path, by_class: Mapping[str, Mapping[str, Stored]]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for wnid, of_class in by_class.items():
        (root / wnid).mkdir()
        for name, stored in of_class.items():
            (root / wnid / name).write_bytes(stored.data)


def _write_archive(
    directory: Path, stem: str, layout: Layout, members: list[archives.Member], dirs: list[str]
) -> None:
    buffer = io.BytesIO()
    archives.write_tar(buffer, members, dirs=dirs)
    if layout == "tar":
        (directory / f"{stem}.tar").write_bytes(buffer.getvalue())
    else:
        write_gzip(directory / f"{stem}.tar.gz", buffer.getvalue())
