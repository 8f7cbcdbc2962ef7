"""Stock TensorFlow Datasets reads a built dataset in a process without this package.

What a process has imported cannot be undone, so each of these runs in a fresh interpreter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import command_line
from support.building import DUMMY_ARCHIVES, built_by_cli
from support.corpora.ilsvrc2012 import staged, val_name
from support.processes import blocking, run_python

SIZES = {"train": 24, "validation": 12, "test": 6}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    built_by_cli(DUMMY_ARCHIVES, directory)
    return directory


READER = blocking("imagenet_builders") + "import tensorflow_datasets as tfds\n"


def test_a_reader_without_the_package_really_is_without_it():
    with pytest.raises(AssertionError, match=r"ModuleNotFoundError: .*imagenet_builders"):
        run_python(f"{READER}import imagenet_builders")


@pytest.fixture(scope="module")
def read_by_stock(data_dir: Path) -> dict[str, Any]:
    """What a process without the package reads, in all the ways that there are."""
    code = f"""{READER}
import json
data_dir = sys.argv[1]
builder = tfds.builder("imagenet2012", data_dir=data_dir)
splits, info = tfds.load("imagenet2012", data_dir=data_dir, with_info=True)
int2str = info.features["label"].int2str
supervised = tfds.load("imagenet2012", split="train", data_dir=data_dir, as_supervised=True)
parts = tfds.load("imagenet2012", split=["train[:5]", "train[5:]"], data_dir=data_dir)
alone = tfds.builder_from_directory(sys.argv[2])
examples = {{split: list(d.as_numpy_iterator()) for split, d in splits.items()}}
print(json.dumps({{
    "module": type(builder).__module__,
    "names": {{s: [e["file_name"].decode() for e in found] for s, found in examples.items()}},
    "shapes": {{s: [e["image"].shape for e in found] for s, found in examples.items()}},
    "sizes": {{split: info.splits[split].num_examples for split in info.splits}},
    "wnids": [int2str(int(label)) for image, label in supervised],
    "parts": [[e["file_name"].decode() for e in part.as_numpy_iterator()] for part in parts],
    "alone": alone.info.full_name,
    "alone sizes": {{split: len(alone.as_dataset(split=split)) for split in alone.info.splits}},
}}))
"""
    found: dict[str, Any] = json.loads(run_python(code, data_dir, data_dir / "imagenet2012/5.1.0"))
    return found


def test_a_reader_without_the_package_uses_the_class_of_tfds(read_by_stock: dict[str, Any]):
    assert read_by_stock["module"].startswith("tensorflow_datasets.datasets.imagenet2012.")


def test_stock_tfds_loads_all_splits_without_the_package(read_by_stock: dict[str, Any]):
    assert read_by_stock["sizes"] == SIZES
    assert {split: len(set(names)) for split, names in read_by_stock["names"].items()} == SIZES


def test_stock_tfds_decodes_all_images_without_the_package(read_by_stock: dict[str, Any]):
    shapes = [shape for found in read_by_stock["shapes"].values() for shape in found]
    assert len(shapes) == sum(SIZES.values())
    assert all(height > 0 and width > 0 and channels == 3 for height, width, channels in shapes)


def test_stock_tfds_names_the_labels_without_the_package(read_by_stock: dict[str, Any]):
    # The class is in the name of each train image; supervised reading has the order of the names.
    assert read_by_stock["wnids"] == [
        name.partition("_")[0] for name in read_by_stock["names"]["train"]
    ]


def test_stock_tfds_loads_slices_of_splits_without_the_package(read_by_stock: dict[str, Any]):
    first, rest = read_by_stock["parts"]
    assert len(first) == 5
    assert first + rest == read_by_stock["names"]["train"]


def test_stock_tfds_reads_the_directory_alone_without_the_package(read_by_stock: dict[str, Any]):
    assert read_by_stock["alone"] == "imagenet2012/5.1.0"
    assert read_by_stock["alone sizes"] == SIZES


def test_loading_without_the_package_does_not_build_again(data_dir: Path):
    info = data_dir / "imagenet2012" / "5.1.0" / "dataset_info.json"
    before = info.stat().st_mtime_ns
    run_python(f"{READER}tfds.load('imagenet2012', data_dir=sys.argv[1])", data_dir)
    assert info.stat().st_mtime_ns == before
    assert {path.name for path in data_dir.iterdir() if path.name[0] != "."} == {"imagenet2012"}


def test_a_dataset_becomes_a_table(data_dir: Path):
    pytest.importorskip("pandas")
    code = f"""{READER}
dataset, info = tfds.load("imagenet2012", split="train", data_dir=sys.argv[1], with_info=True)
table = tfds.as_dataframe(dataset.take(5), info)
print(sorted(table.columns), len(table), "n0" in table._repr_html_())
"""
    assert run_python(code, data_dir) == "['file_name', 'image', 'label'] 5 True\n"


def test_examples_can_be_shown(data_dir: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    code = f"""{READER}
import matplotlib
matplotlib.use("Agg")
dataset, info = tfds.load("imagenet2012", split="train", data_dir=sys.argv[1], with_info=True)
tfds.show_examples(dataset, info).savefig(sys.argv[2])
"""
    run_python(code, data_dir, tmp_path / "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 10_000


def test_a_build_warns_of_more_shards_than_a_reader_can_open(tmp_path: Path):
    """ArrayRecord's reader keeps them open; that of TFRecords does not."""
    corpus = staged()
    [(_, data), *_] = corpus.validation
    corpus.validation = [(val_name(number), data) for number in range(1, 901)]
    corpus.train, corpus.test, corpus.patch = {}, [], []
    corpus.in_outer = lambda members: []
    manual_dir = corpus.write(tmp_path / "staged")
    said = {}
    for file_format, shards in (("array_record", 900), ("array_record", 899), ("tfrecord", 900)):
        options = [f"--num-shards={shards}", f"--file-format={file_format}"]
        outcome = command_line.build(manual_dir, tmp_path / f"{file_format}-{shards}", *options)
        assert outcome.status == 0, outcome
        said[file_format, shards] = [w for w in outcome.warnings if "ulimit" in w]
    [warning] = said.pop(("array_record", 900))
    assert "900 shards as array_record" in warning
    assert "readers say `ulimit -n 4096` first" in warning
    assert list(said.values()) == [[], []]
