"""The oracle: stock TensorFlow Datasets, building the same archives, makes the same dataset.

Where stock is known to be wrong, a test says so, shows it, and asserts what is right.
"""

from __future__ import annotations

import dataclasses
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from etils import epath
from makers import archives, ilsvrc2012, ilsvrc2012_large, pictures
from support.building import build
from support.built_datasets import example, recorded_splits, records, shards, split_content
from support.logged import warned
from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder as stock

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012 import imagenet2012_dataset_builder as ours
from imagenet_builders.errors import ArchiveError
from imagenet_builders.options import BuildOptions

# Many corpora here do without a test archive.

FORMATS = ("tfrecord", "array_record")

# What stock can read as it should: the one name of the test archive that it knows, no prefix, and
# no patch, which it does not know.
AS_STOCK_WANTS_IT: dict[str, Any] = {
    "test_archive": "ILSVRC2012_img_test.tar",
    "test_prefix": "",
    "patch": 0,
}


def make(directory: Path, **options: Any) -> ilsvrc2012.Corpus:
    return ilsvrc2012.make_corpus(directory, **AS_STOCK_WANTS_IT | options)


def make_large(directory: Path) -> ilsvrc2012_large.LargeCorpus:
    """More than twice the least size of a shard (64 MiB), so that there are two."""
    return ilsvrc2012_large.make_large_corpus(directory, gigabytes=0.15, classes=20)


def make_repeating(directory: Path) -> None:
    """A corpus in which a name is there three times, with other bytes each time."""
    tench = [
        (f"n01440764_{number}.JPEG", pictures.jpeg(pictures.draw("tench", key=key)))
        for number, key in [(1, "a"), (2, "b"), (1, "c"), (3, "d"), (1, "e")]
    ]
    make(directory)
    ilsvrc2012.write_train(directory / ilsvrc2012.TRAIN_ARCHIVE, {"n01440764": tench})


