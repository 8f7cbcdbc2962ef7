"""Checks the servers and workers of a Beam runner, before the work and during it.

Without them, a runner waits without end, or fails when the index is made. One question to a worker
finds out whether it has what it needs: this package, the same Python, the same directories.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import imagenet_builders
from imagenet_builders.errors import OptionError
from imagenet_builders.words import logger

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_LOG = logger(__name__)

T = TypeVar("T")

# Beam options that say where a server is, as host:port.
_ENDPOINTS = ("job_endpoint", "flink_master")

# Values of `flink_master` that name no server.
_NO_SERVERS = ("", "auto", "local", "[auto]", "[local]", "[collection]", "embed")

_CONNECT_SECONDS = 10
_FIRST_WORKER_SECONDS = 180
_ANSWER_SECONDS = 30

_TRIES = 3

# Workers come and go; a cluster without any for so many seconds is taken for dead.
_NO_WORKERS_SECONDS = 120.0
_LOOK_EVERY = 5.0


@dataclasses.dataclass(frozen=True)
class WorkerFacts:
    """Facts about a worker.

    Attributes:
        versions: Versions of Python (such as `3.11`), this package and Beam.
        unseen: The files and directories that it should see and does not.
    """

    versions: Mapping[str, str]
    unseen: tuple[str, ...]


def worker_facts(seen: Sequence[str] = ()) -> WorkerFacts:
    """The facts about this process; Beam is not imported for them.

    Args:
        seen: Files and directories that it should see.

    Returns:
        The facts.
    """
    try:
        beam = importlib.metadata.version("apache-beam")
    except importlib.metadata.PackageNotFoundError:
        beam = "none"
    versions = {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "imagenet_builders": imagenet_builders.__version__,
        "apache-beam": beam,
    }
    return WorkerFacts(versions, tuple(each for each in seen if not os.path.exists(each)))


def worker_facts_job(job: Sequence[str], report: object) -> WorkerFacts:
    """The facts about a worker, as a job."""
    return worker_facts(job)


def check_facts(worker: str, facts: WorkerFacts) -> None:
    """Checks that a worker has what this process has.

    Args:
        worker: The worker, for messages.
        facts: The facts about it.

    Raises:
        OptionError: It lacks something.
    """
    for what, here in worker_facts().versions.items():
        there = facts.versions.get(what, "none")
        if there != here:
            raise OptionError(
                f"{worker} has {what} {there}, this machine {here}; start it with the same Python "
                "environment as this command"
            )
    if facts.unseen:
        raise OptionError(
            f"{worker} does not see {facts.unseen[0]}; manual_dir and data_dir must be on file "
            "systems that all machines mount under the same path"
        )


def check_dask(options: PipelineOptions, seen: Sequence[str] = ()) -> None:
    """Connects to the scheduler, and checks that each worker has what it needs.

    Args:
        options: Beam's options.
        seen: Files and directories that workers must see.

    Raises:
        OptionError: The scheduler does not answer, has no workers, or one lacks something.
    """
    import dask
    from apache_beam.runners.dask.dask_runner import DaskOptions
    from distributed import Client

    # Beam 2.71 would tell by `get_all_options(drop_default=True, current_only=True)`.
    parser = argparse.ArgumentParser(add_help=False)
    DaskOptions._add_argparse_args(parser)
    asked = options.view_as(DaskOptions)
    given = {
        name: value
        for name, default in vars(parser.parse_args([])).items()
        if (value := getattr(asked, name)) != default
    }
    for name in ("npartitions", "partition_size"):
        value = given.pop(name, None)
        if value is not None and value < 1:
            raise OptionError(f"dask_{name} must be at least 1, not {value}")
    file = given.get("scheduler_file")
    where = given.get("address") or file or dask.config.get("scheduler-address", None)
    if not where:
        raise OptionError(
            "the DaskRunner needs dask_client_address=tcp://host:port or dask_scheduler_file=FILE "
            "among the beam_options; to use this machine alone, take the DirectRunner"
        )
    if file:
        _check_scheduler_file(file)
    try:
        patience = given.get("timeout")
        patience = patience if isinstance(patience, int | float) else _CONNECT_SECONDS
        # Dask waits without end for the answer of a server of another kind.
        client = _within(
            _ANSWER_SECONDS + patience, lambda: Client(**{"timeout": _CONNECT_SECONDS, **given})
        )
    except Exception as error:
        raise OptionError(
            f"the Dask scheduler at {where} does not answer ({one_line(error)}); start it with "
            "`dask scheduler`, or correct dask_client_address"
        ) from None
    with contextlib.closing(client):
        if not client.nthreads():
            _LOG.info(
                f"the Dask scheduler at {where} has no workers yet; waiting "
                f"for one for {_FIRST_WORKER_SECONDS} s",
            )
        try:
            client.wait_for_workers(1, timeout=_FIRST_WORKER_SECONDS)
        except Exception:
            raise OptionError(
                f"the Dask scheduler at {where} has had no workers for "
                f"{_FIRST_WORKER_SECONDS} s; start some with `dask worker {where} --nthreads 1`"
            ) from None
        for worker, facts in _ask_workers(client, seen).items():
            if isinstance(facts, Exception):
                raise OptionError(
                    f"the Dask worker {worker} cannot import imagenet_builders "
                    f"({one_line(facts)}); "
                    "start the workers with the same Python environment as this command"
                )
            check_facts(f"the Dask worker {worker}", facts)


def _check_scheduler_file(file: str) -> None:
    problem = "is not there"
    if os.path.isfile(file):  # Without it, Dask would wait.
        problem = "does not say where a scheduler is"
        for _ in range(_TRIES):
            # A scheduler that is just starting may have made the file and not written it.
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                if json.loads(Path(file).read_bytes())["address"]:
                    return
            time.sleep(1)
    raise OptionError(
        f"dask_scheduler_file={file} {problem}; start the scheduler with `dask scheduler "
        f"--scheduler-file {file}`, or correct the option"
    )


def _ask_workers(client: Any, seen: Sequence[str]) -> dict[str, Any]:
    """The facts about each worker, or the error that it answered with."""

    def ask() -> dict[str, Any]:
        found: dict[str, Any] = client.run(worker_facts, list(seen), on_error="return")
        return found

    try:
        # Dask waits for minutes for a worker that is suspended.
        return _within(_ANSWER_SECONDS, ask)
    except TimeoutError:
        raise OptionError(
            f"one of the Dask workers {', '.join(sorted(client.nthreads()))} does not answer "
            f"within {_ANSWER_SECONDS} s; end those that hang, and start others"
        ) from None


def _within(seconds: float, function: Callable[[], T]) -> T:
    """Calls a function of Dask.

    Returns:
        What it returns.

    Raises:
        TimeoutError: It takes longer; it goes on, in a thread.
        Exception: Whatever it raises.
    """
    future: Future[T] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)

    with _quiet("distributed"):
        threading.Thread(target=call, daemon=True).start()
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # The function itself raised it.
                raise
            raise TimeoutError(f"nothing within {seconds:.0f} s") from None


def wait_for_loss(result: Any) -> str:
    """Waits until a Dask cluster has lost all of its workers; Dask would wait for new ones.

    Args:
        result: The result of the DaskRunner's pipeline.

    Returns:
        A sentence that says so.
    """
    since = time.monotonic()
    while time.monotonic() - since < _NO_WORKERS_SECONDS:
        time.sleep(_LOOK_EVERY)
        # The runner itself tells of a scheduler that does not answer.
        with contextlib.suppress(Exception):
            if not result.client.nthreads():
                continue
        since = time.monotonic()
    return (
        f"the Dask cluster has had no workers for {_NO_WORKERS_SECONDS:.0f} s; see why they ended "
        "(out of memory? a time limit?), start others and run the same command again"
    )


def check_endpoints(given: Mapping[str, Any], runner: str) -> None:
    """Opens, and closes, a connection to each server that the options name.

    Args:
        given: Beam's options that were given.
        runner: The runner's class name.

    Raises:
        OptionError: One does not answer, or no server is named.
    """
    if runner == "PortableRunner" and not given.get("job_endpoint"):
        raise OptionError(
            "the PortableRunner needs job_endpoint=host:port among the beam_options: where the "
            "job server of Flink, Spark, ... listens"
        )
    for name in _ENDPOINTS:
        text = str(given.get(name) or "")
        if text in _NO_SERVERS:
            continue
        host, _, port = text.rpartition("//")[2].rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 65_536):
            raise OptionError(f"{name} must be host:port, such as localhost:8099, not {text!r}")
        try:
            address = (host.removeprefix("[").removesuffix("]"), int(port))
            socket.create_connection(address, timeout=_CONNECT_SECONDS).close()
        except (OSError, UnicodeError) as error:
            raise OptionError(
                f"nothing answers at {name}={text} ({one_line(error)}); start the server, or "
                "correct the option"
            ) from None


def one_line(error: Exception) -> str:
    """An error as one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keeps a library from logging what we say in our own words."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
