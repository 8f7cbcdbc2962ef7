"""The order in which directories list what is in them decides no report and no build."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from makers.imagenet21k_winter21 import WORDS, make_imagenet21k_winter21
from makers.imagenet2012_downsampled import make_downsampled
from makers.tiny_imagenet import make_tiny_imagenet
from support.command_line import run
from support.corpora import sites
from support.corpora.layouts import in_classes, pictures, write, write_class_tars

SEEDS = 3

_scandir, _listdir = os.scandir, os.listdir


class Shuffled:
    """What `os.scandir` gives, in another order."""

    def __init__(self, path: Any, order: random.Random):
        with _scandir(path) as entries:
            self._entries = sorted(entries, key=lambda entry: entry.name)
        order.shuffle(self._entries)
        self._left = iter(self._entries)

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        return self._left

    def __next__(self) -> os.DirEntry[str]:
        return next(self._left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._left = iter(())


def in_order(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Lets directories list their entries in another order, whoever lists them."""
    order = random.Random(seed)

    def listdir(path: Any = ".") -> list[str]:
        return order.sample(names := sorted(_listdir(path)), len(names))

    monkeypatch.setattr(os, "scandir", lambda path=".": Shuffled(path, order))
    monkeypatch.setattr(os, "listdir", listdir)


def archives_beside_images(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    write_class_tars(root / "train", pictures("imagenet2012").train)
    write(root / "train", pictures("imagenet2012").train)


def images_beside_half_of_the_class_folders(root: Path) -> None:
    """Which is refused."""
    train = in_classes(pictures("imagenet2012").train)
    half = len(train) // 2
    loose = {path.rpartition("/")[2]: data for path, data in list(train.items())[half:]}
    write(root / "train", dict(list(train.items())[:half]) | loose)


def half_of_the_archives_unpacked(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    write_class_tars(root / "train", pictures("imagenet2012").train)
    train = in_classes(pictures("imagenet2012").train)
    write(root / "train", dict(list(train.items())[: len(train) // 2]))


def folders_of_any_names(root: Path) -> None:
    files = pictures("imagenet2012").validation
    write(root / "val", {f"{at % 3}/{name}": files[name] for at, name in enumerate(files)})


def two_spellings(root: Path) -> None:
    """Which is refused, and the sentence names both."""
    name, data = next(iter(pictures("imagenet2012").validation.items()))
    files = {name: data, name.lower(): data, name.replace("_val_", "_val_0"): data}
    write(root / "val", {**pictures("imagenet2012").validation, **files})


def strangers(root: Path) -> None:
    """Which are refused, the same first of them."""
    wnid = next(iter(pictures("imagenet2012").train)).partition("_")[0]
    more = {f"{wnid}/{name}": b"" for name in ("b.txt", "a.txt", ".hidden", "c.txt")}
    write(root / "train", {**in_classes(pictures("imagenet2012").train), **more})


def winter21(**layout: Any) -> Callable[[Path], object]:
    both: dict[str, Any] = {"whole": None, "p": None} | layout
    return lambda root: make_imagenet21k_winter21(root, classes=tuple(WORDS)[:4], **both)


def site(name: str, dataset: str = "imagenet2012") -> Callable[[Path], object]:
    return lambda root: sites.SITES[name](root, pictures(dataset))


LAYOUTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    **{name: ("imagenet2012", site(name)) for name in sites.SITES},
    **{
        stage.__name__: ("imagenet2012", stage)
        for stage in (
            archives_beside_images,
            images_beside_half_of_the_class_folders,
            half_of_the_archives_unpacked,
            folders_of_any_names,
            two_spellings,
            strangers,
        )
    },
    "boxes in archives": (
        "imagenet2012_localization",
        site("official", "imagenet2012_localization"),
    ),
    "boxes in folders": (
        "imagenet2012_localization",
        site("nci_flat", "imagenet2012_localization"),
    ),
    "dogs": ("imagenet2012_dogs", site("class_archives", "imagenet2012_dogs")),
    "tiny, unpacked": ("tiny_imagenet", lambda root: make_tiny_imagenet(root, unpacked=True)),
    "tiny, sorted": ("tiny_imagenet", sites.tiny_sorted),
    "21k, class tars": ("imagenet21k_winter21/whole", winter21(whole="class tars")),
    "21k, folders": ("imagenet21k_winter21/whole", winter21(whole="folders")),
    "21k-p, folders": ("imagenet21k_winter21/p", winter21(p="folders")),
    "downsampled, unpacked": (
        "imagenet2012_downsampled/8x8",
        lambda root: make_downsampled(root, 8, outer=None, inner="stored"),
    ),
}


def report(staged: Path) -> dict[str, Any]:
    document = json.loads(run("check", str(staged), "--json").out)
    document.pop("needs")  # Room on the disk is another each time.
    return document


def outcome(dataset: str, staged: Path, data_dir: Path) -> tuple[object, ...]:
    """The bytes of all shards, or what was said."""
    arguments = ["--manual-dir", str(staged), "--data-dir", str(data_dir), "--workers", "1"]
    built = run("build", dataset, *arguments)
    shards = {path.name: path.read_bytes() for path in data_dir.rglob("*.tfrecord-*-of-?????")}
    return built.status, shards if built.status == 0 else built.err


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_order_of_a_listing_changes_a_report_or_a_build(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset, stage = LAYOUTS[name]
    staged = tmp_path / "staged"
    stage(staged)
    expected = report(staged), outcome(dataset, staged, tmp_path / "built")
    for seed in range(SEEDS):
        with monkeypatch.context() as patch:
            in_order(patch, seed)
            assert report(staged) == expected[0], f"seed {seed}"
    with monkeypatch.context() as patch:
        in_order(patch, len(name))
        assert outcome(dataset, staged, tmp_path / "again") == expected[1]
