"""`imagenet-builders show`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from imagenet_builders.cli import arguments as arguments_lib


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = arguments_lib.add_command(
        commands,
        "show",
        help="show what a built dataset holds, and how to read it",
        usage="DATASET... [--data-dir DIR] [--out PNG] [--count N]",
        description="Reads built datasets as any user of TFDS reads them, and prints how to do "
        "that, their splits and their first examples; draws a contact sheet of these on request.",
        example="all --data-dir /shared/tfds --out contact_sheet.png",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "datasets",
        nargs="+",
        metavar="DATASET",
        help="name, with configuration and version if wanted, as in tfds.load; or `all` for every "
        "dataset of this package that is there",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="directory of the datasets (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    parser.add_argument("--out", metavar="PNG", type=Path, help="draw a contact sheet here")
    parser.add_argument(
        "--count", metavar="N", type=int, default=6, help="examples of each split (default: 6)"
    )
    parser.add_argument("--verbose", action="store_true", help="show tracebacks of errors")


def run(arguments: argparse.Namespace) -> None:
    """Shows what was asked for."""
    import os

    # TensorFlow's start-up notes are not what was asked for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from imagenet_builders.cli.contact_sheet import show

    for line in show(arguments.datasets, arguments.data_dir, arguments.out, arguments.count):
        print(line)
