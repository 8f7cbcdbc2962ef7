"""Archives in the layout of ILSVRC2012, small enough to commit or large enough to measure with.

The layouts (which of them are confirmed, and by what) matter more than the pictures here: a tar of
class tars for train, flat members out of order for validation, members under `test/` for test.
"""

import dataclasses
import random
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from PIL import Image

from makers import archives, pictures
from makers.archives import write_tar

__all__ = [
    "CLASSES",
    "CMYK_IMAGE",
    "Corpus",
    "PNG_IMAGE",
    "Stored",
    "TEST_ARCHIVE",
    "TEST_PATCH_ARCHIVE",
    "TRAIN_ARCHIVE",
    "VALIDATION_ARCHIVE",
    "VAL_WNIDS",
    "WORDS",
    "make_corpus",
    "write_tar",
    "write_train",
]

_Sortable = TypeVar("_Sortable", int, str)

TRAIN_ARCHIVE = "ILSVRC2012_img_train.tar"
VALIDATION_ARCHIVE = "ILSVRC2012_img_val.tar"
TEST_ARCHIVE = "ILSVRC2012_img_test_v10102019.tar"
TEST_PATCH_ARCHIVE = "ILSVRC2012_img_test_patch_v10102019.tar"

# Two of the real archive's odd files, under their real names, since stock TFDS knows them by name.
CMYK_IMAGE = "n01739381_1309.JPEG"
PNG_IMAGE = "n02105855_2933.JPEG"
_ODD_IMAGES = (CMYK_IMAGE, PNG_IMAGE)

WORDS: Mapping[str, str] = {
    "n01440764": "tench",
    "n01443537": "goldfish",
    "n01735189": "garter snake",
    "n01739381": "vine snake",
    "n01751748": "sea snake",
    "n01917289": "brain coral",
    "n02105855": "Shetland sheepdog",
    "n02125311": "cougar",
    "n02328150": "Angora rabbit",
    "n02346627": "porcupine",
    "n02776631": "bakery",
    "n03125729": "cradle",
    "n03794056": "mousetrap",
    "n04263257": "soup bowl",
    "n09193705": "alp",
}
"""A word for each class of the dummy data. A picture of any other class shows its wnid."""

CLASSES: tuple[str, ...] = (
    "n01440764",
    "n01443537",
    "n01739381",
    "n01751748",
    "n02105855",
    "n02346627",
)
"""The classes of the dummy train archive."""

VAL_WNIDS: Mapping[int, str] = {
    1: "n01751748",
    2: "n09193705",
    3: "n02105855",
    4: "n04263257",
    5: "n03125729",
    6: "n01735189",
    7: "n02346627",
    8: "n02776631",
    9: "n03794056",
    10: "n02328150",
    11: "n01917289",
    12: "n02125311",
    # Gaps between the numbers are where a label taken from a position goes wrong.
    21: "n02346627",
    180: "n02105855",
    236: "n01443537",
    262: "n01443537",
    293: "n01440764",
    324: "n01751748",
    1108: "n01739381",
    1607: "n01751748",
    2138: "n01440764",
    2439: "n01739381",
}
"""True class of some validation pictures, by the number in their names.

Source: the lines of these numbers in TFDS's `imagenet2012/validation_labels.txt`, which are also
those of the devkit's `ILSVRC2012_validation_ground_truth.txt`.
"""


class Stored(NamedTuple):
    """What an archive holds under one name: its class (None for test) and its bytes."""

    wnid: str | None
    data: bytes


