"""The same images staged as every kind of source, and what the package sees of them."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from makers import archives
from makers.imagenet2012_downsampled import make_downsampled
from toys.toy_kind.kind import KIND as PILE
from toys.toy_kind.maker import write_pile

from imagenet_builders import datasets
from imagenet_builders.locate.found import Found
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.plan.recipe import SplitRecipe
from imagenet_builders.run.jobs import Workers
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.sources.reader import ImageRow
from imagenet_builders.sources.rows import NO_COPIES
from support.corpora import layouts, sites, winter21
from support.corpora.ilsvrc2012 import CLASSES, picture, test_name, val_name
from support.corpora.layouts import in_classes, write, write_squashfs
from support.paths import DUMMY_DATA
from support.processes import run_cli

TRAIN = {
    name: picture(name) for wnid in CLASSES for name in (f"{wnid}_{n}.JPEG" for n in (7, 2, 11, 40))
}
VALIDATION = {name: picture(name) for name in map(val_name, (3, 1, 50_000, 2, 236))}
TEST = {name: picture(name) for name in map(test_name, (2, 1, 100_000, 3))}


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of source, as one dataset has it.

    Attributes:
        kind: Name of the kind.
        dataset: Name of the dataset.
        config: Its configuration, or None.
        stage: Stages its images in a directory.
        splits: The splits that are staged.
        seen_cut_off: When the first and last bytes of a file tell that it is cut off: where
            `a third` of it is left, where `little` is.
    """

    kind: str
    dataset: str
    config: str | None
    stage: Callable[[Path], object]
    splits: tuple[str, ...]
    seen_cut_off: tuple[str, ...] = ("a third", "little")

    def staged(self, directory: Path) -> Path:
        directory.mkdir(parents=True)
        self.stage(directory)
        return directory

    def __str__(self) -> str:
        """Its name among the tests."""
        return f"{self.kind}-{self.dataset.removeprefix('imagenet')}"


def _tar(root: Path) -> None:
    inner = [
        (f"{wnid}.tar", archives.tar_bytes(members.items()))
        for wnid, members in layouts.by_class(TRAIN).items()
    ]
    archives.write_tar(root / "ILSVRC2012_img_train.tar", inner)
    archives.write_tar(root / "ILSVRC2012_img_val.tar", VALIDATION.items())
    archives.write_tar(root / "ILSVRC2012_img_test_v10102019.tar", TEST.items())


def _pictures(root: Path) -> layouts.Pictures:
    """The pictures, with their official archives beside the directory."""
    official = root.with_name(f"{root.name}-official")
    official.mkdir()
    _tar(official)
    return layouts.Pictures(official, TRAIN, VALIDATION, TEST)


def _compressed(root: Path) -> None:
    sites.compressed(root, _pictures(root))


def _hugging_face(root: Path) -> None:
    sites.hugging_face(root, _pictures(root))


def _parquet(root: Path) -> None:
    sites.hugging_face_parquet(root, _pictures(root))


def _kaggle_tar(root: Path) -> None:
    sites.kaggle_tar(root, _pictures(root))


def _kaggle_zip(root: Path) -> None:
    sites.kaggle_zip(root, _pictures(root))


def _class_tars(root: Path) -> None:
    layouts.write_class_tars(root / "train", TRAIN)


def _class_tars_in_place(root: Path) -> None:
    layouts.write_class_tars(root, TRAIN)


def _packed_class_tars(root: Path) -> None:
    sites.packed_class_archives(root, layouts.Pictures(root, TRAIN))


def _squashfs(root: Path) -> None:
    write_squashfs(root / "train.sqsh", in_classes(TRAIN), "-comp", "gzip")
    write_squashfs(root / "val.sqsh", VALIDATION, "-comp", "xz")
    write_squashfs(root / "test.sqsh", TEST, "-comp", "gzip")


def _webdataset(root: Path) -> None:
    sites.timm(root, layouts.Pictures(root, TRAIN, VALIDATION))


def _tfrecord(root: Path) -> None:
    sites.slim_itself(root, layouts.Pictures(root, TRAIN, VALIDATION))


@functools.cache
def _built_once() -> Path:
    """A directory of datasets with imagenet2012, in shards of a few images."""
    kept = tempfile.TemporaryDirectory(prefix="built-")
    atexit.register(kept.cleanup)
    where = Path(kept.name)
    (where / "staged").mkdir()
    _tar(where / "staged")
    options = (f"--manual-dir={where / 'staged'}", f"--data-dir={where / 'data'}")
    run_cli("build", "imagenet2012", *options, "--num-shards=3")
    return where / "data"


def _built(root: Path) -> None:
    shutil.copytree(_built_once() / "imagenet2012", root / "imagenet2012")


def _folders(root: Path) -> None:
    write(root / "train", in_classes(TRAIN))
    write(root / "val", VALIDATION)
    write(root / "test", TEST)


def _listed_folders(root: Path) -> None:
    _folders(root)
    for name in ("train", "val", "test"):
        layouts.write_list(root / name, "relative")


def _pile(root: Path) -> None:
    write_pile(root / "piles" / "train.pile", TRAIN)
    write_pile(root / "piles" / "val.pile", VALIDATION)
    write_pile(root / "piles" / "test.pile", TEST)


