"""`imagenet-builders show`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "show",
        help="show what a built dataset holds",
        description="Reads a built dataset as any user would: its splits, its first examples, and "
        "a contact sheet of them.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "datasets",
        nargs="+",
        metavar="DATASET",
        help="name, as in tfds.load, or `all` for every dataset of this package that is there",
    )
    parser.add_argument("--data-dir", help="where datasets are (default: as TFDS's)")
    parser.add_argument("--out", type=Path, help="save a contact sheet (PNG) here")
    parser.add_argument("--count", type=int, default=6, help="examples of each split (default: 6)")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")


def run(arguments: argparse.Namespace) -> None:
    """Shows what was asked for."""
    import os

    # TensorFlow's start-up notes are not what was asked for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from imagenet_builders.cli.contact_sheet import show

    for line in show(arguments.datasets, arguments.data_dir, arguments.out, arguments.count):
        print(line)
