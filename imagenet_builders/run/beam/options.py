"""Beam's runner and options: parses them, checks them before any work, and fills in defaults.

What is particular to a Beam runner is here and in `cluster`, and for the DirectRunner and Dask in
`pipeline`, which notices lost workers. Beam is imported only when it is asked for.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import logging
import pickle
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from imagenet_builders.errors import OptionError
from imagenet_builders.run.beam.cluster import check_dask, check_endpoints, one_line

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

# Beam knows this runner only by its full name.
_FULL_NAMES = {"daskrunner": "apache_beam.runners.dask.dask_runner.DaskRunner"}

_LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")

# Their job servers, which are not Python, have options that Beam's Python side does not know.
_RUNNERS_WITH_SERVERS = ("FlinkRunner", "SparkRunner", "PortableRunner", "PrismRunner")

# Options that may be given more than once.
_REPEATABLE = ("experiment", "environment_option", "extra_package", "dataflow_service_option")

# More tasks than this keep Dask's scheduler busy instead of its workers.
_MAX_PARTITIONS = 10_000


@dataclasses.dataclass(frozen=True)
class BeamSettings:
    """A runner that can be used, and its options.

    Attributes:
        name: The runner's class name.
        runner: The runner's full name, or a runner.
        options: Beam's pipeline options, with defaults filled in.
    """

    name: str
    runner: Any
    options: PipelineOptions

    @property
    def is_checked(self) -> bool:
        """Whether the checks have found out all that a trial pipeline would."""
        return self.name == "DaskRunner" or self.name.endswith(_LOCAL_RUNNERS)

    def new_runner(self) -> Any:
        """The runner for a pipeline."""
        return _runner(self.runner)

    def options_for(self, items: int) -> PipelineOptions:
        """The options for a pipeline of so many work items."""
        options = copy.deepcopy(self.options)
        if self.name == "DaskRunner" and not _given(options, "dask_npartitions", "npartitions"):
            from apache_beam.runners.dask.dask_runner import DaskOptions

            # A partition is a task, and by default up to 128 items go into one.
            if not _given(options, "dask_partition_size", "partition_size"):
                options.view_as(DaskOptions).npartitions = min(items, _MAX_PARTITIONS)
        return options

    def failure(self, error: BaseException) -> str:
        """One sentence that says why a pipeline failed."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # Beam wraps an error in the traceback of the worker, which ends in the error itself; gRPC
        # adds details.
        told = [line for line in lines if line.startswith("details = ")]
        told = told or [line for line in lines if any(map(str.isalnum, line))]
        said = told[-1].removeprefix("details = ") if told else "without a word"
        kind = type(error).__name__
        said = said if said.startswith(kind) or "Error: " in said else f"{kind}: {said}"
        return (
            f"the Beam pipeline on {self.name} failed: {said[:1000]}; mend the cluster or its "
            "options and run the same command again"
        )


def parse(text: str) -> PipelineOptions:
    """Parses options of TensorFlow Datasets' form: `runner=DaskRunner,dask_npartitions=8`.

    Args:
        text: Beam's flags without their dashes, separated by commas.

    Returns:
        The options.

    Raises:
        OptionError: The text is no such list, or Beam is not installed.
    """
    flags = [part.strip().removeprefix("--") for part in text.split(",")]
    for flag in flags:
        name = flag.partition("=")[0]
        if not name.isidentifier():
            raise OptionError(
                "beam_options must be Beam's flags without their dashes, separated by commas, such "
                f"as runner=DaskRunner,dask_client_address=tcp://host:8786, not {text!r}"
            )
        if flag == f"{name}=":
            raise OptionError(f"{name} in beam_options has no value; give one, or leave it out")
    names = [flag.partition("=")[0] for flag in flags]
    for name in names:
        if names.count(name) > 1 and not name.startswith(_REPEATABLE):
            raise OptionError(f"{name} is more than once in beam_options; give it once")
    with _refusing():
        return _pipeline_options([f"--{flag}" for flag in flags])


def check(
    runner: Any,
    options: PipelineOptions | None,
    *,
    workers: int,
    seen: Sequence[str] = (),
) -> BeamSettings:
    """Checks that a runner can be used, and fills in the options that it needs.

    Args:
        runner: The runner, its name, or None for the one that the options name (Beam's own default
            is the DirectRunner).
        options: Beam's options, or None.
        workers: Number of worker processes of a runner on this machine.
        seen: Files and directories that workers must see.

    Returns:
        The runner and its options.

    Raises:
        OptionError: Beam is not installed, there is no such runner or option, or a server of the
            runner does not answer or has no workers that can import this package.
    """
    options = _pipeline_options([]) if options is None else copy.deepcopy(options)
    from apache_beam.options.pipeline_options import (
        PipelineOptions,
        SetupOptions,
        StandardOptions,
    )

    if not isinstance(options, PipelineOptions):
        raise OptionError(
            "beam_options must be a `PipelineOptions` of apache_beam.options.pipeline_options, "
            f"not {options!r}"
        )
    with _refusing():
        runner = runner or options.view_as(StandardOptions).runner or "DirectRunner"
    if isinstance(runner, str):
        runner = _FULL_NAMES.get(runner.lower(), runner)
    made = _runner(runner)
    name = type(made).__name__
    name = "DirectRunner" if name == "SwitchingDirectRunner" else name  # Beam's own alias.
    _check_names(options, name)
    # Work items are functions that workers import, so the main program need not be shipped.
    options.view_as(SetupOptions).save_main_session = False
    if name in _LOCAL_RUNNERS:
        _set_direct_defaults(options, workers)
    if name == "DaskRunner":
        check_dask(options, seen)
    with _refusing():
        given = options.get_all_options(drop_default=True)
    check_endpoints(given, name)
    return BeamSettings(name, runner, options)


