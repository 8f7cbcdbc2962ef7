"""`imagenet-builders export`."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders import datasets
from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.cli.streams import tell
from imagenet_builders.errors import OptionError
from imagenet_builders.options import OPTIONS, BuildOptions, default_data_dir, require_local

if TYPE_CHECKING:
    from imagenet_builders.export.form import Form
    from imagenet_builders.run.local import LocalWorkers

# Options of a build that mean nothing here.
_NOT_HERE = ("allow_fewer_splits", "array_record_dir", "stage")

# Those that say what to do with archives and their images.
_OF_ARCHIVES = ("bad_images", "decode", "strict", "classes", "source")


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    from imagenet_builders.export import forms

    some = datasets.best_known()
    parser = arguments_lib.add_command(
        commands,
        "export",
        help="write a dataset in the forms that other libraries read",
        usage="DATASET --to FORM --out DIR [--data-dir DIR | --manual-dir DIR] [options]",
        description="Writes the images of a dataset in a form that other libraries read: of one "
        "that was built, in its order and with its checksums compared, or straight from the "
        "archives, in the order of a build. The directory appears when it is whole. After an "
        "interruption, the same command goes on where the export ended.",
        example=f"{some} --to {forms.names()[0]} \\\n"
        "      --data-dir /shared/tfds --out /shared/wds",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="NAME or NAME/CONFIG; of one that was built also with :VERSION (default: the newest), "
        "or its directory",
    )
    parser.add_argument(
        "--to",
        metavar="FORM",
        required=True,
        choices=forms.names(),
        help="; ".join(f"`{name}`: {forms.summary(name)}" for name in forms.names()),
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        required=True,
        type=os.path.expanduser,
        help="directory of the export, which is empty or not there",
    )
    places = parser.add_mutually_exclusive_group()
    places.add_argument(
        "--data-dir",
        metavar="DIR",
        type=os.path.expanduser,
        help="export a dataset that was built in this directory (default: $TFDS_DATA_DIR or "
        "~/tensorflow_datasets)",
    )
    places.add_argument(
        "--manual-dir",
        metavar="DIR",
        type=os.path.expanduser,
        help="export what is staged in this directory, without a build",
    )
    parser.add_argument(
        "--num-shards",
        type=int,
        metavar="N",
        help="number of shards of each split (default: that of the form, or else of the dataset)",
    )
    for form in forms.names():
        for switch in forms.switches(form):
            taken: dict[str, Any] = {"action": "store_const", "const": ""}
            if switch.values:
                taken = {"choices": switch.values}
            words = f"with `--to {form}`: {switch.help}"
            parser.add_argument(switch.flag, help=words, **taken)
    arguments_lib.add_options(parser, [name for name in OPTIONS if name not in _NOT_HERE])
    parser.add_argument("--verbose", action="store_true", help="show tracebacks of errors")


def run(arguments: argparse.Namespace) -> None:
    """Exports what was asked for."""
    options = arguments_lib.options_of(arguments)
    arguments_lib.check_places(arguments)
    require_local("data_dir", arguments.out, called="--out")
    arguments_lib.at_least(1, arguments.num_shards, "--num-shards")
    out = Path(arguments.out).absolute()
    with contextlib.ExitStack() as stack:
        workers = None
        if arguments.manual_dir is not None:
            from imagenet_builders.build import ahead

            manual_dir = Path(arguments.manual_dir)
            workers = stack.enter_context(ahead.workers_for(options, manual_dir, out))
        _export(arguments, options, out, workers)


def _export(
    arguments: argparse.Namespace, options: BuildOptions, out: Path, workers: LocalWorkers | None
) -> None:
    from imagenet_builders.run.blas import without_threads
    from imagenet_builders.run.garbage import uncollected

    with uncollected(), without_threads():
        from imagenet_builders.export.run import export
        from imagenet_builders.export.source import BuiltSource, Source, StagedSource

        form = _chosen(arguments)
    form.check_installed()
    source: Source
    if arguments.manual_dir is not None:
        if ":" in arguments.dataset:
            raise OptionError(f"{arguments.dataset}: archives have no version; leave it out")
        source = StagedSource(arguments.dataset, Path(arguments.manual_dir))
        arguments_lib.check_own_options(arguments, [(source.name.partition("/")[0], None)])
    else:
        own = (name for name, option in OPTIONS.items() if option.of_some)
        for name in (*_OF_ARCHIVES, *own):
            if getattr(arguments, name) is not None:
                raise OptionError(
                    f"{OPTIONS[name].flag} is an option of exports with --manual-dir: a dataset "
                    "that was built is exported as it is; leave it out"
                )
        data_dir = arguments.data_dir
        source = BuiltSource(
            arguments.dataset, default_data_dir() if data_dir is None else Path(data_dir)
        )
    if export(source, form, out, options, num_shards=arguments.num_shards, workers=workers):
        tell(str(out))
    else:
        tell(f"{source.name} as {form.name} is there already: {out}")


def _chosen(arguments: argparse.Namespace) -> Form:
    """The form that was asked for, with the options of its own."""
    from imagenet_builders.export import forms

    chosen = forms.get(arguments.to)
    for name in forms.names():
        for switch in forms.switches(name):
            value = getattr(arguments, switch.flag.lstrip("-").replace("-", "_"))
            if value is None:
                continue
            if name != arguments.to:
                raise OptionError(f"{switch.flag} is an option of --to {name}; leave it out")
            chosen = chosen.switches[switch.flag](chosen, value)
    return chosen
