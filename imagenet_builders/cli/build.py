"""`imagenet-builders build`."""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.datasets import BUILDER_MODULES, SURVEYS
from imagenet_builders.errors import OptionError, StagingError
from imagenet_builders.locate.found import KINDS
from imagenet_builders.options import BAD_IMAGE_POLICIES, CLASS_LISTS, BuildOptions, require_local
from imagenet_builders.write import outputs

if TYPE_CHECKING:
    from imagenet_builders.scratch.shared_copies import SharedCopies

# Arguments that are options of a build under the same name.
_OPTIONS = (
    "workers",
    "scratch_dir",
    "bad_images",
    "strict",
    "classes",
    "source",
    "stage",
    "wait",
    "allow_fewer_splits",
    "mode",
    "group",
)


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "build",
        help="build datasets",
        description="Builds datasets from the archives in a directory, which is never written to. "
        "TFDS's spelling of options, with underscores, is accepted too.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "datasets",
        nargs="+",
        metavar="DATASET",
        type=arguments_lib.dataset,
        help=f"what to build: {', '.join(sorted(BUILDER_MODULES))}; NAME/CONFIG for one "
        "configuration (default: all that are staged); `all` for everything that is staged",
    )
    parser.add_argument("--manual-dir", required=True, help="directory with the archives")
    parser.add_argument(
        "--add-name-to-manual-dir",
        action="store_true",
        help="look for each dataset in the directory of its name below --manual-dir, as in TFDS",
    )
    parser.add_argument(
        "--data-dir",
        type=os.path.expanduser,  # The shell leaves it as it is in `--data-dir=~/data`.
        help="where datasets go (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    parser.add_argument(
        "--file-format",
        choices=outputs.file_formats(),
        help=f"default: {outputs.DEFAULT.name}",
    )
    parser.add_argument(
        "--workers", type=int, help="processes that write shards (default: the CPUs you may use)"
    )
    parser.add_argument(
        "--beam-options",
        metavar="OPTIONS",
        help="build with Apache Beam: its flags without dashes, separated by commas, such as "
        "runner=DaskRunner,dask_client_address=tcp://host:8786",
    )
    parser.add_argument(
        "--scratch-dir",
        help="where the index is kept between builds, and archives are unpacked or copied to "
        "(default: $SLURM_TMPDIR, then $TMPDIR, then beside the datasets)",
    )
    parser.add_argument(
        "--stage",
        action="store_true",
        default=None,
        help="copy the archives, not folders, to the scratch directory first, for file systems "
        "that are slow at random reads (see `check --speed`)",
    )
    parser.add_argument(
        "--bad-images",
        choices=BAD_IMAGE_POLICIES,
        help="what to do with an image that cannot be repaired (default: fail)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        default=None,
        help="classes that are not staged are an error, not a warning",
    )
    parser.add_argument(
        "--classes",
        choices=CLASS_LISTS,
        help="class list of imagenet2012_dogs: the known one or the archive's own (default: known)",
    )
    parser.add_argument(
        "--source",
        choices=KINDS,
        help="what to read where a split is staged in more than one way (default: archives before "
        "folders)",
    )
    parser.add_argument(
        "--num-shards", type=int, help="shards of each split (default: TFDS's rule)"
    )
    parser.add_argument(
        "--max-shard-size",
        type=arguments_lib.size,
        metavar="BYTES",
        help="as in TFDS; 500MiB, 1GB, ...",
    )
    parser.add_argument(
        "--max-examples-per-split", type=int, help="build only so many, to try things out"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a dataset that is there, once the new one is finished",
    )
    parser.add_argument(
        "--allow-fewer-splits",
        action="store_true",
        default=None,
        help="let a dataset that is replaced lose splits that are not staged any more",
    )
    parser.add_argument(
        "--no-wait",
        dest="wait",
        action="store_false",
        default=None,
        help="fail if another process builds the same dataset, instead of waiting for it",
    )
    parser.add_argument(
        "--mode",
        type=arguments_lib.mode,
        help="mode of directories, such as 2775; files get the same without the right to execute "
        "(default: by the umask)",
    )
    parser.add_argument("--group", help="group that the dataset is given to")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks")


