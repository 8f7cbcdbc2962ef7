"""`imagenet-builders build`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagenet_builders import datasets
from imagenet_builders.build import roots
from imagenet_builders.cli import arguments as arguments_lib
from imagenet_builders.cli.streams import tell
from imagenet_builders.errors import OtherDatasetError, StagingError
from imagenet_builders.options import OPTIONS, BuildOptions, default_data_dir
from imagenet_builders.run.garbage import set_aside, uncollected
from imagenet_builders.words import logger
from imagenet_builders.write import outputs

if TYPE_CHECKING:
    from imagenet_builders.datasets.recipes_ahead import RecipesAhead
    from imagenet_builders.run.local import LocalWorkers
    from imagenet_builders.scratch.shared_copies import SharedCopies

_LOG = logger(__name__)

_SECTIONS = (
    ("what", "what to build"),
    ("where", "where"),
    ("how", "how"),
    ("machines", "many machines"),
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to the parser, and returns its own."""
    some = datasets.best_known()
    parser = arguments_lib.add_command(
        commands,
        "build",
        help="build datasets",
        usage="DATASET... --manual-dir DIR [--data-dir DIR] [options]",
        description="Builds TFDS datasets from the archives in a directory, which it only reads. "
        "After an interruption, the same command goes on where the build ended. TFDS's spelling of "
        "options, with underscores, is accepted too. Most options can also be given as an "
        f"environment variable, such as {OPTIONS['workers'].variable}=16 for --workers 16; "
        "under `tfds build`, that is the way to give them.",
        example=f"{some} --manual-dir /datashare/imagenet \\\n"
        "      --data-dir /shared/tfds --workers 16",
    )
    parser.set_defaults(run=run)
    what, where, how, machines = (parser.add_argument_group(title) for _, title in _SECTIONS)
    what.add_argument(
        "datasets",
        nargs="+",
        metavar="DATASET",
        type=arguments_lib.dataset,
        help=f"{', '.join(datasets.names())}; NAME/CONFIG for one configuration (NAME "
        "alone: all configurations that are staged); `all` for everything that is staged, but for "
        "what is made anew from another dataset's images",
    )
    what.add_argument(
        "--file-format",
        metavar="FORMAT",
        type=arguments_lib.file_format,
        help=f"format of the shards: {' or '.join(outputs.file_formats())} (default: "
        f"{outputs.DEFAULT.name}); `{','.join(outputs.file_formats())}` builds both in one pass, "
        f"the second into {OPTIONS['array_record_dir'].flag}",
    )
    what.add_argument(
        "--num-shards",
        type=int,
        metavar="N",
        help="number of shards of each split (default: TFDS's rule)",
    )
    what.add_argument(
        "--max-shard-size",
        type=arguments_lib.size,
        metavar="SIZE",
        help="size that a shard should not exceed, such as 500MiB or 1GB (default: TFDS's rule)",
    )
    what.add_argument(
        "--max-examples-per-split",
        type=int,
        metavar="N",
        help="build only so many examples of each split, to try things out; the next full build "
        "replaces them",
    )
    what.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a dataset that is there, once the new one is finished; on file systems that "
        "cannot exchange two directories in one step (NFS, sshfs, ...), readers may find no "
        "dataset for a moment",
    )
    where.add_argument(
        "--manual-dir", metavar="DIR", required=True, help="directory with the archives"
    )
    where.add_argument(
        "--add-name-to-manual-dir",
        action="store_true",
        help="look for each dataset in the directory of its name below --manual-dir, as in TFDS",
    )
    where.add_argument(
        "--data-dir",
        metavar="DIR",
        type=os.path.expanduser,  # The shell leaves it as it is in `--data-dir=~/data`.
        help="directory for the datasets (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    for section, group in (("what", what), ("where", where), ("how", how)):
        arguments_lib.add_options(
            group, [name for name, option in OPTIONS.items() if option.section == section]
        )
    how.add_argument("--verbose", action="store_true", help="show tracebacks of errors")
    machines.add_argument(
        "--beam-options",
        metavar="OPTIONS",
        help="build with Apache Beam: its flags without dashes, separated by commas, such as "
        "runner=DaskRunner,dask_client_address=tcp://host:8786",
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Builds what was asked for."""
    options = arguments_lib.options_of(arguments)
    arguments_lib.check_places(arguments)
    arguments_lib.check_configs(arguments.datasets)
    arguments_lib.check_own_options(arguments, arguments.datasets)
    arguments_lib.at_least(1, arguments.num_shards, "--num-shards")
    arguments_lib.at_least(1, arguments.max_examples_per_split, "--max-examples-per-split")
    formats = roots.formats_of(arguments.file_format)
    roots.other_root(formats, arguments.data_dir or default_data_dir(), options)
    # Everything heavy is imported from here on.
    beam_options = None
    if arguments.beam_options is not None:
        from imagenet_builders.run.beam import options as beam_lib
        from imagenet_builders.run.cpus import worker_count

        beam_options = beam_lib.parse(arguments.beam_options)
        beam_lib.check(None, beam_options, workers=worker_count(options))

    with contextlib.ExitStack() as stack:
        early = Early()
        if beam_options is None:
            early = _begin(arguments, options, stack)
        with uncollected():
            tfds, asked = _load(arguments)
            stack.enter_context(set_aside())
        _build(arguments, options, beam_options, early, tfds, asked)


@dataclasses.dataclass(frozen=True)
class Early:
    """What begins before TensorFlow Datasets is imported.

    Attributes:
        workers: The workers of all builds; None where Beam does the work.
        ahead: Recipes of the first of them.
    """

    workers: LocalWorkers | None = None
    ahead: RecipesAhead | None = None


def _begin(
    arguments: argparse.Namespace, options: BuildOptions, stack: contextlib.ExitStack
) -> Early:
    """Begins with the first dataset that is asked for; workers end with `stack`."""
    from imagenet_builders.build import ahead
    from imagenet_builders.datasets.recipes_ahead import Asked, RecipesAhead

    name, config = arguments_lib.asked_for(arguments.datasets)[0]
    root = Path(arguments.data_dir or default_data_dir())
    manual_dir, dataset = _manual_dir_of(name, arguments), datasets.get(name)
    there = None if arguments.overwrite else root / name
    workers = stack.enter_context(ahead.workers_for(options, manual_dir, there, spared=1))
    own_options = dataset.own_options(options)
    asked = Asked(
        name,
        config or next(iter(dataset.config_names), None),
        manual_dir,
        own_options,
        own_options.scratch_for(root),
    )
    return Early(workers, RecipesAhead(workers, asked))


def _load(arguments: argparse.Namespace) -> tuple[Any, list[tuple[str, str | None, Any]]]:
    """TensorFlow Datasets, and names, configurations and builders of what is asked for."""
    from imagenet_builders.build.installed import import_tfds
    from imagenet_builders.run.blas import without_threads
    from imagenet_builders.run.progress import phase

    with phase("loading TensorFlow Datasets"), without_threads():
        tfds = import_tfds()
        return tfds, [
            (name, config_name, datasets.get(name).builder())
            for name, config_name in arguments_lib.asked_for(arguments.datasets)
        ]


def _build(
    arguments: argparse.Namespace,
    options: BuildOptions,
    beam_options: Any,
    early: Early,
    tfds: Any,
    asked: Sequence[tuple[str, str | None, Any]],
) -> None:
    mode = tfds.GenerateMode.REUSE_DATASET_IF_EXISTS
    if arguments.overwrite:
        mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS
    limits: dict[str, Any] = {}
    if arguments.max_shard_size is not None:
        limits["max_shard_size"] = arguments.max_shard_size
    not_staged: list[StagingError] = []
    built = 0
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
        not_staged_before = len(not_staged)
        for each in _configs(config_name, cls):
            builder = cls(
                data_dir=arguments.data_dir,
                config=each,
                options=datasets.get(name).own_options(options),
                copies=copies,
                workers=early.workers,
                ahead=early.ahead,
            )
            copies.next_turn()
            try:
                _build_one(builder, config, arguments.file_format)
                built += 1
            except StagingError as error:
                not_staged.append(error)
                missing.append(f"{builder.info.full_name} is not built: {error}")
            except BaseException as error:
                copies.note_kept_copies(error)
                raise
            copies.end_turn(_full_name(name, each), manual_dir)
        if (name, config_name) in arguments.datasets:  # By its name, not by `all`.
            if built == before:
                raise _most_telling(not_staged[not_staged_before:])
            for sentence in missing:
                _LOG.warning(sentence)
    if not built:  # Only `all` was asked for.
        raise _nothing_at_all(not_staged, arguments, options.source)


def _nothing_at_all(
    errors: Sequence[StagingError], arguments: argparse.Namespace, source: str | None
) -> StagingError:
    """The error that says what is staged instead, or else that it makes none of the datasets."""
    telling = _most_telling(errors)
    manual_dir = Path(arguments.manual_dir).expanduser()
    if isinstance(telling, OtherDatasetError) or not manual_dir.is_dir():
        return telling
    kind = f" as {source}" if source else ""
    return StagingError(
        f"no dataset can be built of what is staged{kind} in {manual_dir}; "
        "`imagenet-builders check` says what is there instead"
    )


def _most_telling(errors: Sequence[StagingError]) -> StagingError:
    """The error that says what is staged instead, or else the last."""
    others = [error for error in errors if isinstance(error, OtherDatasetError)]
    return others[0] if others else errors[-1]


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
        turns += [
            Turn(
                _full_name(name, each),
                _manual_dir_of(name, arguments),
                functools.partial(datasets.get(name).survey, config=each),
            )
            for each in _configs(config_name, cls)
        ]
    return SharedCopies(turns, options.source)


def _build_one(builder: Any, config: Any, file_format: str | None) -> None:
    builder.download_and_prepare(download_config=config, file_format=file_format)
    for each in filter(None, (builder, builder.beside)):
        if not each.results:
            tell(f"{each.info.full_name} is there already: {each.data_dir}")
        else:
            tell(str(each.data_dir))
