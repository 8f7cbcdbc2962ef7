"""The ways in which programs that train on ImageNet call TensorFlow Datasets work on what is built.

Each part of the code below calls as its program does: big_vision (`datasets/tfds.py`), Flax
(`examples/imagenet`), Scenic and init2winit (`dataset_lib/imagenet_dataset.py`), AlgoPerf. It runs
in processes with and without this package, and once over a dataset that stock TensorFlow Datasets
has built of the same archives, which is the oracle: all must see the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from makers import ilsvrc2012
from support.building import built_by_cli
from support.paths import DUMMY_DATA
from support.processes import blocking, run_python

SHARDS = 4
STOCK = blocking("imagenet_builders")
OURS = "import imagenet_builders\n"

CODE = """
import hashlib, json, os, pathlib, sys
import tensorflow as tf
import tensorflow_datasets as tfds

data_dir = sys.argv[1]
SKIPPED = {"image": tfds.decode.SkipDecoding()}
seen = {}


def files():
    root = pathlib.Path(data_dir)
    return sorted((str(path), path.stat().st_mtime_ns) for path in root.rglob("*"))


def big_vision(builder, split, processes=1, process=0, ordered=True):
    '''A part for each process, undecoded, each example with a number made of its id.'''
    part = tfds.even_splits(split, processes)[process]
    config = tfds.ReadConfig(skip_prefetch=True, try_autocache=False, add_tfds_id=True)
    read = builder.as_dataset(
        split=part, shuffle_files=not ordered, read_config=config, decoders=SKIPPED
    )
    number = lambda id_: tf.strings.to_hash_bucket_strong(id_, 2**32 - 1, key=[1, 2])
    return read.map(lambda example: {**example, "_id": number(example["tfds_id"])})


builder = tfds.builder("imagenet2012", data_dir=data_dir, try_gcs=True)
for split in ("train[:99%]", "train[99%:]", "train[:98%]", "train[:65]", "train[4:]", "validation"):
    seen["big_vision", split] = examples = []
    for example in big_vision(builder, split).as_numpy_iterator():
        examples.append([
            example["file_name"].decode(), example["tfds_id"].decode(), int(example["label"]),
            int(example["_id"]), hashlib.sha256(example["image"]).hexdigest(),
        ])
    assert builder.info.splits[split].num_examples == len(examples)
for process in range(3):
    part = big_vision(builder, "train", 3, process)
    seen["big_vision even", process] = [e["file_name"].decode() for e in part.as_numpy_iterator()]
    sizes = [builder.info.splits[s].num_examples for s in tfds.even_splits("train", 3)]
    assert sizes[process] == len(seen["big_vision even", process])
directory = tfds.builder_from_directory(os.path.join(data_dir, "imagenet2012", "5.1.0"))
alone = [e["file_name"].decode() for e in big_vision(directory, "train[99%:]").as_numpy_iterator()]
assert alone == [each[0] for each in seen["big_vision", "train[99%:]"]]
shuffled = big_vision(builder, "train", ordered=False).as_numpy_iterator()
seen["big_vision shuffled"] = sorted(e["file_name"].decode() for e in shuffled)