def _winter21(layout: str) -> Callable[[Path], object]:
    return lambda root: winter21.make(root, "whole", layout)


def _tiny_zip(root: Path) -> None:
    shutil.copy(DUMMY_DATA / "tiny_imagenet" / "tiny-imagenet-200.zip", root)


def _tiny_folders(root: Path) -> None:
    with zipfile.ZipFile(DUMMY_DATA / "tiny_imagenet" / "tiny-imagenet-200.zip") as opened:
        opened.extractall(root)


def _zip(root: Path) -> None:
    make_downsampled(root, 8, outer="stored", inner="stored")


def _npz(root: Path) -> None:
    make_downsampled(root, 8, outer=None, inner="stored")


_ALL = ("train", "validation", "test")
_TWO = ("train", "validation")
_2012 = ("imagenet2012", None)
_21K = ("imagenet21k_winter21", "whole")
_TINY = ("tiny_imagenet", None)
_SMALL = ("imagenet2012_downsampled", "8x8")
_RESIZED = ("imagenet2012_resized", "256")

OFFICIAL = {
    "imagenet2012": Case("tar", *_2012, _tar, _ALL),
    "imagenet21k_winter21": Case("tar.gz", *_21K, _winter21("tar.gz"), ("train",), seen_cut_off=()),
    "tiny_imagenet": Case("zip", *_TINY, _tiny_zip, _ALL),
    "imagenet2012_downsampled": Case("zip", *_SMALL, _zip, _TWO),
}
"""Dataset to its official archives."""

CASES = (
    *OFFICIAL.values(),
    Case("class-tars", *_2012, _class_tars, ("train",), seen_cut_off=()),
    Case("class-tars", *_2012, _class_tars_in_place, ("train",), seen_cut_off=()),
    Case("class-tars", *_2012, _packed_class_tars, ("train",), seen_cut_off=()),
    Case("tar.gz", *_2012, _hugging_face, _ALL, seen_cut_off=()),
    Case("parquet", *_2012, _parquet, _ALL),
    Case("zip", *_2012, _kaggle_zip, _ALL),
    Case("tar.gz", *_2012, _kaggle_tar, _ALL, seen_cut_off=()),
    Case("squashfs", *_2012, _squashfs, _ALL),
    Case("webdataset", *_2012, _webdataset, _TWO),
    Case("tfrecord", *_2012, _tfrecord, _TWO, seen_cut_off=("little",)),
    Case("folders", *_2012, _folders, _ALL, seen_cut_off=()),
    Case("built", *_RESIZED, _built, _ALL, seen_cut_off=("little",)),
    Case(PILE.name, *_2012, _pile, _ALL),
    Case("tar", *_21K, _winter21("tar"), ("train",)),
    Case("class-tars", *_21K, _winter21("class tars"), ("train",), seen_cut_off=()),
    Case("folders", *_21K, _winter21("folders"), ("train",), seen_cut_off=()),
    Case("folders", *_TINY, _tiny_folders, _ALL, seen_cut_off=()),
    Case("npz", *_SMALL, _npz, _TWO, seen_cut_off=()),
)
"""Every kind of source of every dataset."""

# Its archives are those of imagenet2012, which are among the cases.
OFFICIAL["imagenet2012_resized"] = Case("tar", *_RESIZED, _tar, _ALL)


@contextlib.contextmanager
def recipes_of(
    case: Case,
    manual_dir: Path,
    scratch: Path,
    source: str | None = None,
    copies: Mapping[str, str] = NO_COPIES,
    workers: Workers | None = None,
) -> Iterator[dict[str, SplitRecipe]]:
    """The recipes of a dataset, split by split, with workers that live as long."""
    options = BuildOptions(workers=1, scratch_dir=str(scratch), source=source)
    with workers or LocalWorkers(1) as workers:
        context = BuildContext(scratch, options, workers, copies)
        found = datasets.get(case.dataset).recipes(manual_dir, case.config, context, None)
        yield {recipe.split: recipe for recipe in found}


def rows_of(recipes: Mapping[str, SplitRecipe]) -> dict[str, dict[str, tuple[int, int]]]:
    """Key to label and bytes of each image, split by split."""
    found = {}
    for split, recipe in recipes.items():
        columns = (recipe.index.table[name].to_pylist() for name in ("key", "label", "size"))
        rows = list(zip(*columns, strict=True))
        found[split] = {key: (label, size) for key, label, size in rows}
        assert len(found[split]) == len(rows)
    return found


def images_of(recipe: SplitRecipe, seed: int | None = None) -> list[ImageRow]:
    """The images of a split, in the order of the index, or in any order."""
    table = recipe.index.table
    if seed is not None:
        order = list(range(table.num_rows))
        random.Random(seed).shuffle(order)
        table = table.take(order)
    with recipe.index.reader() as reader:
        images = list(reader.images(table))
    assert [image.key for image in images] == table["key"].to_pylist()
    return images


def found_in(case: Case, manual_dir: Path) -> list[Found]:
    """What the survey finds of the kind."""
    survey = datasets.get(case.dataset).survey(manual_dir, case.config)
    return [one for sources in survey.found.values() for one in sources if one.kind == case.kind]
