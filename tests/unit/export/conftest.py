"""A dataset that the tests of forms export."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.building import DUMMY_ARCHIVES, build

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `imagenet2012`, in three shards for each split."""
    return build(Builder, DUMMY_ARCHIVES, tmp_path_factory.mktemp("tfds"), num_shards=3)
