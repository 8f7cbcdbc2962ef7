"""`imagenet-builders verify`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "verify",
        help="verify built datasets",
        description="Reads built datasets from end to end and says what is wrong with them: "
        "checksums, examples, labels, order, counts, images. Exit status 0: all is right, 1: it is "
        "not. Datasets that stock TensorFlow Datasets built are verified as well.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "datasets",
        nargs="+",
        metavar="DATASET",
        help="NAME, NAME/CONFIG, either with :VERSION (default: the newest), the directory of a "
        "dataset, or `all` for every dataset of this package that is there",
    )
    parser.add_argument(
        "--data-dir",
        type=lambda text: Path(os.path.expanduser(text)),
        help="where datasets are (default: as TFDS's)",
    )
    parser.add_argument(
        "--decode", action="store_true", help="decode every pixel, not headers alone"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--workers", type=int, help="processes that read shards (default: the CPUs you may use)"
    )
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")


def run(arguments: argparse.Namespace) -> int:
    """Verifies what was asked for. Returns the exit status."""
    from imagenet_builders.options import BuildOptions
    from imagenet_builders.run.cpus import usable_cpus
    from imagenet_builders.verify import find, report
    from imagenet_builders.verify.dataset import verify_dataset

    options = BuildOptions.from_environment()
    if arguments.workers is not None:
        options = options.replace(workers=arguments.workers)
    data_dir = arguments.data_dir or find.default_data_dir()
    found = [path for asked in arguments.datasets for path in find.find(asked, data_dir)]
    verdicts = []
    for directory in dict.fromkeys(found):
        verdict = verify_dataset(
            directory, workers=options.workers or usable_cpus(), decode=arguments.decode
        )
        verdicts.append(verdict)
        if not arguments.json:
            print("\n".join(report.lines(verdict)), flush=True)
    if arguments.json:
        sys.stdout.write(report.as_json(verdicts))
    return int(any(verdict.problem_count for verdict in verdicts))
