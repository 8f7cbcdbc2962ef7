"""Work items of Beam: each does one job and stores its result where all machines see it.

A runner may do a work item twice, on two machines at once, or again when a machine is gone. So an
item names its job and leaves the result beside it by a rename: the second one finds it done, or
stores the same once more. The runner must only call a function; the value that this returns does
not matter.

Nothing here imports Beam or TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import socket
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from imagenet_builders.errors import WorkerError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam.data import functions, raised
from imagenet_builders.run.beam.data.document import DocumentError, Reader, Writer
from imagenet_builders.run.beam.data.named import NotDataError
from imagenet_builders.run.beam.data.schema import FUNCTION, job_codec, result_codec
from imagenet_builders.run.beam.seal import sealed, unsealed
from imagenet_builders.run.jobs import Function, Job, Prefetch

Item = tuple[str, int, str, tuple[str, ...]]
"""A work item: the directory of its job, the job's number, the key of its seals (see `seal`), and
the packages whose functions it names. It is all that the runner ships."""

# The process that gave out the jobs makes this file when it wants no more of them done.
STOP = "stop"

# Answers of network file systems whose server is slow or was restarted.
_PASSING = (errno.ESTALE, errno.ETIMEDOUT, errno.EIO, errno.EREMOTEIO, errno.ENOTCONN)
_PAUSES = (1.0, 5.0)  # Seconds before the second and the third attempt.


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        result: What the function returned, or None.
        error: What it raised, or None.
        images: Images that it reported.
        size: Bytes that it reported.
        host: Name of the machine on which it was done.
        pid: The process that did it.
    """

    result: Any
    error: Exception | None
    images: int
    size: int
    host: str
    pid: int


def put_job(
    directory: PrivateDir,
    number: int,
    key: str,
    function: Function[Job, Any],
    prefetch: Prefetch[Job] | None,
    job: Job,
) -> Item:
    """Stores a job, for any machine to do.

    Args:
        directory: Where it is stored.
        number: The job's number; no other job in the directory has it.
        key: The key of its seals.
        function: What does the job.
        prefetch: Called with the job before, or None.
        job: The job, of the type that the function says; see `schema`.

    Returns:
        The work item that does it.

    Raises:
        WorkerError: Something in the job is no data.
        OSError: It cannot be stored.
    """
    out = Writer()
    try:
        structure = {
            "function": FUNCTION.write(function, out),
            "prefetch": None if prefetch is None else FUNCTION.write(prefetch, out),
            "job": job_codec(function).write(job, out),
        }
        content = out.finish(structure)
    except (NotDataError, RecursionError, ValueError) as error:
        raise WorkerError(
            f"a job of {label(function)} cannot go to the workers of Beam: {error}; build without "
            "--beam-options, or have whoever wrote the dataset make it data"
        ) from None
    name = _job_name(number)
    directory.write(name, sealed(key, name, content))
    return str(directory.path), number, key, tuple(sorted(out.packages))


def label(function: Function[Job, Any]) -> str:
    """The name of a function, for people."""
    return str(getattr(functions.plain(function), "__name__", type(function).__name__))


def run_item(item: Item) -> int:
    """Does a job, unless it is done already, and stores the outcome.

    An error of the job is its outcome, not an error of the item: runners wrap errors in texts of
    their own, and some retry a job that can only fail again. A job that fails for a reason that
    passes (`ESTALE`, `EIO`, ...) is tried three times here, because not all runners do that.

    Args:
        item: As `put_job` returned it.

    Returns:
        The job's number.

    Raises:
        WorkerError: This machine does not see the directory of the job, or somebody else made the
            job.
        OSError: The outcome cannot be stored.
    """
    path, number, key, packages = item
    try:
        with PrivateDir.enter(Path(path)) as directory:
            if directory.has(STOP) or directory.has(outcome_name(number)):
                return number
            content = _read(directory, _job_name(number), key)
            outcome = _attempt(content, frozenset(packages))
            name = outcome_name(number)
            # Whole or not at all, even if another machine does the same.
            directory.write(name, sealed(key, name, outcome), flush=True)
    except FileNotFoundError:
        raise WorkerError(
            f"{socket.gethostname()} does not see {path}: the directory of the datasets must "
            "be on a file system that all workers mount under the same path"
        ) from None
    return number