def make_dotted(directory: Path) -> None:
    """A corpus whose train tars were made with `tar -c .`: a folder entry, and `./` everywhere."""
    corpus = make(directory)
    by_class: dict[str, list[archives.Member]] = {}
    for name, stored in corpus.train.items():
        folder = archives.header("./", directory=True)
        members = by_class.setdefault(str(stored.wnid), [(folder, b"")])
        members.append((f"./{name}", stored.data))
    archives.write_tar(
        corpus.archives["train"],
        [(f"./{wnid}.tar", archives.tar_bytes(members)) for wnid, members in by_class.items()],
        dirs=["./"],
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """A corpus and how to build it."""

    make: Callable[[Path], object]
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


CASES = {
    "ordinary pictures": Case(lambda path: make(path, odd=False)),
    "CMYK, PNG, grey and progressive pictures": Case(make),
    "tars in USTAR format": Case(lambda path: make(path, tar_format=tarfile.USTAR_FORMAT)),
    "tars in PAX format": Case(lambda path: make(path, tar_format=tarfile.PAX_FORMAT)),
    "train tars made in the current folder": Case(make_dotted),
    "no test split": Case(lambda path: make(path, test=0)),
    "7 shards": Case(lambda path: make(path, train_per_class=6, test=10), {"num_shards": 7}),
    "5 examples a split": Case(make, {"max_examples_per_split": 5}),
    "5 examples a split in 3 shards": Case(make, {"max_examples_per_split": 5, "num_shards": 3}),
    "repeated names": Case(make_repeating, {"ignore_duplicates": True}),
    "repeated names, 3 examples a split": Case(
        make_repeating, {"ignore_duplicates": True, "max_examples_per_split": 3}
    ),
    "two shards by size": Case(make_large),
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same archives, built by stock and by us."""

    stock: Path
    ours: Path

    def same_shards(self) -> list[tuple[Path, Path]]:
        return [(self.stock / shard.name, shard) for shard in shards(self.ours)]


def build_ours(manual_dir: Path, data_dir: Path, cls: type = ours.Builder, **config: Any) -> Path:
    options = BuildOptions(workers=1, scratch_dir=str(data_dir / "scratch"))
    return build(cls, manual_dir, data_dir, builder_options={"options": options}, **config)


@pytest.fixture(
    scope="module",
    params=[pytest.param((name, form), id=f"{name}, {form}") for name in CASES for form in FORMATS],
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    name, file_format = request.param
    case = CASES[name]
    directory = tmp_path_factory.mktemp("pair")
    case.make(directory / "manual")
    config = {"file_format": file_format, **case.config}
    return Pair(
        stock=build(stock.Builder, directory / "manual", directory / "stock", **config),
        ours=build_ours(directory / "manual", directory / "ours", **config),
    )


def test_shards_have_stocks_names(pair: Pair):
    assert [path.name for path in shards(pair.ours)] == [path.name for path in shards(pair.stock)]


def test_splits_are_described_as_stock_describes_them(pair: Pair):
    assert recorded_splits(pair.ours) == recorded_splits(pair.stock)


@pytest.mark.parametrize("name", ["features.json", "label.labels.txt"])
def test_feature_files_equal_those_of_stock(pair: Pair, name: str):
    assert (pair.ours / name).read_bytes() == (pair.stock / name).read_bytes()


def test_each_shard_holds_stocks_records_in_the_same_order(pair: Pair):
    for theirs, mine in pair.same_shards():
        assert list(map(example, records(mine))) == list(map(example, records(theirs)))


def test_records_are_serialized_deterministically(pair: Pair):
    for shard in shards(pair.ours):
        for record in records(shard):
            assert example(record).SerializeToString(deterministic=True) == record


@pytest.fixture(scope="module")
def large_train(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("large")
    make_large(directory / "manual")
    return shards(build_ours(directory / "manual", directory / "ours"), "train")


def test_the_large_corpus_makes_more_than_one_shard(large_train: list[Path]):
    # Otherwise nothing here would be said of the rule by which the number of shards follows.
    assert len(large_train) == 2


@pytest.mark.parametrize("limit", ["min_shard_size", "max_shard_size"])
def test_a_shard_size_that_stock_ignores_is_ignored_with_a_warning(tmp_path: Path, limit: str):
    make(tmp_path / "manual")
    config: dict[str, Any] = {limit: 10_000}
    theirs = build(stock.Builder, tmp_path / "manual", tmp_path / "stock", **config)
    with warned("made no difference"):
        mine = build_ours(tmp_path / "manual", tmp_path / "ours", **config)
    assert recorded_splits(mine) == recorded_splits(theirs)


def test_a_repeated_name_is_an_error_where_stock_has_one(tmp_path: Path):
    make_repeating(tmp_path / "manual")
    with pytest.raises(Exception, match="share the same hashed key"):
        build(stock.Builder, tmp_path / "manual", tmp_path / "stock")
    with pytest.raises(ArchiveError, match=r"n01440764_1\.JPEG.*twice"):
        build_ours(tmp_path / "manual", tmp_path / "ours")


def test_a_data_source_gives_the_examples_that_stock_gives(tmp_path: Path):
    make(tmp_path / "manual")
    config: dict[str, Any] = {"file_format": "array_record", "num_shards": 3}
    directories = [
        build(stock.Builder, tmp_path / "manual", tmp_path / "stock", **config),
        build_ours(tmp_path / "manual", tmp_path / "ours", **config),
    ]
    for split, count in {"train": 24, "validation": 12, "test": 6}.items():
        theirs, mine = (
            tfds.builder_from_directory(path).as_data_source(split) for path in directories
        )
        assert len(mine) == len(theirs) == count
        for number in range(count):
            np.testing.assert_equal(mine[number], theirs[number])


class ThroughTfds(  # type: ignore[call-arg]  # As its base.
    ours.Builder, skip_registration=True
):
    """Our builder with TensorFlow Datasets' own way to build: a generator, sorted on disk."""

    name = "imagenet2012"
    pkg_dir_path = epath.Path(ours.__file__).parent
    url_infos: ClassVar[dict[str, Any]] = {}  # TFDS 4.9.8 would look for these beside this test.

    def _download_and_prepare(self, dl_manager, download_config):
        tfds.core.GeneratorBasedBuilder._download_and_prepare(self, dl_manager, download_config)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("config", [{}, {"num_shards": 4}, {"max_examples_per_split": 5}], ids=str)
def test_the_plan_and_our_generator_in_tfds_own_engine_give_the_same(
    tmp_path: Path, file_format: str, config: dict[str, int]
):
    ilsvrc2012.make_corpus(tmp_path / "manual")
    both = Pair(
        *(
            build_ours(
                tmp_path / "manual", tmp_path / cls.__name__, cls, file_format=file_format, **config
            )
            for cls in (ThroughTfds, ours.Builder)
        )
    )
    assert recorded_splits(both.ours) == recorded_splits(both.stock)
    for theirs, mine in both.same_shards():
        assert list(map(example, records(mine))) == list(map(example, records(theirs)))


# Where stock is wrong.


def true_label(file_name: str) -> int:
    """The label that the number in a validation image's name stands for."""
    return int(labels.validation_labels()[int(file_name[-13:-5]) - 1])


def labels_by_name(directory: Path) -> dict[str, int]:
    content = split_content(directory, "validation")
    return {name.rpartition("/")[2]: label for name, label, _ in content}


@pytest.mark.parametrize(
    "options",
    [{"val_prefix": "val/"}, {"val_numbers": [21, 180, 236, 293, 324, 1108]}],
    ids=["a directory entry", "gaps between the numbers"],
)
def test_validation_labels_that_stock_shifts_are_correct(tmp_path: Path, options: dict[str, Any]):
    corpus = make(tmp_path / "manual", **options)
    theirs = labels_by_name(build(stock.Builder, tmp_path / "manual", tmp_path / "stock"))
    mine = labels_by_name(build_ours(tmp_path / "manual", tmp_path / "ours"))
    truth = {name: true_label(name) for name in corpus.validation}
    # Two sources of the truth: the devkit's list, and what the maker has drawn.
    assert truth == {
        name: labels.space("imagenet2012").id_of(str(stored.wnid))
        for name, stored in corpus.validation.items()
    }
    assert set(theirs) == set(truth), "stock's file names"
    assert theirs != truth, "stock takes labels by position"
    assert mine == truth


def cut(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.truncate(offset)


def spoil_header(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 512)


@pytest.mark.parametrize("damage", [cut, spoil_header])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_archive_that_stock_silently_truncates_is_an_error(
    tmp_path: Path, split: str, damage: Callable[[Path, int], None]
):
    corpus = make(tmp_path / "manual")
    path = corpus.archives[split]
    with tarfile.open(path) as archive:
        middle = archive.getmembers()[3].offset
    damage(path, middle)
    theirs = split_content(build(stock.Builder, tmp_path / "manual", tmp_path / "stock"), split)
    assert 0 < len(theirs) < len(getattr(corpus, split)), "stock builds a part and says nothing"
    with pytest.raises(ArchiveError, match=path.name):
        build_ours(tmp_path / "manual", tmp_path / "ours")
    assert not list((tmp_path / "ours").rglob("dataset_info.json")), "nothing is published"


def test_a_train_archive_alone_stops_stock_but_builds_here_with_a_warning(tmp_path: Path):
    corpus = make(tmp_path / "manual", val=0, test=0)
    with pytest.raises(Exception, match=ilsvrc2012.VALIDATION_ARCHIVE):
        build(stock.Builder, tmp_path / "manual", tmp_path / "stock")
    with warned("split validation will be missing") as caught:
        directory = build_ours(tmp_path / "manual", tmp_path / "ours")
    said = " ".join(caught)
    assert "split test will be missing" in said
    assert [split["name"] for split in recorded_splits(directory)] == ["train"]
    assert len(split_content(directory, "train")) == len(corpus.train)


def test_the_test_archive_of_2019_is_found_where_stock_omits_the_split(tmp_path: Path):
    make(tmp_path / "manual", test_archive=ilsvrc2012.TEST_ARCHIVE)
    theirs = build(stock.Builder, tmp_path / "manual", tmp_path / "stock")
    mine = build_ours(tmp_path / "manual", tmp_path / "ours")
    assert [split["name"] for split in recorded_splits(theirs)] == ["train", "validation"]
    assert [split["name"] for split in recorded_splits(mine)] == ["train", "validation", "test"]


def test_file_names_omit_the_folder_that_stock_keeps(tmp_path: Path):
    corpus = make(tmp_path / "manual", test_prefix="test/")
    theirs = split_content(build(stock.Builder, tmp_path / "manual", tmp_path / "stock"), "test")
    mine = split_content(build_ours(tmp_path / "manual", tmp_path / "ours"), "test")
    assert {name for name, _, _ in theirs} == {f"test/{name}" for name in corpus.test}
    assert {name for name, _, _ in mine} == set(corpus.test)


def test_the_order_follows_the_file_name_in_any_folder(tmp_path: Path):
    make(tmp_path / "bare" / "manual", test_prefix="")
    make(tmp_path / "folder" / "manual", test_prefix="test/")
    bare, folder = (
        split_content(build_ours(tmp_path / kind / "manual", tmp_path / kind / "ours"), "test")
        for kind in ("bare", "folder")
    )
    assert bare == folder


def test_validation_images_named_from_the_current_folder_stop_stock_but_build_here(tmp_path: Path):
    corpus = make(tmp_path / "manual", val_prefix="./")
    with pytest.raises(KeyError, match="ILSVRC2012_val_"):
        build(stock.Builder, tmp_path / "manual", tmp_path / "stock")
    mine = labels_by_name(build_ours(tmp_path / "manual", tmp_path / "ours"))
    assert mine == {name: true_label(name) for name in corpus.validation}


def test_an_image_with_an_odd_name_is_an_error_where_stock_drops_it(tmp_path: Path):
    corpus = make(tmp_path / "manual")
    tench = [
        (name, pictures.jpeg(pictures.draw("tench", key=name)))
        for name in ("n01440764_1.JPEG", "n01440764_2.JPEG~", ".n01440764_3.JPEG")
    ]
    ilsvrc2012.write_train(corpus.archives["train"], {"n01440764": tench})
    theirs = split_content(build(stock.Builder, tmp_path / "manual", tmp_path / "stock"), "train")
    assert [name for name, _, _ in theirs] == ["n01440764_1.JPEG"]
    with pytest.raises(ArchiveError, match=r"n01440764_2\.JPEG~.*does not belong"):
        build_ours(tmp_path / "manual", tmp_path / "ours")


@pytest.mark.parametrize(
    ("encode", "repair"),
    [
        (pictures.cmyk_jpeg, tfds.core.utils.jpeg_cmyk_to_rgb),
        (pictures.png, tfds.core.utils.png_to_jpeg),
    ],
    ids=["CMYK", "PNG"],
)
def test_an_odd_image_missing_from_stocks_list_is_repaired_as_stock_would(
    tmp_path: Path, encode: Callable[..., bytes], repair: Callable[[bytes], bytes]
):
    odd = encode(pictures.draw("tench", key="odd"))
    make(tmp_path / "manual")
    ilsvrc2012.write_train(
        tmp_path / "manual" / ilsvrc2012.TRAIN_ARCHIVE, {"n01440764": [("n01440764_7.JPEG", odd)]}
    )
    [theirs] = split_content(build(stock.Builder, tmp_path / "manual", tmp_path / "stock"), "train")
    [mine] = split_content(build_ours(tmp_path / "manual", tmp_path / "ours"), "train")
    assert theirs == ("n01440764_7.JPEG", 0, odd), "stock stores it as it is"
    assert mine == ("n01440764_7.JPEG", 0, repair(odd))


def test_a_patch_unknown_to_stock_replaces_its_test_images(tmp_path: Path):
    corpus = make(tmp_path / "manual", patch=2)
    theirs = split_content(build(stock.Builder, tmp_path / "manual", tmp_path / "stock"), "test")
    mine = split_content(build_ours(tmp_path / "manual", tmp_path / "ours"), "test")
    assert {name: image for name, _, image in theirs} == {
        name: stored.data for name, stored in corpus.test.items()
    }
    assert {name: image for name, _, image in mine} == {
        name: stored.data for name, stored in corpus.patched_test.items()
    }
