"""`imagenet-builders check`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.datasets import BUILDER_MODULES
from imagenet_builders.errors import OptionError
from imagenet_builders.locate.found import KINDS
from imagenet_builders.options import BuildOptions, require_local


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="say what is staged, and all that is wrong with it",
        description="Looks at the archives and folders in a directory, which is never written to, "
        "and says at once all that is missing, damaged or odd, and what a build needs. It reads no "
        "image. Ends with 0 if everything asked for can be built, 1 if not, 2 for arguments that "
        "cannot be used.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("manual_dir", metavar="MANUAL_DIR", help="directory with the archives")
    parser.add_argument(
        "datasets",
        nargs="*",
        metavar="DATASET",
        type=arguments_lib.dataset,
        help=f"what is to be built: {', '.join(sorted(BUILDER_MODULES))}; NAME/CONFIG for one "
        "configuration (default: whatever is found)",
    )
    parser.add_argument(
        "--add-name-to-manual-dir",
        action="store_true",
        help="look for each dataset in the directory of its name below MANUAL_DIR, as in TFDS",
    )
    parser.add_argument(
        "--hash",
        action="store_true",
        help="read the archives, and compare their MD5 and SHA-256 with the known ones and with "
        "lists such as *.md5 beside them; results are remembered in your cache directory",
    )
    parser.add_argument(
        "--deep",
        action="store_true",
        help="walk every header and name, as a build does first; the index is kept for it",
    )
    parser.add_argument(
        "--speed",
        action="store_true",
        help="measure for about three seconds how fast the largest archive is read, at random and "
        "in order, and say whether to build with --stage",
    )
    parser.add_argument(
        "--stage",
        action="store_true",
        default=None,
        help="as for a build: count the room that copies of the archives need",
    )
    parser.add_argument(
        "--strict", action="store_true", default=None, help="warnings are errors, as in a build"
    )
    parser.add_argument("--source", choices=KINDS, help="as for a build")
    parser.add_argument("--json", action="store_true", help="print a document for scripts")
    parser.add_argument(
        "--data-dir",
        help="where datasets would go (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    parser.add_argument("--scratch-dir", help="as for a build")
    parser.add_argument("--workers", type=int, help="as for a build")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")


def run(arguments: argparse.Namespace) -> int:
    """Checks what was asked for.

    Returns:
        The exit status.
    """
    given = {
        name: getattr(arguments, name)
        for name in ("workers", "scratch_dir", "strict", "source", "stage")
        if getattr(arguments, name) is not None
    }
    options = BuildOptions.from_environment().replace(**given)
    require_local("manual_dir", arguments.manual_dir)
    require_local("data_dir", arguments.data_dir or os.environ.get("TFDS_DATA_DIR"))
    for name, config in arguments.datasets:
        _check_config(name, config)
    from imagenet_builders.check import command, rendering

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

        json.dump(rendering.document(report), sys.stdout, indent=1)
        print()
    else:
        print(rendering.text(report, colour=rendering.uses_colour(sys.stdout)), end="")
    return 0 if report.can_be_built else 1


def _check_config(name: str, config: str | None) -> None:
    from imagenet_builders.check.targets import configs_of

    if config is not None and config not in configs_of(name):
        configs = [each for each in configs_of(name) if each]
        which = f"one of {', '.join(configs)}" if configs else "no configuration"
        raise OptionError(f"{name} has {which}, not {config!r}")