def _pipeline_options(flags: list[str]) -> PipelineOptions:
    try:
        # Importing Beam warns of optional parts that are not installed.
        with _silent():
            from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise OptionError(
            f"beam_options were given, but Apache Beam cannot be imported ({error}); "
            "pip install apache-beam"
        ) from None
    return PipelineOptions(flags)


def _runner(runner: Any) -> Any:
    """A runner by its name, or the one that the caller made."""
    if not isinstance(runner, str):
        _check_is_runner(runner)
        try:
            pickle.dumps(runner)  # It travels to the process that runs the pipeline.
        except Exception as error:
            raise OptionError(
                f"beam_runner {type(runner).__name__} cannot be pickled ({one_line(error)}); give "
                "the name of its class instead"
            ) from None
        return runner
    from apache_beam.runners.runner import create_runner

    try:
        made = create_runner(runner)
    except ValueError as error:
        known = str(error).partition("Valid values are ")[2].partition(" or the")[0]
        raise OptionError(
            f"runner must be one of DaskRunner, {known}, or the full name of a class, "
            f"not {runner!r}"
        ) from None
    except Exception as error:
        extra = "dask and distributed" if "dask" in runner.lower() else "what it needs"
        raise OptionError(
            f"Beam's runner {runner!r} cannot be imported ({type(error).__name__}: {error}); "
            f"install {extra}, or name another runner"
        ) from None
    _check_is_runner(made)
    return made


def _check_is_runner(runner: Any) -> None:
    from apache_beam.runners.runner import PipelineRunner

    if not isinstance(runner, PipelineRunner):
        raise OptionError(
            f"runner must be a runner of Beam or the name of one, not {runner!r}; "
            "DaskRunner and DirectRunner are two"
        )


def _check_names(options: PipelineOptions, runner: str) -> None:
    """Refuses unknown options; by now, the classes that define options are imported."""
    with _refusing():
        given = options.get_all_options(drop_default=True, retain_unknown_options=True)
        known = options.get_all_options(drop_default=True)
    unknown = sorted(set(given) - set(known))
    if unknown and runner not in _RUNNERS_WITH_SERVERS:
        raise OptionError(
            f"Beam and its {runner} have no option {', '.join(unknown)}; see "
            "https://beam.apache.org/documentation/#runners for the options of each runner"
        )


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Makes one error of what Beam's argparse would print before it exits."""
    said = io.StringIO()
    try:
        # Beam logs unknown options each time.
        with _silent(), contextlib.redirect_stderr(said):
            yield
    except SystemExit:
        reason = (said.getvalue().splitlines() or [""])[-1].partition("error: ")[2]
        raise OptionError(f"beam_options cannot be used: {reason}") from None


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Logs nothing but errors."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)


def _given(options: PipelineOptions, flag: str, name: str | None = None) -> bool:
    """Whether an option was set, even to its default."""
    flags = [str(each).partition("=")[0] for each in getattr(options, "_flags", None) or ()]
    return f"--{flag}" in flags or (name or flag) in options.get_all_options(drop_default=True)


def _set_direct_defaults(options: PipelineOptions, workers: int) -> None:
    """Makes the DirectRunner use processes, not one thread of this one, and no network."""
    from apache_beam.options.pipeline_options import DirectOptions, TypeOptions, WorkerOptions

    if not _given(options, "direct_running_mode"):
        options.view_as(DirectOptions).direct_running_mode = "multi_processing"
    if not _given(options, "direct_num_workers"):
        options.view_as(DirectOptions).direct_num_workers = workers
    number = options.view_as(DirectOptions).direct_num_workers
    if number < 0:
        raise OptionError(
            f"direct_num_workers must be at least 1, or 0 for one worker per CPU, not {number}"
        )
    if not _given(options, "default_sdk_harness_log_level"):
        options.view_as(WorkerOptions).default_sdk_harness_log_level = "ERROR"
    # Without this, Beam 2.77 first tries to download another runner, Prism. Ours has no triggers.
    options.view_as(TypeOptions).allow_unsafe_triggers = True
