"""Builds of small imagenet2012_downsampled corpora beside them, that must go well or be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import imagenet2012_downsampled as maker
from makers.imagenet2012_downsampled import batch_arrays

from imagenet_builders.datasets.imagenet2012_downsampled import (
    imagenet2012_downsampled_dataset_builder as module,
)
from imagenet_builders.errors import ImagenetBuildersError
from imagenet_builders.options import BuildOptions
from support.building import build
from support.command_line import snapshot

LAYOUTS: list[tuple[maker.Compression | None, maker.Compression]] = [
    ("stored", "stored"),
    ("stored", "deflated"),
    ("deflated", "stored"),
    ("deflated", "deflated"),
    (None, "stored"),
    (None, "deflated"),
]
"""How npz files are compressed in a zip (None: they are in a folder), and arrays in them."""


def options_of(manual_dir: Path) -> BuildOptions:
    return BuildOptions(workers=1, scratch_dir=str(manual_dir.with_name("scratch")))


def build_small(manual_dir: Path, size: int = 8, data_dir: Path | None = None) -> Path:
    """Builds beside `manual_dir`, and sees that nothing below that was touched."""
    data_dir = data_dir or manual_dir.with_name("built")
    before = snapshot(manual_dir)
    try:
        return build(
            module.Builder,
            manual_dir,
            data_dir,
            builder_options={"options": options_of(manual_dir), "config": f"{size}x{size}"},
        )
    finally:
        assert snapshot(manual_dir) == before


def refused(manual_dir: Path, size: int = 8, kind: type[Exception] = ImagenetBuildersError) -> Any:
    """The error with which a build is refused, after which nothing is published."""
    with pytest.raises(kind) as caught:
        build_small(manual_dir, size)
    assert str(caught.value).isprintable()
    data_dir = manual_dir.with_name("built")
    left = [
        path for path in data_dir.rglob("*") if path.is_file() and path.parent.name != ".config"
    ]
    assert left == []
    assert not list(data_dir.rglob("*incomplete*"))
    return caught.value


def changed(name: str, array: str, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """A batch with one of its arrays changed."""
    arrays = batch_arrays(name, 8, 6 if name == "val_data" else 3)
    return {name: arrays | {array: change(arrays[array])}}
