"""The examples of training, as a user runs them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from support.paths import DUMMY_DATA, ROOT
from support.processes import run, run_cli

DATASETS = ("imagenet2012", "imagenet2012_downsampled/32x32")
"""A dataset of JPEGs of many sizes, and one of PNGs of one size."""


def built(name: str, data_dir: Path) -> Path:
    """A data directory with a dataset."""
    staged = DUMMY_DATA / name.partition("/")[0]
    run_cli("build", name, f"--manual-dir={staged}", f"--data-dir={data_dir}")
    return data_dir


def train(example: str, *arguments: str | Path) -> tuple[str, str]:
    """Runs an example for a few steps.

    Args:
        example: Its name in `examples/train/`.
        arguments: What it is told besides.

    Returns:
        What it prints, and what it says on stderr.
    """
    program = ROOT / "examples" / "train" / example
    done = run(
        [sys.executable, program, "--steps=2", "--batch=4", *arguments], CUDA_VISIBLE_DEVICES=""
    )
    rate = re.fullmatch(r"([0-9,]+) images/s", done.stdout.splitlines()[-1])
    assert rate is not None, done.stdout
    assert int(rate[1].replace(",", "")) > 0
    return done.stdout, done.stderr