def run(arguments: argparse.Namespace) -> None:
    """Builds what was asked for."""
    given = {
        name: getattr(arguments, name) for name in _OPTIONS if getattr(arguments, name) is not None
    }
    options = BuildOptions.from_environment().replace(**given)
    require_local("manual_dir", arguments.manual_dir)
    given_or_default = (arguments.data_dir, os.environ.get("TFDS_DATA_DIR") or None)
    require_local("data_dir", next((path for path in given_or_default if path is not None), None))
    for name, least in (("num_shards", 1), ("max_examples_per_split", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise OptionError(f"{name} must be at least {least}, not {value}")
    # Everything heavy is imported from here on.
    beam_options = None
    if arguments.beam_options is not None:
        from imagenet_builders.run.beam import options as beam_lib

        beam_options = beam_lib.parse(arguments.beam_options)
        beam_lib.check(None, beam_options, workers=options.worker_count)

    import tensorflow_datasets as tfds

    mode = tfds.GenerateMode.REUSE_DATASET_IF_EXISTS
    if arguments.overwrite:
        mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS
    limits: dict[str, Any] = {}
    if arguments.max_shard_size is not None:
        limits["max_shard_size"] = arguments.max_shard_size
    not_staged: list[StagingError] = []
    built = 0
    asked = [
        (name, config_name, importlib.import_module(BUILDER_MODULES[name]).Builder)
        for name, config_name in arguments_lib.asked_for(arguments.datasets)
    ]
    copies = _shared_copies(arguments, options, asked)
    for name, config_name, cls in asked:
        manual_dir = _manual_dir_of(name, arguments)
        config = tfds.download.DownloadConfig(
            manual_dir=manual_dir,
            num_shards=arguments.num_shards,
            max_examples_per_split=arguments.max_examples_per_split,
            download_mode=mode,
            beam_options=beam_options,
            **limits,
        )
        before, missing = built, list[str]()
        for each in _configs(config_name, cls):
            builder = cls(
                data_dir=arguments.data_dir,
                config=each,
                options=options,
            )
            builder.done_with_copy = copies.hand_on
            copies.next_turn()
            try:
                _build_one(builder, config, arguments.file_format)
                built += 1
            except StagingError as error:
                not_staged.append(error)
                missing.append(f"{builder.info.full_name} is not built: {error}")
            except BaseException as error:
                copies.note_kept_copy(error)
                raise
            copies.end_turn(_full_name(name, each), manual_dir)
        if (name, config_name) in arguments.datasets:  # By its name, not by `all`.
            if built == before:
                raise not_staged[-1]
            for sentence in missing:
                show_warning(sentence)
    if not built:
        raise not_staged[0]


def _configs(asked_for: str | None, cls: Any) -> list[str | None]:
    """The configurations of a dataset that are built; None for one that has none."""
    return [asked_for] if asked_for else [c.name for c in cls.BUILDER_CONFIGS] or [None]


def _manual_dir_of(name: str, arguments: argparse.Namespace) -> Path:
    manual_dir = Path(arguments.manual_dir).expanduser()
    return manual_dir / name if arguments.add_name_to_manual_dir else manual_dir


def _full_name(name: str, config: str | None) -> str:
    return f"{name}/{config}" if config else name


def _shared_copies(
    arguments: argparse.Namespace,
    options: BuildOptions,
    asked: Sequence[tuple[str, str | None, Any]],
) -> SharedCopies:
    """What `--stage` copies for one of the datasets asked for and another one needs too."""
    from imagenet_builders.scratch.shared_copies import SharedCopies, Turn

    turns = []
    for name, config_name, cls in asked:
        module, _, function = SURVEYS[name].partition(":")
        survey = getattr(importlib.import_module(module), function)
        turns += [
            Turn(
                _full_name(name, each),
                _manual_dir_of(name, arguments),
                functools.partial(survey, config=each),
            )
            for each in _configs(config_name, cls)
        ]
    return SharedCopies(turns, options.source)


def _build_one(builder: Any, config: Any, file_format: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show_warning
        builder.download_and_prepare(download_config=config, file_format=file_format)
    if not builder.results:
        print(f"{builder.info.full_name} is there already: {builder.data_dir}")
    else:
        print(builder.data_dir)


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Prints a warning as the command line words it."""
    print(f"imagenet-builders: warning: {message}", file=sys.stderr)
