"""tiny_imagenet: what is built, from the archive and from the folder."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow_datasets as tfds
from makers import tiny_imagenet as maker
from makers.tiny_imagenet import ARCHIVE, ROOT
from PIL import Image
from support.building import DUMMY_ARCHIVES, build
from support.built_datasets import example, recorded_splits, records, shards
from support.logged import warned
from support.processes import run_python

from imagenet_builders import labels
from imagenet_builders.datasets.tiny_imagenet.tiny_imagenet_dataset_builder import Builder
from imagenet_builders.options import BuildOptions

DUMMY = DUMMY_ARCHIVES.parent / "tiny_imagenet"
SPLITS = {"train": 18, "validation": 8, "test": 6}

# Nothing here is all of Tiny ImageNet.


class TinyImagenetTest(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY
    SPLITS = SPLITS


class Stored(NamedTuple):
    """A stored example."""

    label: int
    bbox: tuple[float, ...]
    image: bytes


def build_tiny(manual_dir: Path, data_dir: Path, **options: Any) -> Path:
    config: dict[str, Any] = {"workers": 1, "scratch_dir": str(data_dir / "scratch")} | options
    return build(Builder, manual_dir, data_dir, builder_options={"options": BuildOptions(**config)})


def content(directory: Path, split: str) -> dict[str, Stored]:
    """What each record of a split holds, by file name, in order."""
    found = {}
    for shard in shards(directory, split):
        for record in records(shard):
            feature = example(record).features.feature
            assert set(feature) == {"image", "label", "file_name", "bbox"}
            [name] = feature["file_name"].bytes_list.value
            [label] = feature["label"].int64_list.value
            [image] = feature["image"].bytes_list.value
            found[name.decode()] = Stored(label, tuple(feature["bbox"].float_list.value), image)
    return found


def everything(directory: Path) -> dict[str, list[bytes]]:
    """All records of a build, by file."""
    return {shard.name: records(shard) for shard in shards(directory)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> maker.Tiny:
    return maker.make_tiny_imagenet(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def built(corpus: maker.Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(corpus.path.parent, tmp_path_factory.mktemp("built"))


@pytest.fixture
def reading(built: Path) -> Iterator[Any]:
    """The dataset as one who has not this package's builders reads it."""
    return tfds.builder_from_directory(built)


def test_the_committed_archive_holds_what_the_maker_makes(corpus: maker.Tiny):
    with zipfile.ZipFile(DUMMY / ARCHIVE) as kept, zipfile.ZipFile(corpus.path) as made:
        assert kept.namelist() == made.namelist()
        methods = {info.compress_type for info in kept.infolist() if not info.is_dir()}
    assert zipfile.ZIP_DEFLATED in methods
    assert (DUMMY / ARCHIVE).stat().st_size < 500_000


def expected(split: maker.Split) -> dict[str, Stored]:
    """What should be stored of what the maker has put in."""
    names = sorted(maker.wnids_in_file_order())
    found = {}
    for name, (wnid, box, data) in split.items():
        if wnid is None or box is None:
            found[name] = Stored(-1, (0.0, 0.0, 0.0, 0.0), data)
        else:
            xmin, ymin, xmax, ymax = box
            relative = (ymin / 64, xmin / 64, ymax / 64, xmax / 64)
            found[name] = Stored(names.index(wnid), relative, data)
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_a_build_holds_what_the_maker_put_in(built: Path, corpus: maker.Tiny, split: str):
    found = content(built, split)
    assert len(found) == SPLITS[split]
    assert found == expected(getattr(corpus, split))


def test_labels_are_positions_in_the_sorted_list_of_wnids(reading: Any):
    label = reading.info.features["label"]
    assert label.num_classes == 200
    assert label.names == sorted(maker.wnids_in_file_order())
    assert label.names != maker.wnids_in_file_order()
    assert (label.names[0], label.names[-1]) == ("n01443537", "n12267677")
    assert label.names == list(labels.wnids("tiny_imagenet"))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_boxes_are_where_the_maker_drew_them(reading: Any, split: str):
    for entry in reading.as_dataset(split=split).as_numpy_iterator():
        top, left, bottom, right = (entry["bbox"] * 64).astype(int)
        red, green, blue = np.moveaxis(entry["image"].astype(int), 2, 0)
        redness = red - (green + blue) / 2
        border = [redness[top, left:right], redness[bottom, left:right], redness[top:bottom, left]]
        if entry["file_name"] != b"n01443537_1.JPEG":  # The greyscale one.
            assert np.concatenate(border).mean() > redness.mean() + 50, entry["file_name"]