def get_outcome(directory: PrivateDir, item: Item, function: Function[Any, Any]) -> Outcome:
    """The outcome of a job.

    Args:
        directory: Where it is stored.
        item: The job's item.
        function: What did the job.

    Raises:
        FileNotFoundError: It is not done.
        WorkerError: Somebody else made it, or another version of this package.
    """
    _, number, key, packages = item
    content = _read(directory, outcome_name(number), key)
    try:
        parts = Reader(content, frozenset(packages))
        found = _Outcome(**parts.structure)
        result = error = None
        if found.error is None:
            result = result_codec(function).read(found.result, parts)
        else:
            error = raised.read(found.error, parts)
        parts.finish()
        facts = (found.images, found.size, found.host, found.pid)
        if tuple(map(type, facts)) != (int, int, str, int):
            raise DocumentError("an outcome of other numbers")
    except (DocumentError, ImportError, AttributeError, TypeError, RecursionError) as problem:
        raise _of_another_version(f"what {label(function)} returned", problem) from None
    return Outcome(result, error, *facts)


def _of_another_version(what: str, problem: Exception) -> WorkerError:
    return WorkerError(
        f"{what} cannot be read on {socket.gethostname()}, which found {problem}: the machines "
        "have other versions of imagenet_builders, or of the package of the dataset; start the "
        "workers with the same Python environment as this command"
    )


def outcome_name(number: int) -> str:
    """Name of the file that holds the outcome of a job."""
    return f"{number}.outcome"


def _job_name(number: int) -> str:
    return f"{number}.job"


def _read(directory: PrivateDir, name: str, key: str) -> bytes:
    content = unsealed(key, name, directory.read(name))
    if content is None:
        raise WorkerError(
            f"{directory.path / name} was not made by this build: find out who wrote it, then run "
            "the same command again"
        )
    return content


def _attempt(content: bytes, packages: frozenset[str]) -> bytes:
    """Does a job; returns the document of its outcome."""
    for pause in (*_PAUSES, None):
        done = [0, 0]

        def report(images: int, size: int, done: list[int] = done) -> None:
            done[0] += images
            done[1] += size

        out = Writer(packages)
        result = error = None
        try:
            # A worker with another version of this package may not have the function.
            function, prefetch, job = _job_in(content, packages)
            if prefetch is not None:
                # Reading ahead only saves time; the job itself finds what is wrong.
                with contextlib.suppress(Exception):
                    prefetch(job)
            result = _result(function, job, report, out)
        except Exception as problem:
            out = Writer(packages)
            error = raised.write(problem, out)
            if pause is not None and getattr(problem.__cause__ or problem, "errno", 0) in _PASSING:
                time.sleep(pause)
                continue
        images, size = done
        outcome = _Outcome(result, error, images, size, socket.gethostname(), os.getpid())
        return out.finish(vars(outcome))
    raise AssertionError("the last attempt has no pause")


def _job_in(
    content: bytes, packages: frozenset[str]
) -> tuple[Function[Any, Any], Prefetch[Any] | None, Any]:
    """Function, prefetch and job of a document."""
    try:
        parts = Reader(content, packages)
        function = FUNCTION.read(parts.structure["function"], parts)
        prefetch = parts.structure["prefetch"]
        if prefetch is not None:
            prefetch = FUNCTION.read(prefetch, parts)
        job = job_codec(function).read(parts.structure["job"], parts)
        parts.finish()
    except (DocumentError, NotDataError, KeyError, TypeError, RecursionError) as problem:
        raise _of_another_version("a job", problem) from None
    return function, prefetch, job


def _result(function: Function[Any, Any], job: Any, report: Any, out: Writer) -> Any:
    """Does a job; returns its result as what JSON can hold."""
    result = function(job, report)
    if isinstance(result, Future):
        result = result.result()
    try:
        return result_codec(function).write(result, out)
    except NotDataError as problem:
        raise WorkerError(
            f"what {label(function)} returned cannot come back from the workers of Beam: "
            f"{problem}; build without --beam-options, or have whoever wrote the dataset make it "
            "data"
        ) from None


@dataclasses.dataclass
class _Outcome:
    """An `Outcome`, with result and error as JSON has them."""

    result: Any
    error: Any
    images: int
    size: int
    host: str
    pid: int
