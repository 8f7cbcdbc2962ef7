"""Tests of training code mock TensorFlow Datasets; then nothing is built, and nothing is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tensorflow_datasets as tfds
from support.building import DUMMY_ARCHIVES
from support.paths import dummy_archives
from support.processes import run_python

import imagenet_builders  # noqa: F401  # Offers the builders.
from imagenet_builders import datasets

MockPolicy = tfds.testing.MockPolicy
NAMES = datasets.names()


def prepare(builder: Any, name: str = "imagenet2012") -> None:
    """What training code calls before it reads; here, archives are staged."""
    config = tfds.download.DownloadConfig(manual_dir=dummy_archives(name))
    assert builder.download_and_prepare(download_config=config) is None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("built")
    prepare(tfds.builder("imagenet2012", data_dir=data_dir))
    return data_dir


@pytest.mark.parametrize("policy", [MockPolicy.AUTO, MockPolicy.USE_CODE])
@pytest.mark.parametrize("name", NAMES)
def test_every_dataset_can_be_mocked(name: str, policy: Any, tmp_path: Path) -> None:
    """By `load`, by its builder, and as a data source, with archives staged."""
    with tfds.testing.mock_data(num_examples=3, policy=policy):
        loaded, info = tfds.load(name, split="train", data_dir=tmp_path, with_info=True)
        examples = list(loaded.as_numpy_iterator())
        builder = tfds.builder(name, data_dir=tmp_path)
        prepare(builder, name)
        read = list(builder.as_dataset(split="train").as_numpy_iterator())
        source = tfds.data_source(name, split="train", data_dir=tmp_path)
        assert len(examples) == len(read) == len(source) == 3
        for example in (*examples, *read, source[0]):
            assert set(example) == set(info.features)
            assert example["image"].shape[-1] == 3
            assert 0 <= example["label"] < info.features["label"].num_classes
    assert list(tmp_path.iterdir()) == []


def test_a_mock_with_the_files_of_a_dataset_knows_its_splits(built: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    with tfds.testing.mock_data(num_examples=2, policy=MockPolicy.USE_FILES, data_dir=built):
        builder = tfds.builder("imagenet2012")
        prepare(builder)
        assert builder.info.splits["train"].num_examples == 24
        assert len(list(tfds.load("imagenet2012", split="validation"))) == 2
        assert len(list(tfds.load("imagenet2012:5.1.0", split="train"))) == 2
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before


def test_a_mock_that_needs_files_says_that_there_are_none(tmp_path: Path) -> None:
    with (
        tfds.testing.mock_data(policy=MockPolicy.USE_FILES, data_dir=tmp_path),
        pytest.raises(ValueError, match="metadata files were not found"),
    ):
        tfds.load("imagenet2012", split="train")


def test_mocks_may_be_nested_and_a_build_works_after_them(tmp_path: Path) -> None:
    with tfds.testing.mock_data(num_examples=2):
        with tfds.testing.mock_data(num_examples=5):
            assert len(list(tfds.load("imagenet2012", split="train"))) == 5
        prepare(tfds.builder("imagenet2012", data_dir=tmp_path))
        assert len(list(tfds.load("imagenet2012", split="train"))) == 2
    assert list(tmp_path.iterdir()) == []
    builder = tfds.builder("imagenet2012", data_dir=tmp_path)
    prepare(builder)
    assert len(list(builder.as_dataset(split="train"))) == 24


@pytest.mark.parametrize("autospec", [False, True])
def test_a_mock_of_the_base_method_is_called(autospec: bool, tmp_path: Path) -> None:
    """Code under test may be given a mock of its own, of either kind."""
    with mock.patch.object(
        tfds.core.DatasetBuilder, "download_and_prepare", autospec=autospec
    ) as prepared:
        prepare(tfds.builder("imagenet2012", data_dir=tmp_path))
    prepared.assert_called_once()
    assert prepared.call_args.kwargs["download_config"].manual_dir == DUMMY_ARCHIVES
    assert list(tmp_path.iterdir()) == []


def test_a_builder_that_is_first_asked_for_under_a_mock_builds_later(tmp_path: Path) -> None:
    """Its module is imported while TensorFlow Datasets is mocked."""
    code = """
import json, sys
import imagenet_builders, tensorflow_datasets as tfds
data_dir, manual_dir = sys.argv[1:]
config = tfds.download.DownloadConfig(manual_dir=manual_dir)
with tfds.testing.mock_data(num_examples=3):
    mocked = len(list(tfds.load("imagenet2012", split="train", data_dir=data_dir)))
    tfds.builder("imagenet2012").download_and_prepare(download_config=config)
builder = tfds.builder("imagenet2012", data_dir=data_dir)
there = builder.data_path.exists()
builder.download_and_prepare(download_config=config)
print(json.dumps([mocked, there, builder.info.splits["train"].num_examples]))
"""
    told = run_python(code, tmp_path, DUMMY_ARCHIVES)
    assert json.loads(told) == [3, False, 24]
