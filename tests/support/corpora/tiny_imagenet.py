"""A small Tiny ImageNet, whole or not, and builds of it by the command line."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from makers import tiny_imagenet as maker
from makers.tiny_imagenet import ARCHIVE, ROOT

from support.command_line import ERROR, Outcome, run

BOXES = f"{ROOT}/train/n01443537/n01443537_boxes.txt"
ANNOTATIONS = f"{ROOT}/val/val_annotations.txt"
IMAGE = f"{ROOT}/train/n01443537/images/n01443537_1.JPEG"

either_way = pytest.mark.parametrize("unpacked", [False, True], ids=["archive", "folder"])


@functools.cache
def files() -> Mapping[str, bytes]:
    """What is in a small Tiny ImageNet, by name."""
    with tempfile.TemporaryDirectory() as directory:
        return maker.make_tiny_imagenet(directory, train_per_class=2, val=3, test=2).files


def stage(
    directory: Path, unpacked: bool, changes: Mapping[str, bytes | None] | None = None
) -> Path:
    """Stages it with other contents of files, further files (None: without a file)."""
    made = {name: data for name, data in {**files(), **(changes or {})}.items() if data is not None}
    directory.mkdir(parents=True, exist_ok=True)
    if not unpacked:
        (directory / ARCHIVE).write_bytes(maker.zip_bytes(made))
    else:
        for name, data in made.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(data)
    return directory


def build(manual_dir: Path, data_dir: Path, *options: str) -> Outcome:
    where = ["--manual-dir", str(manual_dir), "--data-dir", str(data_dir)]
    return run("build", "tiny_imagenet", *where, *options)


def refused(manual_dir: Path, data_dir: Path, *options: str) -> str:
    """The one sentence with which a build was refused, after which nothing is left."""
    outcome = build(manual_dir, data_dir, *options)
    assert outcome.status == 1, outcome
    assert "Traceback" not in outcome.err
    [line] = [line for line in outcome.err.splitlines() if line.startswith(ERROR)]
    assert line.isprintable()
    assert not list(data_dir.glob("tiny_imagenet/1.0.0*"))
    assert not list(data_dir.rglob("*incomplete*"))
    return line.removeprefix(ERROR)


def assert_matches(sentence: str, pattern: str) -> None:
    with pytest.raises(RuntimeError, match=pattern):
        raise RuntimeError(sentence)