def test_a_greyscale_image_is_stored_unchanged_and_read_with_three_channels(
    reading: Any, built: Path
):
    name = "n01443537_1.JPEG"
    with Image.open(io.BytesIO(content(built, "train")[name].image)) as image:
        assert image.mode == "L"
    entries = reading.as_dataset(split="train").as_numpy_iterator()
    [pixels] = [entry["image"] for entry in entries if entry["file_name"] == name.encode()]
    assert pixels.shape == (64, 64, 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_both_ways_to_build_give_the_same_records_in_the_same_shards(
    corpus: maker.Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
):
    manual_dir = corpus.path.parent
    ours = build(Builder, manual_dir, tmp_path / "ours", file_format=file_format, num_shards=3)
    stock_way = tfds.core.GeneratorBasedBuilder._download_and_prepare
    monkeypatch.setattr(Builder, "_download_and_prepare", stock_way)
    theirs = build(Builder, manual_dir, tmp_path / "theirs", file_format=file_format, num_shards=3)
    names = [shard.name for shard in shards(theirs)]
    assert len(names) == 9
    assert [shard.name for shard in shards(ours)] == names
    for name in names:
        mine, stock = records(ours / name), records(theirs / name)
        assert list(map(example, mine)) == list(map(example, stock))
    assert recorded_splits(ours) == recorded_splits(theirs)
    assert (ours / "features.json").read_text() == (theirs / "features.json").read_text()


def stage_stored(directory: Path) -> Path:
    return maker.make_tiny_imagenet(directory, compression="stored").path.parent


def stage_deflated(directory: Path) -> Path:
    return maker.make_tiny_imagenet(directory, compression="deflated").path.parent


def stage_folder(directory: Path) -> Path:
    return maker.make_tiny_imagenet(directory, unpacked=True).path.parent


def stage_the_folder_itself(directory: Path) -> Path:
    return maker.make_tiny_imagenet(directory, unpacked=True).path


def stage_the_folder_under_another_name(directory: Path) -> Path:
    return maker.make_tiny_imagenet(directory, unpacked=True).path.rename(directory / "tiny")


def stage_a_folder_in_a_folder(directory: Path) -> Path:
    return maker.make_tiny_imagenet(directory / ROOT, unpacked=True).path.parent.parent


def stage_both(directory: Path) -> Path:
    maker.make_tiny_imagenet(directory, unpacked=True, seed=1)
    return maker.make_tiny_imagenet(directory).path.parent


def stage_without_the_top_folder(directory: Path) -> Path:
    files = maker.make_tiny_imagenet(directory).files
    flat = {name.removeprefix(f"{ROOT}/"): data for name, data in files.items()}
    (directory / ARCHIVE).write_bytes(maker.zip_bytes(flat))
    return directory


def stage_in_another_order(directory: Path) -> Path:
    files = maker.make_tiny_imagenet(directory).files
    (directory / ARCHIVE).write_bytes(maker.zip_bytes(dict(sorted(files.items()))))
    return directory


def stage_without_words(directory: Path) -> Path:
    return maker.make_tiny_imagenet(directory, replace={f"{ROOT}/words.txt": None}).path.parent


@pytest.mark.parametrize(
    "stage",
    [
        stage_stored,
        stage_deflated,
        stage_folder,
        stage_the_folder_itself,
        stage_the_folder_under_another_name,
        stage_a_folder_in_a_folder,
        stage_both,
        stage_without_the_top_folder,
        stage_in_another_order,
        stage_without_words,
    ],
)
def test_every_layout_gives_the_same_records(built: Path, tmp_path: Path, stage: Any):
    directory = build_tiny(stage(tmp_path / "staged"), tmp_path / "data")
    assert everything(directory) == everything(built)
    assert recorded_splits(directory) == recorded_splits(built)


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_kept_index_gives_the_same_dataset(tmp_path: Path, unpacked: bool):
    staged = maker.make_tiny_imagenet(tmp_path / "staged", unpacked=unpacked).path.parent
    first = build_tiny(staged, tmp_path / "a", scratch_dir=str(tmp_path / "scratch"))
    assert len(list((tmp_path / "scratch").rglob("*.index.arrow"))) == 3
    second = build_tiny(staged, tmp_path / "b", scratch_dir=str(tmp_path / "scratch"))
    assert everything(first) == everything(second)


def test_the_next_build_uses_a_corrected_annotation(tmp_path: Path):
    corpus = maker.make_tiny_imagenet(tmp_path / "staged", unpacked=True)
    scratch = str(tmp_path / "scratch")
    build_tiny(tmp_path / "staged", tmp_path / "a", scratch_dir=scratch)
    boxes = corpus.path / "train" / "n01443537" / "n01443537_boxes.txt"
    first, *others = boxes.read_text().splitlines()
    boxes.write_text("\n".join([f"{first.split()[0]}\t1\t2\t3\t4", *others]))
    after = build_tiny(tmp_path / "staged", tmp_path / "b", scratch_dir=scratch)
    assert content(after, "train")[first.split()[0]].bbox == (2 / 64, 1 / 64, 4 / 64, 3 / 64)


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_split_without_images_is_omitted_and_reported(tmp_path: Path, unpacked: bool):
    staged = maker.make_tiny_imagenet(tmp_path / "staged", unpacked=unpacked, test=0).path.parent
    with warned(r"only a part.*images: .*test 0 of 10,000"):
        directory = build_tiny(staged, tmp_path / "data")
    assert [split["name"] for split in recorded_splits(directory)] == ["train", "validation"]


def test_missing_files_are_reported(corpus: maker.Tiny, tmp_path: Path):
    with warned("only a part") as caught:
        build_tiny(corpus.path.parent, tmp_path)
    [message] = [text for text in caught if "only a part" in text]
    assert "train 18 of 100,000, validation 8 of 10,000, test 6 of 10,000" in message
    assert "no images of 194 of the 200 classes, n01629819, " in message


@pytest.mark.parametrize("unpacked", [False, True])
def test_provenance_names_every_file_that_was_read(tmp_path: Path, unpacked: bool):
    path = maker.make_tiny_imagenet(tmp_path / "staged", unpacked=unpacked).path
    splits = json.loads((build_tiny(path.parent, tmp_path) / "provenance.json").read_text())[
        "splits"
    ]
    read = {split: [source["path"] for source in splits[split]["sources"]] for split in splits}
    if not unpacked:
        assert read == {split: [str(path)] for split in SPLITS}
    else:
        assert str(path / "train/n01443537/n01443537_boxes.txt") in read["train"]
        assert str(path / "val/val_annotations.txt") in read["validation"]
        assert read["test"] == [str(path / "test/images"), str(path / "wnids.txt")]
    assert splits["train"]["counts"] == {"boxes": 18, "boxes_without_area": 0}


def test_boxes_without_area_are_kept_and_counted(tmp_path: Path):
    # As that of the real val_37.JPEG, and one whose corners have changed places.
    lines = b"val_0.JPEG\tn03930313\t0\t63\t63\t63\nval_1.JPEG\tn01443537\t44\t62\t0\t32\n"
    replace = {f"{ROOT}/val/val_annotations.txt": lines}
    maker.make_tiny_imagenet(tmp_path / "staged", val=2, replace=replace)
    directory = build_tiny(tmp_path / "staged", tmp_path)
    found = content(directory, "validation")
    assert found["val_0.JPEG"].bbox == (63 / 64, 0.0, 63 / 64, 63 / 64)
    assert found["val_1.JPEG"].bbox == (32 / 64, 0.0, 62 / 64, 44 / 64)
    provenance = json.loads((directory / "provenance.json").read_text())
    counts = provenance["splits"]["validation"]["counts"]
    assert counts == {"boxes": 2, "boxes_without_area": 1}


def test_reading_as_supervised_gives_images_and_labels(built: Path, corpus: maker.Tiny):
    data_dir = built.parent.parent
    dataset = tfds.load("tiny_imagenet", split="train", data_dir=data_dir, as_supervised=True)
    found = sorted(int(label) for image, label in dataset if image.shape == (64, 64, 3))
    assert found == sorted(stored.label for stored in expected(corpus.train).values())


def test_it_can_be_shown_as_a_table(reading: Any):
    pytest.importorskip("pandas")
    for split, count in SPLITS.items():
        table = tfds.as_dataframe(reading.as_dataset(split=split), reading.info)
        assert list(table.columns) == ["bbox", "file_name", "image", "label"]
        assert len(table) == count
        assert "<img" in table._repr_html_()


def test_it_can_be_shown_as_a_figure(reading: Any):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    for split in SPLITS:
        assert tfds.show_examples(reading.as_dataset(split=split), reading.info) is not None


def test_info_describes_the_dataset_and_its_terms(reading: Any, built: Path):
    info = reading.info
    assert info.full_name == "tiny_imagenet/1.0.0"
    assert info.supervised_keys == ("image", "label")
    assert "100,000 training images" in info.description
    assert "their `bbox` is (0, 0, 0, 0)" in info.description
    assert "ILSVRC15" in info.citation
    assert "non-commercial research" in info.redistribution_info.license
    assert {split: info.splits[split].num_examples for split in SPLITS} == SPLITS


def test_the_name_gives_this_builder(tmp_path: Path):
    assert type(tfds.builder("tiny_imagenet", data_dir=tmp_path)) is Builder


def test_workers_need_neither_tensorflow_nor_tfds():
    modules = "from imagenet_builders.datasets.tiny_imagenet import examples, staged"
    code = f"import sys; {modules}; print([m for m in sys.modules if m.startswith('tensorflow')])"
    assert run_python(code).strip() == "[]"


def test_nothing_is_written_to_manual_dir(tmp_path: Path):
    staged = maker.make_tiny_imagenet(tmp_path / "staged", unpacked=True).path
    before = sorted((path, path.stat().st_mtime_ns) for path in staged.rglob("*"))
    shutil.rmtree(build_tiny(staged, tmp_path / "data"))
    assert sorted((path, path.stat().st_mtime_ns) for path in staged.rglob("*")) == before
