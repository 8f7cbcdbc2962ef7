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
import secrets
import socket
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from imagenet_builders.errors import WorkerError
from imagenet_builders.run.jobs import Function, Job, Prefetch
from imagenet_builders.run.local import picklable

Item = tuple[str, int]
"""A work item: the directory of its job, and the job's number. It is all that the runner ships."""

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
    directory: Path,
    number: int,
    function: Function[Job, Any],
    prefetch: Prefetch[Job] | None,
    job: Job,
) -> Item:
    """Stores a job, for any machine to do.

    Args:
        directory: Where it is stored.
        number: The job's number; no other job in the directory has it.
        function: What does the job.
        prefetch: Called with the job before, or None.
        job: The job; it is pickled.

    Returns:
        The work item that does it.
    """
    content = pickle.dumps((function, prefetch, job), protocol=pickle.HIGHEST_PROTOCOL)
    (directory / f"{number}.job").write_bytes(content)
    return str(directory), number


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
        WorkerError: This machine does not see the directory of the job.
        OSError: The outcome cannot be stored.
    """
    directory, number = Path(item[0]), item[1]
    if (directory / STOP).exists() or outcome_path(directory, number).exists():
        return number
    try:
        content = (directory / f"{number}.job").read_bytes()
    except FileNotFoundError:
        raise WorkerError(
            f"{socket.gethostname()} does not see {directory}: the directory of the datasets must "
            "be on a file system that all workers mount under the same path"
        ) from None
    _store(directory, number, _attempt(content))
    return number


def get_outcome(directory: Path, number: int) -> Outcome:
    """The outcome of a job.

    Raises:
        FileNotFoundError: It is not done.
    """
    outcome = pickle.loads(outcome_path(directory, number).read_bytes())
    assert isinstance(outcome, Outcome)
    return outcome


def outcome_path(directory: Path, number: int) -> Path:
    """The file that holds the outcome of a job."""
    return directory / f"{number}.outcome"


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


def _store(directory: Path, number: int, outcome: Outcome) -> None:
    """Stores an outcome, whole or not at all, even if another machine does the same."""
    partial = directory / f"{number}.{outcome.host}-{outcome.pid}-{secrets.token_hex(4)}.partial"
    with open(partial, "wb") as file:
        pickle.dump(outcome, file, protocol=pickle.HIGHEST_PROTOCOL)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(outcome_path(directory, number))
