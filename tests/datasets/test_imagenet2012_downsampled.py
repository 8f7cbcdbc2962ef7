"""imagenet2012_downsampled: what is built from sound archives, in every layout."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow_datasets as tfds
from makers import imagenet2012_downsampled as maker
from PIL import Image
from support.building import DUMMY_ARCHIVES, build
from support.built_datasets import example, recorded_splits, records, shards
from support.logged import warned
from support.processes import run_cli, run_python
from tensorflow_datasets.datasets.imagenet_resized import imagenet_resized_dataset_builder as stock

from imagenet_builders import labels
from imagenet_builders.datasets.imagenet2012_downsampled import examples
from imagenet_builders.datasets.imagenet2012_downsampled import (
    imagenet2012_downsampled_dataset_builder as module,
)
from imagenet_builders.options import BuildOptions
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.run.local import LocalWorkers

Builder = module.Builder
DUMMY = DUMMY_ARCHIVES.parent / "imagenet2012_downsampled"
CONFIGS = [f"{size}x{size}" for size in maker.SIZES]
SPLITS = {"train": 30, "validation": 6}
LAYOUTS: dict[str, dict[str, Any]] = {
    "deflated zips": {},
    "stored zips, read in place": {"outer": "stored"},
    "stored zips of deflated arrays": {"outer": "stored", "inner": "deflated"},
    "deflated zips of deflated arrays": {"inner": "deflated"},
    "zips with a folder inside": {"prefix": "some/{stem}/"},
    "folders, read in place": {"outer": None},
    "folders of deflated arrays": {"outer": None, "inner": "deflated"},
    "folders in folders": {"outer": None, "prefix": "{stem}/"},
}


class Imagenet2012DownsampledTest(tfds.testing.DatasetBuilderTestCase):
    """What TensorFlow Datasets asks of every dataset."""

    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY
    SPLITS = SPLITS


class Stored(NamedTuple):
    """A stored example."""

    label: int
    image: bytes


def build_small(manual_dir: Path, data_dir: Path, size: int = 8, **config: Any) -> Path:
    options = BuildOptions(workers=1, scratch_dir=str(data_dir / "scratch"))
    chosen = {"options": options, "config": f"{size}x{size}"}
    return build(Builder, manual_dir, data_dir, builder_options=chosen, **config)


def content(directory: Path, split: str) -> dict[str, Stored]:
    """What each record of a split holds, by id, in order."""
    found = {}
    for shard in shards(directory, split):
        for record in records(shard):
            feature = example(record).features.feature
            assert set(feature) == {"image", "label", "id"}
            [name] = feature["id"].bytes_list.value
            [label] = feature["label"].int64_list.value
            [image] = feature["image"].bytes_list.value
            found[name.decode()] = Stored(label, image)
    return found


def everything(directory: Path) -> dict[str, list[bytes]]:
    """All records of a build, by file."""
    return {shard.name: records(shard) for shard in shards(directory)}


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[int, maker.Downsampled]:
    return maker.make_imagenet2012_downsampled(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module", params=maker.SIZES, ids=CONFIGS)
def size(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def built(size: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small(DUMMY, tmp_path_factory.mktemp("built"), size)


@pytest.fixture(scope="module")
def reading(built: Path) -> Iterator[Any]:
    """The dataset as one who has not this package's builders reads it."""
    return tfds.builder_from_directory(built)


def test_the_committed_archives_hold_what_the_maker_makes(corpus: dict[int, maker.Downsampled]):
    made = [path for one in corpus.values() for paths in one.paths.values() for path in paths]
    assert sorted(path.name for path in made) == sorted(path.name for path in DUMMY.iterdir())
    assert sum(path.stat().st_size for path in DUMMY.iterdir()) < 500_000
    for path in made:
        with zipfile.ZipFile(path) as new, zipfile.ZipFile(DUMMY / path.name) as kept:
            assert new.namelist() == kept.namelist()


