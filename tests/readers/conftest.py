"""Datasets that other packages read, each built once by the command line.

The packages are in the extra `readers`; where one is missing, its tests are skipped. What a process
has imported or forked cannot be undone, so each reader runs in a process of its own.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from support.building import DUMMY_ARCHIVES, built_by_cli
from support.processes import run_cli, run_python
from support.readers import SHOWN, Examples, Exported, Run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.readers)


@pytest.fixture(scope="session")
def tfrecord_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with `imagenet2012` as TFRecord, in three shards for each split."""
    directory = tmp_path_factory.mktemp("tfrecord")
    built_by_cli(DUMMY_ARCHIVES, directory, "--num-shards=3")
    return directory


@pytest.fixture(scope="session")
def array_record_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as ArrayRecord."""
    directory = tmp_path_factory.mktemp("array_record")
    built_by_cli(DUMMY_ARCHIVES, directory, "--num-shards=3", "--file-format=array_record")
    return directory


@pytest.fixture(scope="session")
def exported(tfrecord_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The directory of an export in some form, in three shards where it has any, made once."""

    @functools.cache
    def exported(form: str) -> Path:
        out = tmp_path_factory.mktemp("exports") / form
        options = [f"--to={form}", f"--data-dir={tfrecord_dir}", f"--out={out}"]
        if form == "slim":
            options.append("--num-shards=3")
        run_cli("export", "imagenet2012", *options)
        return out

    return exported


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a reader in a process of its own, and gives the JSON value of its last line."""
    home = tmp_path_factory.mktemp("home")

    def run(code: str, *arguments: str | Path) -> Any:
        said = run_python(
            SHOWN + code,
            *arguments,
            HOME=str(home),
            XDG_CACHE_HOME=str(home / "cache"),
            HF_HUB_OFFLINE="1",
            CUDA_VISIBLE_DEVICES="",
        )
        return json.loads(said.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def expected(run: Run, tfrecord_dir: Path) -> Examples:
    """The examples of each split, in order, as stock TensorFlow Datasets loads them."""
    code = """
sys.modules["imagenet_builders"] = None
import tensorflow as tf, tensorflow_datasets as tfds

@tfds.decode.make_decoder()
def decoded(image, feature):
    return tf.image.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")

builder = tfds.builder("imagenet2012", data_dir=sys.argv[1])
in_order = tfds.ReadConfig(interleave_cycle_length=1)
sets = builder.as_dataset(read_config=in_order, decoders={"image": decoded()})
print(json.dumps({split: list(map(shown, sets[split].as_numpy_iterator())) for split in sets}))
"""
    found: Examples = run(code, tfrecord_dir)
    assert {split: len(examples) for split, examples in found.items()} == {
        "train": 24,
        "validation": 12,
        "test": 6,
    }
    return found
