"""`imagenet-builders check`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from imagenet_builders import datasets
from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.cli.streams import tell
from imagenet_builders.run.terminal import width_of


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    some = datasets.best_known()
    parser = arguments_lib.add_command(
        commands,
        "check",
        help="say what is staged, what is wrong with it, and what a build needs",
        usage="MANUAL_DIR [DATASET...] [options]",
        description="Looks at the archives and folders in a directory, which it only reads, and "
        "lists at once all that is missing, damaged or odd, and the room that a build needs. It "
        "reads no image. Exit status: 0 if everything asked for can be built, 1 if not, 2 for "
        "arguments that cannot be used.",
        example=f"/datashare/imagenet {some} --deep",
    )
    parser.set_defaults(run=run)
    parser.add_argument("manual_dir", metavar="MANUAL_DIR", help="directory with the archives")
    parser.add_argument(
        "datasets",
        nargs="*",
        default=(),  # Without one, argparse names it among what is missing.
        metavar="DATASET",
        type=arguments_lib.dataset,
        help=f"what you want to build: {', '.join(datasets.names())}; NAME/CONFIG for one "
        "configuration; `all` for all of them (default: whatever is found)",
    )
    more = parser.add_argument_group("what to check besides names and sizes")
    more.add_argument(
        "--hash",
        action="store_true",
        help="read the archives and compare their MD5 and SHA-256 with the known ones and with "
        "lists such as *.md5 beside them; results are remembered in your cache directory",
    )
    more.add_argument(
        "--deep",
        action="store_true",
        help="walk every header and name, as a build does first; the index is kept for the build",
    )
    more.add_argument(
        "--speed",
        action="store_true",
        help="measure for about three seconds how fast the largest archive is read, at random and "
        "in order, and say whether to build with --stage",
    )
    build = parser.add_argument_group("how you would build")
    build.add_argument(
        "--add-name-to-manual-dir",
        action="store_true",
        help="look for each dataset in the directory of its name below MANUAL_DIR, as in TFDS",
    )
    build.add_argument(
        "--data-dir",
        metavar="DIR",
        help="directory for the datasets (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    arguments_lib.add_options(
        build,
        ("scratch_dir", "source", "stage", "strict", "workers"),
        stage="count the room that copies of the archives need in the scratch directory",
        strict="report warnings as errors, as a build with --strict does",
        workers="read with this many processes (default: as many as CPUs you may use)",
    )
    parser.add_argument("--json", action="store_true", help="print a document for scripts")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks of errors")


def run(arguments: argparse.Namespace) -> int:
    """Checks what was asked for.

    Returns:
        The exit status.
    """
    options = arguments_lib.options_of(arguments)
    arguments_lib.check_places(arguments, manual_dir="MANUAL_DIR")
    arguments_lib.check_configs(arguments.datasets)
    from imagenet_builders.check import command, rendering
    from imagenet_builders.scratch import space

    space.check_choice(options)

    request = command.Request(
        Path(arguments.manual_dir),
        tuple(arguments.datasets),
        add_name=arguments.add_name_to_manual_dir,
        hash=arguments.hash,
        deep=arguments.deep,
        speed=arguments.speed,
        data_dir=Path(os.path.expanduser(arguments.data_dir)) if arguments.data_dir else None,
        options=options,
    )
    report = command.run(request, sys.stderr)
    if arguments.json:
        import json

        tell(*json.dumps(rendering.document(report), indent=1).splitlines(), fold=False)
    else:
        colour, width = rendering.uses_colour(sys.stdout), width_of(sys.stdout)
        text = rendering.text(report, colour=colour, width=width)
        tell(*text.splitlines(), painted=colour, fold=False)
    return 0 if report.can_be_built else 1
