"""ImageNet-12k as timm publishes it: shards of WebDataset, a train and a validation split."""

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path

from makers import pictures
from makers.ilsvrc2012 import Stored
from makers.imagenet21k_winter21 import write_shards

STEM = "imagenet12k"

WORDS: Mapping[str, str] = {
    "n00005787": "benthos",
    "n01440764": "tench",
    "n02958343": "car",
    "n07739125": "apple",
    "n10019406": "diver",
    "n15102894": "knothole",
}
"""A word for each class; the first and the last wnid are there, and one that winter 2021 lacks."""

NUMBERS: Mapping[str, int] = {
    "n00005787": 0,
    "n01440764": 216,
    "n02958343": 3265,
    "n07739125": 7936,
    "n10019406": 9162,
    "n15102894": 11820,
}
"""The position of each class among the 11,821 sorted ones."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNet12k:
    """All that `make_imagenet12k` wrote.

    Attributes:
      directory: where it is.
      train: what is stored under each name.
      validation: the same.
    """

    directory: Path
    train: Mapping[str, Stored]
    validation: Mapping[str, Stored]


def make_imagenet12k(
    directory: str | Path,
    *,
    train: int = 3,
    validation: int = 1,
    shards: int = 2,
    base: int = 0,
    seed: int = 0,
) -> ImageNet12k:
    """Writes small shards under their official names and returns what is in them.

    Args:
      directory: where to write; made if need be.
      train: train pictures a class.
      validation: validation pictures a class.
      shards: shards a split.
      base: what `.cls` counts classes from.
      seed: another seed gives other pictures, numbers and orders.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{seed}/imagenet12k")
    numbers = {wnid: rng.sample(range(2, 30_000), train + validation) for wnid in WORDS}
    splits = {
        "train": _pictures({wnid: each[:train] for wnid, each in numbers.items()}, rng, seed),
        "validation": _pictures({wnid: each[train:] for wnid, each in numbers.items()}, rng, seed),
    }
    for split, images in splits.items():
        if images:
            write_shards(directory, f"{STEM}-{split}", images, NUMBERS, count=shards, base=base)
    return ImageNet12k(directory=directory, **splits)


def _pictures(numbers: Mapping[str, list[int]], rng: random.Random, seed: int) -> dict[str, Stored]:
    """Pictures of each class, in an order of their own."""
    names = [(wnid, number) for wnid, each in numbers.items() for number in each]
    rng.shuffle(names)
    return {
        f"{wnid}_{number}.JPEG": Stored(wnid, _picture(wnid, number, seed))
        for wnid, number in names
    }


def _picture(wnid: str, number: int, seed: int) -> bytes:
    image = pictures.draw(WORDS[wnid], key=f"{wnid}_{number}", size=(96, 72), seed=seed)
    return pictures.jpeg(image, quality=90)
