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
import pickle
import socket
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from imagenet_builders.errors import WorkerError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam.seal import sealed, unsealed
from imagenet_builders.run.jobs import Function, Job, Prefetch
from imagenet_builders.run.local import picklable

Item = tuple[str, int, str]
"""A work item: the directory of its job, the job's number, and the key of its seals (see `seal`).
It is all that the runner ships."""

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
        job: The job; it is pickled.

    Returns:
        The work item that does it.
    """
    content = pickle.dumps((function, prefetch, job), protocol=pickle.HIGHEST_PROTOCOL)
    name = _job_name(number)
    directory.write(name, sealed(key, name, content))
    return str(directory.path), number, key


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
    path, number, key = item
    try:
        with PrivateDir.enter(Path(path)) as directory:
            if directory.has(STOP) or directory.has(outcome_name(number)):
                return number
            content = _read(directory, _job_name(number), key)
            _store(directory, number, key, _attempt(content))
    except FileNotFoundError:
        raise WorkerError(
            f"{socket.gethostname()} does not see {path}: the directory of the datasets must "
            "be on a file system that all workers mount under the same path"
        ) from None
    return number


def get_outcome(directory: PrivateDir, number: int, key: str) -> Outcome:
    """The outcome of a job.

    Raises:
        FileNotFoundError: It is not done.
        WorkerError: Somebody else made it.
    """
    outcome = pickle.loads(_read(directory, outcome_name(number), key))
    assert isinstance(outcome, Outcome)
    return outcome


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


def _attempt(content: bytes) -> Outcome:
    for pause in (*_PAUSES, None):
        done = [0, 0]

        def report(images: int, size: int, done: list[int] = done) -> None:
            done[0] += images
            done[1] += size

        result, error = None, None
        try:
            # A worker with another version of this package may not have the function.
            function, prefetch, job = pickle.loads(content)
            if prefetch is not None:
                # Reading ahead only saves time; the job itself finds what is wrong.
                with contextlib.suppress(Exception):
                    prefetch(job)
            result = function(job, report)
            if isinstance(result, Future):
                result = result.result()
            pickle.dumps(result)
        except Exception as raised:
            result, error = None, picklable(raised)
            if pause is not None and getattr(raised.__cause__ or raised, "errno", None) in _PASSING:
                time.sleep(pause)
                continue
        images, size = done
        return Outcome(result, error, images, size, socket.gethostname(), os.getpid())
    raise AssertionError("the last attempt has no pause")


def _store(directory: PrivateDir, number: int, key: str, outcome: Outcome) -> None:
    """Stores an outcome, whole or not at all, even if another machine does the same."""
    name = outcome_name(number)
    content = pickle.dumps(outcome, protocol=pickle.HIGHEST_PROTOCOL)
    directory.write(name, sealed(key, name, content), flush=True)