Split = Mapping[str, Stored]
"""Base name of each picture, without any prefix, in the order of the members, and what it holds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """All that `make_corpus` wrote. A split that was not asked for is empty and has no archive.

    Attributes:
      directory: where the archives are.
      archives: path of the archive of each split: train, validation, test, test_patch.
      train: the pictures of all class tars.
      validation: the pictures of the validation archive.
      test: the pictures of the test archive, before the patch.
      test_patch: the pictures of the patch.
    """

    directory: Path
    archives: Mapping[str, Path]
    train: Split
    validation: Split
    test: Split
    test_patch: Split

    @property
    def patched_test(self) -> Split:
        """The test pictures as they should be after the patch: same names, some other bytes."""
        return {**self.test, **self.test_patch}


def write_train(
    target: archives.Target,
    classes: Mapping[str, Iterable[archives.Member]],
    *,
    tar_format: int = tarfile.GNU_FORMAT,
) -> None:
    """Writes a tar of class tars: `n########.tar` at the top, flat pictures in each.

    Args:
      target: a path or an open binary file.
      classes: wnids and the members of their tars, in the order to write. The members may be
        generated; one class tar at a time is held in memory.
      tar_format: a format of `tarfile`, for the outer and the inner tars.
    """
    members = (
        (f"{wnid}.tar", archives.tar_bytes(pictures_of, tar_format=tar_format))
        for wnid, pictures_of in classes.items()
    )
    write_tar(target, members, tar_format=tar_format)


def make_corpus(
    directory: str | Path,
    *,
    classes: Mapping[str, int] | Sequence[str] = CLASSES,
    train_per_class: int = 4,
    val: int = 12,
    val_numbers: Mapping[int, str] | Sequence[int] | None = None,
    test: int = 6,
    patch: int = 1,
    odd: bool = True,
    picture: Literal["drawn", "photo-like"] = "drawn",
    seed: int = 0,
    tar_format: int = tarfile.GNU_FORMAT,
    val_prefix: str = "",
    test_prefix: str = "test/",
    test_archive: str = TEST_ARCHIVE,
) -> Corpus:
    """Writes small archives under their official names and returns what is in them.

    Args:
      directory: where to write; made if need be.
      classes: wnids of the train archive, or wnids with the number of pictures of each.
      train_per_class: pictures of each class, unless `classes` gives the numbers.
      val: how many validation pictures, numbered from 1, unless `val_numbers` is given. With
        contiguous numbers stock TFDS, which goes by position, agrees with the true labels.
      val_numbers: the numbers in the names of the validation pictures, which must be in
        `VAL_WNIDS`; or numbers with their true wnids.
      test: how many test pictures, numbered from 1. With 0 there is no test archive.
      patch: how many of the test pictures, from the last backwards, the patch replaces. With 0
        there is no patch archive.
      odd: whether to put in a greyscale and a progressive JPEG (in the first class) and, for
        their classes, `CMYK_IMAGE` and `PNG_IMAGE`.
      picture: whether pictures are drawn, or noisy as photographs.
      seed: another seed gives other pictures, numbers and orders.
      tar_format: a format of `tarfile`.
      val_prefix: folder of the validation members; the real archive has none.
      test_prefix: folder of the test and patch members. A prefix also gets a directory entry.
      test_archive: file name of the test archive; stock TFDS looks for `ILSVRC2012_img_test.tar`.

    Returns:
      What was written, member by member, with the exact bytes. Class tars, their members
      and validation are not in alphabetical order, since no reader may rely on it.

    Raises:
      ValueError: a validation number has no known class, or the patch exceeds the test pictures.
    """
    if patch > test:
        raise ValueError(f"patch={patch} pictures cannot replace some of test={test}")
    if not isinstance(classes, Mapping):
        classes = dict.fromkeys(classes, train_per_class)
    val_wnids = _val_wnids(range(1, val + 1) if val_numbers is None else val_numbers)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{seed}/order")
    paint = _Painter(photo=picture == "photo-like", seed=seed)
    paths: dict[str, Path] = {}

    train: dict[str, dict[str, Stored]] = {}
    for wnid in _shuffled(classes, rng):
        odd_here = odd and wnid == next(iter(classes))
        train[wnid] = dict(_train_class(wnid, classes[wnid], paint, rng, odd, odd_here))
    if train:
        paths["train"] = directory / TRAIN_ARCHIVE
        by_class = {wnid: _members(split) for wnid, split in train.items()}
        write_train(paths["train"], by_class, tar_format=tar_format)

    validation = {}
    for number in _shuffled(val_wnids, rng):
        name, wnid = f"ILSVRC2012_val_{number:08d}.JPEG", val_wnids[number]
        validation[name] = Stored(wnid, paint.jpeg(WORDS.get(wnid, wnid), name))
    names = [f"ILSVRC2012_test_{number:08d}.JPEG" for number in range(1, test + 1)]
    tested = {name: Stored(None, paint.jpeg("test", name)) for name in names}
    patched = {
        name: Stored(None, paint.jpeg("patched", name)) for name in names[len(names) - patch :]
    }
    for split, file_name, prefix, content in (
        ("validation", VALIDATION_ARCHIVE, val_prefix, validation),
        ("test", test_archive, test_prefix, tested),
        ("test_patch", TEST_PATCH_ARCHIVE, test_prefix, patched),
    ):
        if content:
            paths[split] = directory / file_name
            write_tar(
                paths[split],
                _members(content, prefix),
                tar_format=tar_format,
                dirs=[prefix] if prefix else [],
            )
    return Corpus(
        directory=directory,
        archives=paths,
        train={name: stored for split in train.values() for name, stored in split.items()},
        validation=validation,
        test=tested,
        test_patch=patched,
    )


@dataclasses.dataclass(frozen=True)
class _Painter:
    """Makes the pictures of one corpus."""

    photo: bool
    seed: int

    def image(self, word: str, name: str) -> Image.Image:
        if self.photo:
            return pictures.photo_like(key=f"{word}/{name}", seed=self.seed)
        return pictures.draw(word, key=name, seed=self.seed)

    def jpeg(self, word: str, name: str, *, grey: bool = False, progressive: bool = False) -> bytes:
        return pictures.jpeg(self.image(word, name), grey=grey, progressive=progressive)


def _train_class(
    wnid: str, count: int, paint: _Painter, rng: random.Random, odd: bool, first: bool
) -> Iterator[tuple[str, Stored]]:
    """Yields the pictures of one class; the odd ones take the place of ordinary ones."""
    special = [name for name in _ODD_IMAGES if odd and name.startswith(f"{wnid}_")]
    names = [f"{wnid}_{n}.JPEG" for n in rng.sample(range(2, 30000), count + len(_ODD_IMAGES))]
    # An ordinary picture must not bear an odd one's name: stock TFDS would "repair" it.
    names = special + [name for name in names if name not in _ODD_IMAGES]
    names = _shuffled(names[:count], rng)
    word = WORDS.get(wnid, wnid)
    for position, name in enumerate(names):
        if name == CMYK_IMAGE:
            data = pictures.cmyk_jpeg(paint.image(word, name))
        elif name == PNG_IMAGE:
            data = pictures.png(paint.image(word, name))
        else:
            grey, progressive = first and position == 0, first and position == 1
            data = paint.jpeg(word, name, grey=grey, progressive=progressive)
        yield name, Stored(wnid, data)


def _val_wnids(numbers: Mapping[int, str] | Iterable[int]) -> dict[int, str]:
    """Returns numbers of validation pictures with their true classes."""
    if isinstance(numbers, Mapping):
        return dict(numbers)
    numbers = list(numbers)
    unknown = sorted(set(numbers) - set(VAL_WNIDS))
    if unknown:
        raise ValueError(
            f"the class of validation pictures {unknown} is not known here; known are"
            f" {sorted(VAL_WNIDS)}. For others pass val_numbers={{number: wnid}}."
        )
    return {number: VAL_WNIDS[number] for number in numbers}


def _members(split: Split, prefix: str = "") -> list[archives.Member]:
    return [(prefix + name, stored.data) for name, stored in split.items()]


def _shuffled(items: Iterable[_Sortable], rng: random.Random) -> list[_Sortable]:
    """Returns the items in another order, never in the sorted one if there is a choice."""
    ordered = sorted(items)
    mixed = rng.sample(ordered, len(ordered))
    return mixed[::-1] if mixed == ordered else mixed