# Flax
for split in ("train[0:120]", "validation[6:12]"):
    ds = tfds.load("imagenet2012:5.*.*", split=split, decoders=SKIPPED).cache()

    def corner(example):
        height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(example["image"]), 3)
        window = [0, 0, height // 2, width // 2]
        pixels = tf.image.decode_and_crop_jpeg(example["image"], window, channels=3)
        return {"image": tf.image.resize(pixels, (24, 24)), "label": example["label"]}

    batches = ds.map(corner, num_parallel_calls=tf.data.AUTOTUNE).batch(6, True)
    seen["flax", split] = [
        [list(batch["image"].shape), batch["label"].tolist(), float(batch["image"].sum())]
        for batch in batches.as_numpy_iterator()
    ]

# Scenic
before = files()
builder = tfds.builder("imagenet2012:5.*.*")
builder.download_and_prepare()
assert files() == before, "a dataset that is there was prepared again"
options = tf.data.Options()
options.threading.private_threadpool_size = 48
ds = builder.as_dataset(split="train[30:90]", decoders=SKIPPED).with_options(options).cache()
seen["scenic"] = [e["file_name"].decode() for e in ds.repeat(2).as_numpy_iterator()]

# init2winit
ds = tfds.load(
    "imagenet2012",
    split=tfds.even_splits("validation", n=2, drop_remainder=True)[1],
    read_config=tfds.ReadConfig(add_tfds_id=True),
    decoders=SKIPPED,
)
seen["init2winit"] = [e["tfds_id"].decode() for e in ds.cache().as_numpy_iterator()]

# AlgoPerf
builder = tfds.builder("imagenet2012:5.1.0", data_dir=data_dir)
builder.download_and_prepare()
assert files() == before
ds = builder.as_dataset(
    split=tfds.even_splits("train", n=7, drop_remainder=True)[2],
    decoders=SKIPPED, shuffle_files=True,
    read_config=tfds.ReadConfig(shuffle_seed=5, interleave_cycle_length=2),
)
seen["algoperf"] = [e["file_name"].decode() for e in ds.as_numpy_iterator()]

print(json.dumps({json.dumps(key): value for key, value in seen.items()}))
"""


def what_is_seen(prelude: str, data_dir: Path) -> dict[str, Any]:
    # Flax, Scenic and init2winit name no directory.
    said = run_python(prelude + CODE, data_dir, TFDS_DATA_DIR=str(data_dir))
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> ilsvrc2012.Corpus:
    """120 train images, of which a percent is one, as stock wants them to be staged."""
    return ilsvrc2012.make_corpus(
        tmp_path_factory.mktemp("staged"),
        train_per_class=20,
        test_archive="ILSVRC2012_img_test.tar",
        test_prefix="",
        patch=0,
    )


@pytest.fixture(scope="module")
def data_dir(corpus: ilsvrc2012.Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    built_by_cli(corpus.directory, directory, f"--num-shards={SHARDS}")
    return directory


@pytest.fixture(scope="module")
def seen(data_dir: Path) -> dict[str, Any]:
    """What stock TensorFlow Datasets reads of our dataset."""
    return what_is_seen(STOCK, data_dir)


def names(seen: dict[str, Any], split: str) -> list[str]:
    """In the order of the records; `tf.data` reads several shards in turns."""
    found = {each[1]: each[0] for each in seen[json.dumps(["big_vision", split])]}
    return [found[id_] for id_ in sorted(found, key=place)]


def place(id_: str) -> tuple[str, int]:
    """Shard and number of an example by its `tfds_id`."""
    shard, _, number = id_.partition("__")
    return shard, int(number)


def test_all_is_as_in_a_dataset_that_stock_has_built(
    corpus: ilsvrc2012.Corpus, seen: dict[str, Any], tmp_path: Path
) -> None:
    build = f"""
import sys, tensorflow_datasets as tfds
config = tfds.download.DownloadConfig(manual_dir={str(corpus.directory)!r}, num_shards={SHARDS})
builder = tfds.builder("imagenet2012", data_dir=sys.argv[1])
builder.download_and_prepare(download_config=config)
"""
    assert what_is_seen(STOCK + build, tmp_path) == seen


def test_all_is_the_same_with_this_package_imported(data_dir: Path, seen: dict[str, Any]) -> None:
    assert what_is_seen(OURS, data_dir) == seen


def test_percents_and_ranges_are_parts_of_one_order(
    corpus: ilsvrc2012.Corpus, seen: dict[str, Any]
) -> None:
    whole = names(seen, "train[:99%]") + names(seen, "train[99%:]")  # Shard after shard.
    assert (len(whole), set(whole)) == (120, set(corpus.train))
    assert [len(names(seen, f"train[:{percent}%]")) for percent in (99, 98)] == [119, 118]
    assert names(seen, "train[:65]") == whole[:65]
    assert names(seen, "train[4:]") == whole[4:]
    for process in range(3):
        part = seen[json.dumps(["big_vision even", process])]
        assert sorted(part) == sorted(whole[process * 40 : process * 40 + 40])
    assert seen[json.dumps("big_vision shuffled")] == sorted(whole)
    assert sorted(seen[json.dumps("scenic")]) == sorted(whole[30:90] * 2)


def test_ids_name_the_shard_and_the_place_in_it(seen: dict[str, Any]) -> None:
    ids = [each[1] for each in seen[json.dumps(["big_vision", "validation"])]]
    assert sorted(ids) == [
        f"imagenet2012-validation.tfrecord-{shard:05}-of-{SHARDS:05}__{number}"
        for shard in range(SHARDS)
        for number in range(3)
    ]
    assert sorted(seen[json.dumps("init2winit")]) == sorted(ids)[6:]
    assert len({each[3] for each in seen[json.dumps(["big_vision", "train[:99%]"])]}) == 119


def test_labels_are_those_of_the_classes(corpus: ilsvrc2012.Corpus, seen: dict[str, Any]) -> None:
    wnids = (DUMMY_DATA / "makers/wnids.txt").read_text().split()
    for name, _, label, *_ in seen[json.dumps(["big_vision", "train[:99%]"])]:
        assert wnids[label] == corpus.train[name].wnid
    for name, _, label, *_ in seen[json.dumps(["big_vision", "validation"])]:
        assert wnids[label] == corpus.validation[name].wnid


def test_every_image_can_be_cropped_as_a_jpeg(seen: dict[str, Any]) -> None:
    """`decode_and_crop_jpeg` takes no PNG; the odd images were repaired."""
    batches = [
        batch
        for split in ("train[0:120]", "validation[6:12]")
        for batch in seen[json.dumps(["flax", split])]
    ]
    assert [shape for shape, _, _ in batches] == [[6, 24, 24, 3]] * 21
    assert all(total > 0 for _, _, total in batches)