def committed(size: int) -> dict[str, dict[str, np.ndarray]]:
    """What NumPy reads from the committed archives: the arrays of each batch by its name."""
    found = {}
    for path in DUMMY.glob(f"Imagenet{size}_*.zip"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npz"):
                    with np.load(io.BytesIO(archive.read(name)), allow_pickle=False) as arrays:
                        found[Path(name).stem] = {key: arrays[key] for key in ("data", "labels")}
    return found


def test_pixels_and_labels_are_those_that_numpy_reads(built: Path, size: int):
    batches = committed(size)
    assert len(batches) == 11
    found = content(built, "*")
    assert len(found) == sum(len(batch["labels"]) for batch in batches.values())
    devkit = labels.wnids("devkit")
    for name, stored in found.items():
        batch, _, row = name.partition("/")
        assert len(row) == 6
        planes = batches[batch]["data"][int(row)].reshape(3, size, size)
        np.testing.assert_array_equal(pixels(stored.image), planes.transpose(1, 2, 0))
        wnid = devkit[batches[batch]["labels"][int(row)] - 1]
        assert stored.label == labels.space("imagenet2012").id_of(wnid)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("side", [8, 64])
def test_every_layout_gives_what_the_maker_put_in(tmp_path: Path, layout: str, side: int):
    made = maker.make_downsampled(tmp_path / "manual", side, rows=2, val=3, **LAYOUTS[layout])
    directory = build_small(tmp_path / "manual", tmp_path / "built", side)
    for split, expected in made.pictures.items():
        found = content(directory, split)
        assert found.keys() == expected.keys()
        for name, (wnid, image) in expected.items():
            assert found[name].label == sorted(labels.wnids("imagenet2012")).index(wnid)
            np.testing.assert_array_equal(pixels(found[name].image), image)


def test_records_do_not_depend_on_the_layout(tmp_path: Path):
    built = []
    for number, layout in enumerate(LAYOUTS.values()):
        manual = tmp_path / f"manual{number}"
        maker.make_downsampled(manual, 16, **layout)
        built.append(everything(build_small(manual, tmp_path / f"built{number}", 16, num_shards=2)))
    assert all(other == built[0] for other in built)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_both_ways_to_build_give_the_same_records_in_the_same_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
):
    ours = build_small(DUMMY, tmp_path / "ours", 32, file_format=file_format, num_shards=3)
    stock_way = tfds.core.GeneratorBasedBuilder._download_and_prepare
    monkeypatch.setattr(Builder, "_download_and_prepare", stock_way)
    theirs = build_small(DUMMY, tmp_path / "theirs", 32, file_format=file_format, num_shards=3)
    names = [shard.name for shard in shards(theirs)]
    assert len(names) == 6
    assert [shard.name for shard in shards(ours)] == names
    for name in names:
        mine, other = records(ours / name), records(theirs / name)
        assert list(map(example, mine)) == list(map(example, other))
    assert recorded_splits(ours) == recorded_splits(theirs)
    assert (ours / "features.json").read_text() == (theirs / "features.json").read_text()


