"""Reads what a caller asked for from the `DownloadConfig` and `DownloadManager` of TFDS.

Also whether TensorFlow Datasets is itself, or mocked by a test.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder
from tensorflow_datasets.core.download import checksums

from imagenet_builders.plan.recipe import PlanConfig
from imagenet_builders.words import counted, logger

_LOG = logger(__name__)


def manual_dir_of(dl_manager: tfds.download.DownloadManager) -> Path:
    """The directory of the archives. The dataset itself says if nothing is there."""
    try:
        return Path(dl_manager.manual_dir)
    except (AssertionError, OSError):
        # TensorFlow Datasets raises them for a directory that is missing or empty.
        return Path(dl_manager._manual_dir)


def manual_dir_for(config: tfds.download.DownloadConfig, download_dir: Any, root: Path) -> Path:
    """The directory that a `DownloadManager` would look for archives in.

    Source: `_make_download_manager` in TensorFlow Datasets' `core/dataset_builder.py`.

    Args:
        config: What was asked for.
        download_dir: What was given with it, or None.
        root: The directory of all datasets.
    """
    chosen = config.manual_dir or Path(download_dir or root / "downloads") / "manual"
    return Path(chosen).expanduser()


@contextlib.contextmanager
def no_url_infos() -> Iterator[None]:
    """Where a `DownloadManager` that is made knows no checksums of downloads.

    It would read those of all datasets of TensorFlow Datasets, a hundred files.
    """
    with tfds.core.utils.temporary_assignment(checksums, "get_all_url_infos", dict):
        yield


def is_of_tfds(method: Callable[..., Any]) -> bool:
    """Whether a method of a builder is TensorFlow Datasets' own.

    Tests put others in its place: `tfds.testing.mock_data` does, and `unittest.mock` can.

    Args:
        method: The method of the base class, decorated or not.
    """
    code = inspect.unwrap(method)
    return getattr(code, "__globals__", None) is vars(dataset_builder)


def has_sizes(download_config: tfds.download.DownloadConfig) -> bool:
    """Whether the least or the largest size of a shard was given."""
    shards = download_config.get_shard_config()
    return bool(shards != type(shards)(num_shards=shards.num_shards))


def plan_config(download_config: tfds.download.DownloadConfig) -> PlanConfig:
    """How to plan.

    Args:
        download_config: Its number and sizes of shards, `max_examples_per_split` and
            `ignore_duplicates` count.

    Returns:
        The same for the planner; the number of shards follows from TensorFlow Datasets' own rule.
    """
    shards = download_config.get_shard_config()

    def count_shards(size: int, examples: int) -> int:
        count: int = shards.get_number_shards(size, examples)
        defaults = type(shards)(num_shards=shards.num_shards)
        if shards != defaults and count == defaults.get_number_shards(size, examples):
            _LOG.warning(
                "min_shard_size and max_shard_size made no difference: the installed TensorFlow "
                f"Datasets makes {counted(count, 'shard')} with and without them; num_shards is "
                "obeyed"
            )
        return count

    return PlanConfig(
        count_shards=count_shards,
        max_examples_per_split=download_config.max_examples_per_split,
        ignore_duplicates=download_config.ignore_duplicates,
    )
