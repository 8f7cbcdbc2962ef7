"""`imagenet-builders verify`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.cli.streams import tell
from imagenet_builders.options import default_data_dir


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = arguments_lib.add_command(
        commands,
        "verify",
        help="verify built datasets",
        usage="DATASET... [--data-dir DIR] [options]",
        description="Reads built datasets from end to end and reports what is wrong with them: "
        "checksums, examples, labels, order, counts, images. Also verifies datasets that stock "
        "TensorFlow Datasets built. Of an export, given by its directory, it compares all files "
        "with the checksums that were noted. Exit status: 0 if all is right, 1 if not, 2 for "
        "arguments that cannot be used.",
        example="all --data-dir /shared/tfds",
    )
    parser.set_defaults(run=run)
    arguments_lib.add_built_datasets(parser, "a dataset or of an export")
    parser.add_argument(
        "--decode", action="store_true", help="decode all pixels, not only the images' headers"
    )
    arguments_lib.add_options(
        parser,
        ["workers"],
        workers="read shards with this many processes (default: as many as CPUs you may use)",
    )
    parser.add_argument("--json", action="store_true", help="print a document for scripts")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks of errors")


def run(arguments: argparse.Namespace) -> int:
    """Verifies what was asked for. Returns the exit status."""
    from imagenet_builders.catalog.health import verdict_on_export
    from imagenet_builders.catalog.verdicts import remember
    from imagenet_builders.datasets import built
    from imagenet_builders.export import compare
    from imagenet_builders.run.cpus import worker_count
    from imagenet_builders.verify import report
    from imagenet_builders.verify.dataset import verify_dataset

    options = arguments_lib.options_of(arguments)
    data_dir = arguments.data_dir or default_data_dir()
    workers = worker_count(options)
    exports: dict[Path, dict[str, Any]] = {}
    found: list[Path] = []
    for asked in arguments.datasets:
        document = compare.document_in(Path(asked))
        if document is None:
            found += built.find(asked, data_dir)
        else:
            found.append(Path(asked).absolute())
            exports[found[-1]] = document
    verdicts = []
    for directory in dict.fromkeys(found):
        if directory in exports:
            verdict = verdict_on_export(directory, exports[directory], workers)
        else:
            verdict = verify_dataset(directory, workers=workers, decode=arguments.decode)
        verdicts.append(verdict)
        remember(directory.absolute(), verdict, is_export=directory in exports)
        if not arguments.json:
            tell(*report.lines(verdict), flush=True)
    if arguments.json:
        tell(*report.as_json(verdicts).splitlines(), fold=False)
    return int(any(verdict.problem_count for verdict in verdicts))
