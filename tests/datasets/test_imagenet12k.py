"""imagenet12k: what is built of its shards, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds
from makers import archives
from makers.ilsvrc2012 import Stored
from makers.imagenet12k import NUMBERS, ImageNet12k, make_imagenet12k
from support.building import build
from support.built_datasets import example, recorded_splits, records, shards, split_content
from support.checking import checked, problem, row
from support.command_line import ERROR, run
from support.paths import DUMMY_DATA
from support.processes import run_python

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet12k.imagenet12k_dataset_builder import Builder
from imagenet_builders.options import BuildOptions

DUMMY = DUMMY_DATA / "imagenet12k"
SPLITS = {"train": 18, "validation": 6}
WNID = "n10019406"  # Of people; winter 2021 does not have it.


class ImageNet12kTest(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY
    SPLITS = SPLITS


def build_here(manual_dir: Path, data_dir: Path, **options: Any) -> Path:
    config: dict[str, Any] = {"workers": 1, "scratch_dir": str(data_dir / "scratch")} | options
    return build(Builder, manual_dir, data_dir, builder_options={"options": BuildOptions(**config)})


def everything(directory: Path) -> dict[str, list[bytes]]:
    """All records of a build, by file."""
    return {shard.name: records(shard) for shard in shards(directory)}


def refused(manual_dir: Path, data_dir: Path, *options: str) -> str:
    """The one sentence with which a build was refused, after which nothing is left."""
    where = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir), "--workers", "1"]
    outcome = run("build", "imagenet12k", *where, *options)
    assert outcome.status == 1, outcome
    assert not list(data_dir.glob("imagenet12k/1.0.0*"))
    [line] = [line for line in outcome.err.splitlines() if line.startswith(ERROR)]
    return line


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> ImageNet12k:
    return make_imagenet12k(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def built(corpus: ImageNet12k, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_here(corpus.directory, tmp_path_factory.mktemp("built"))


def test_the_committed_shards_are_what_the_maker_makes(corpus: ImageNet12k):
    names = sorted(path.name for path in corpus.directory.iterdir())
    assert names == sorted(path.name for path in DUMMY.iterdir())
    assert sum(path.stat().st_size for path in DUMMY.iterdir()) < 500_000


@pytest.mark.parametrize("split", SPLITS)
def test_a_build_holds_what_the_maker_put_in(built: Path, corpus: ImageNet12k, split: str):
    stored: dict[str, Stored] = dict(getattr(corpus, split))
    found = {name: (label, image) for name, label, image in split_content(built, split)}
    assert found == {name: (NUMBERS[str(each.wnid)], each.data) for name, each in stored.items()}


def test_labels_are_positions_in_the_sorted_list_of_wnids(built: Path):
    names = tfds.builder_from_directory(built).info.features["label"].names
    assert names == sorted(names)
    assert len(names) == 11_821
    assert {wnid: names.index(wnid) for wnid in NUMBERS} == NUMBERS
    assert WNID not in labels.space("imagenet21k_winter21")


def test_stock_tfds_reads_it(built: Path):
    data_dir = str(built.parent.parent)
    code = (
        "import tensorflow_datasets as tfds\n"
        f"data = tfds.load('imagenet12k', split='validation', data_dir={data_dir!r})\n"
        "print(sorted(int(each['label']) for each in data))\n"
    )
    assert run_python(code).strip() == str(sorted(NUMBERS.values()))


def test_both_ways_to_build_give_the_same_records_in_the_same_shards(
    corpus: ImageNet12k, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ours = build(Builder, corpus.directory, tmp_path / "ours", num_shards=3)
    stock_way = tfds.core.GeneratorBasedBuilder._download_and_prepare
    monkeypatch.setattr(Builder, "_download_and_prepare", stock_way)
    theirs = build(Builder, corpus.directory, tmp_path / "theirs", num_shards=3)
    names = [shard.name for shard in shards(theirs)]
    assert len(names) == 6
    assert [shard.name for shard in shards(ours)] == names
    for name in names:
        mine, stock = records(ours / name), records(theirs / name)
        assert list(map(example, mine)) == list(map(example, stock))
    assert recorded_splits(ours) == recorded_splits(theirs)


@pytest.mark.parametrize(
    ("base", "options"), [(0, {"workers": 2}), (1, {}), (1, {"workers": 2, "stage": True})]
)
def test_workers_copies_and_the_first_number_change_nothing(
    built: Path, tmp_path: Path, base: int, options: dict[str, Any]
):
    staged = make_imagenet12k(tmp_path / "staged", base=base).directory
    assert everything(build_here(staged, tmp_path / "data", **options)) == everything(built)
    assert run("verify", "imagenet12k", "--data-dir", str(tmp_path / "data")).status == 0


def test_shards_in_a_folder_of_their_own_are_found(built: Path, tmp_path: Path):
    make_imagenet12k(tmp_path / "staged" / "imagenet-12k-wds")
    assert everything(build_here(tmp_path / "staged", tmp_path / "data")) == everything(built)


def with_shard(directory: Path, wnid: str, label: int) -> Path:
    """A third shard of train, of one image."""
    made = make_imagenet12k(directory)
    image = next(iter(made.train.values())).data
    members: list[archives.Member] = [
        (f"{wnid}_77.cls", str(label).encode()),
        (f"{wnid}_77.jpg", image),
    ]
    archives.write_tar(directory / "imagenet12k-train-0002.tar", members)
    return directory


@pytest.mark.parametrize(
    ("wnid", "label", "message"),
    [
        (WNID, NUMBERS[WNID] + 1, "this shard counts classes from 1, where"),
        (WNID, NUMBERS[WNID] - 1, "expected class 9162 (counted from 0) or 9163 (counted from 1)"),
        ("n00004475", 0, "n00004475 is not one of the 11,821 classes of this dataset"),
    ],
)
def test_a_wrong_class_is_refused(tmp_path: Path, wnid: str, label: int, message: str):
    sentence = refused(with_shard(tmp_path / "staged", wnid, label), tmp_path / "data")
    assert message in sentence
    assert "imagenet12k-train-0002.tar" in sentence


def test_a_missing_shard_is_named_by_build_and_check(tmp_path: Path):
    staged = make_imagenet12k(tmp_path / "staged", shards=3).directory
    (staged / "imagenet12k-train-0001.tar").unlink()
    assert "imagenet12k-train-0001.tar is missing" in refused(staged, tmp_path / "data")
    document = checked(staged, status=1)
    assert "imagenet12k-train-0001.tar" in problem(document, severity="error")["found"]


def test_a_shard_that_is_cut_off_is_named(tmp_path: Path):
    staged = make_imagenet12k(tmp_path / "staged").directory
    path = staged / "imagenet12k-train-0001.tar"
    path.write_bytes(path.read_bytes()[:20_000])
    assert str(path) in refused(staged, tmp_path / "data")


def test_check_finds_both_splits(corpus: ImageNet12k):
    document = checked(corpus.directory, status=0)
    assert {each["dataset"] for each in document["sources"]} == {"imagenet12k"}
    assert row(document, "train")["images_expected"] == 12_129_687
    assert row(document, "validation")["images_expected"] == 472_840


def test_strict_refuses_a_part(corpus: ImageNet12k, tmp_path: Path):
    sentence = refused(corpus.directory, tmp_path / "data", "--strict")
    assert "expected 12,129,687 images in all shards, found 18" in sentence


def test_nothing_staged_is_said_with_the_names_looked_for(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    sentence = refused(tmp_path / "empty", tmp_path / "data")
    assert "imagenet12k-train-0000.tar to imagenet12k-train-1023.tar" in sentence
