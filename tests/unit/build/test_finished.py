"""What is flushed to the storage before a dataset is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.building import DUMMY_ARCHIVES, build
from support.flushing import flushes

from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import Builder
from imagenet_builders.options import BuildOptions


def _built(data_dir: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Path, Any]:
    """A dataset, and how often a file of it was flushed."""
    flushed = flushes(monkeypatch)
    builder_options = {"options": BuildOptions(workers=1, **options)}
    directory = build(
        Builder, DUMMY_ARCHIVES, data_dir, builder_options=builder_options, num_shards=4
    )
    return directory, lambda path: flushed.count(path.stat().st_ino)


def test_what_was_confirmed_is_not_flushed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, times = _built(tmp_path, monkeypatch)
    shards = list(directory.glob("imagenet2012-*-of-*"))
    assert len(shards) == 12
    assert [times(path) for path in shards] == [1] * 12
    others = [path for path in directory.rglob("*") if path not in shards]
    assert all(times(path) for path in [directory, directory.parent, *others])


def test_what_is_given_another_mode_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, times = _built(tmp_path, monkeypatch, mode=0o750)
    shards = list(directory.glob("imagenet2012-*-of-*"))
    assert [times(path) for path in shards] == [2] * 12