def test_tensorflow_datasets_own_builder_reads_the_same_pictures_under_the_same_classes(
    built: Path, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def download(self: object, urls: list[str]) -> list[Path]:
        return [DUMMY / url.rpartition("/")[2] for url in urls]

    monkeypatch.setattr(tfds.download.DownloadManager, "download", download)
    builder = stock.Builder(data_dir=tmp_path, config=f"{size}x{size}", version="0.1.0")
    builder.download_and_prepare()
    of_stock = builder.info.features["label"].int2str
    of_ours = labels.wnids("imagenet2012")
    for split in ("train", "validation"):
        theirs = Counter(
            (of_stock(int(entry["label"])), entry["image"].tobytes())
            for entry in builder.as_dataset(split=split).as_numpy_iterator()
        )
        ours = Counter(
            (of_ours[stored.label], pixels(stored.image).tobytes())
            for stored in content(built, split).values()
        )
        assert ours == theirs


def test_any_number_of_workers_gives_the_same_records(tmp_path: Path):
    maker.make_downsampled(tmp_path / "manual", 16, rows=40, inner="deflated")
    built = []
    for workers in (1, 2):
        done = run_cli(
            "build",
            "imagenet2012_downsampled/16x16",
            f"--manual-dir={tmp_path / 'manual'}",
            f"--data-dir={tmp_path / str(workers)}",
            f"--workers={workers}",
            "--num-shards=4",
            PYTHONHASHSEED=str(workers),
        )
        built.append(everything(Path(done.stdout.splitlines()[-1])))
    assert built[0] == built[1]
    assert len(built[0]) == 8


def test_only_staged_sizes_are_built(tmp_path: Path):
    maker.make_downsampled(tmp_path / "manual", 8, val=0)
    with warned(r"split validation will be missing: .*_val_npz\.zip"):
        directory = build_small(tmp_path / "manual", tmp_path / "built")
    assert [split["name"] for split in recorded_splits(directory)] == ["train"]


def test_archives_of_other_sizes_are_ignored(tmp_path: Path):
    maker.make_downsampled(tmp_path, 16)
    (tmp_path / "Imagenet32_train_npz.zip").write_bytes(b"damaged")
    (tmp_path / "Imagenet8_val_npz").mkdir()
    assert len(content(build_small(tmp_path, tmp_path / "built", 16), "train")) == 30


def test_an_archive_is_preferred_to_a_folder(tmp_path: Path):
    made = maker.make_downsampled(tmp_path, 8, val=0)
    maker.make_downsampled(tmp_path, 8, val=0, outer=None, seed=1)
    found = content(build_small(tmp_path, tmp_path / "built"), "train")
    first = "train_data_batch_1/000000"
    np.testing.assert_array_equal(pixels(found[first].image), made.pictures["train"][first].pixels)


def test_a_part_may_be_an_archive_and_the_other_a_folder(tmp_path: Path):
    maker.make_downsampled(tmp_path, 64, rows=1, val=1)
    maker.make_downsampled(tmp_path, 64, rows=1, val=0, outer=None)
    (tmp_path / "Imagenet64_train_part2_npz.zip").unlink()
    assert len(content(build_small(tmp_path, tmp_path / "built", 64), "train")) == 10


def test_both_parts_may_lie_in_one_folder(tmp_path: Path):
    maker.make_downsampled(tmp_path, 64, rows=1, val=1, outer=None)
    whole = tmp_path / "Imagenet64_train_npz"
    whole.mkdir()
    for part in (1, 2):
        (tmp_path / f"Imagenet64_train_part{part}_npz").rename(whole / f"part{part}")
    assert len(content(build_small(tmp_path, tmp_path / "built", 64), "train")) == 10


def test_other_files_are_ignored(tmp_path: Path):
    maker.make_downsampled(tmp_path, 8, outer=None)
    folder = tmp_path / "Imagenet8_train_npz"
    for name in ("README.txt", ".DS_Store", "._train_data_batch_1.npz", "md5sums"):
        (folder / name).write_bytes(b"anything")
    assert len(content(build_small(tmp_path, tmp_path / "built"), "train")) == 30


def test_labels_may_be_a_column(tmp_path: Path):
    arrays = maker.batch_arrays("train_data_batch_3", 8)
    replaced = {**arrays, "labels": arrays["labels"].reshape(-1, 1).astype(np.uint16)}
    maker.make_downsampled(tmp_path / "a", 8)
    maker.make_downsampled(tmp_path / "b", 8, replace={"train_data_batch_3": replaced})
    built = [build_small(tmp_path / which, tmp_path / which / "built") for which in "ab"]
    assert everything(built[0]) == everything(built[1])


def index_of(manual_dir: Path, scratch: Path, side: int, split: str) -> Any:
    builder = Builder(data_dir=scratch, config=f"{side}x{side}")
    with LocalWorkers(1) as workers:
        recipes = builder.split_recipes(
            manual_dir, BuildContext(scratch, BuildOptions(workers=1), workers)
        )
    return next(recipe.index for recipe in recipes if recipe.split == split)


def test_sizes_of_few_examples_are_exact_and_of_many_estimated(tmp_path: Path):
    maker.make_downsampled(tmp_path / "few", 16, rows=2, val=3, outer="stored")
    maker.make_downsampled(tmp_path / "many", 16, rows=100, val=3, outer="stored")
    for name in ("few", "many"):
        directory = build_small(tmp_path / name, tmp_path / name / "built", 16)
        index = index_of(tmp_path / name, tmp_path / name / "scratch", 16, "train")
        estimated = int(examples.example_sizes(index).sum())
        info = next(one for one in recorded_splits(directory) if one["name"] == "train")
        actual = int(info["numBytes"])
        assert estimated == actual if name == "few" else abs(estimated / actual - 1) < 0.02


def test_rows_point_into_an_uncompressed_archive(tmp_path: Path):
    made = maker.make_downsampled(tmp_path, 32, outer="stored")
    index = index_of(tmp_path, tmp_path / "scratch", 32, "train")
    assert [file.path for file in index.files] == [str(made.paths["train"][0])]
    [path] = made.paths["train"]
    data = path.read_bytes()
    for row in index.table.to_pylist():
        planes = data[row["offset"] : row["offset"] + row["size"]]
        expected = made.pictures["train"][row["key"]].pixels.transpose(2, 0, 1)
        assert planes == expected.tobytes()
    assert not list((tmp_path / "scratch").glob("*.unpacked"))


def test_workers_need_no_tensorflow():
    code = (
        "import sys; from imagenet_builders.datasets.imagenet2012_downsampled import "
        "batches, examples, staged; from imagenet_builders.scratch import unzip; "
        "print([name for name in sys.modules if name.startswith('tensorflow')])"
    )
    assert run_python(code).strip() == "[]"


def test_it_loads_supervised(built: Path, size: int):
    data_dir = built.parents[2]
    name = f"imagenet2012_downsampled/{size}x{size}"
    loaded = tfds.load(name, data_dir=data_dir, split="train", as_supervised=True, download=False)
    count = 0
    for image, label in loaded:
        assert image.shape == (size, size, 3)
        assert image.dtype == "uint8"
        assert 0 <= int(label) < 1000
        count += 1
    assert count == SPLITS["train"]


def test_it_can_be_shown_as_a_table_and_a_figure(reading: Any):
    pytest.importorskip("pandas")
    split = reading.as_dataset(split="validation")
    table = tfds.as_dataframe(split, reading.info)
    assert list(table.columns) == ["id", "image", "label"]
    assert "<img" in table._repr_html_()
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    assert tfds.show_examples(split, reading.info) is not None


def test_info_describes_the_dataset_and_its_terms(reading: Any, size: int):
    info = reading.info
    assert info.full_name == f"imagenet2012_downsampled/{size}x{size}/1.0.0"
    assert info.supervised_keys == ("image", "label")
    assert info.features["image"].shape == (size, size, 3)
    assert info.features["label"].names == sorted(labels.wnids("imagenet2012"))
    assert "Labels are those of `imagenet2012`" in info.description
    assert "chrabaszcz2017downsampled" in info.citation
    assert "non-commercial research" in info.redistribution_info.license


def test_the_first_configuration_is_the_default(tmp_path: Path):
    import imagenet_builders  # noqa: F401  # Offers the builders.

    builder = tfds.builder("imagenet2012_downsampled", data_dir=tmp_path)
    assert type(builder) is Builder
    assert builder.builder_config.name == CONFIGS[0] == "8x8"
    assert list(Builder.builder_configs) == CONFIGS
