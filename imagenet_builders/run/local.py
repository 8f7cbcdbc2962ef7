"""The runner for one machine: a pool of worker processes.

Workers are fresh interpreters. They are no forks, because TensorFlow may be loaded in this process,
with its threads. Nor does `multiprocessing` spawn them: it would run the user's script again in
each, unless `if __name__ == "__main__"` guards it, and `tfds.load` must work in any script.

A worker that loses its parent ends at once, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, cast

from imagenet_builders.errors import WorkerError
from imagenet_builders.run.blas import ONE_THREAD
from imagenet_builders.run.jobs import Function, Job, Prefetch, Report, Result, Workers, ignore

# A worker does one job while the next waits, so that it can read ahead and need not ask.
_JOBS_AT_A_WORKER = 2

# How many results may still be futures when a worker begins another job.
_UNFINISHED = 2

_STARTUP = (
    "import gc, sys; gc.disable(); sys.path[:] = sys.argv[2:]; "
    "from imagenet_builders.run.local import worker_main; worker_main(int(sys.argv[1]))"
)


class LocalWorkers(Workers):
    """A pool of worker processes on this machine, started when first needed.

    With one worker there are no processes: jobs are done in this one. Jobs are made one by one, as
    workers become free.

    Args:
        count: Number of workers.
        on_start: Called first in each worker process, never in this one.
    """

    def __init__(self, count: int, on_start: Callable[[], None] | None = None):
        self._count = count
        self._on_start = on_start
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        self._begun: Connection | None = None

    @property
    def are_started(self) -> bool:
        """Whether there are processes."""
        return bool(self._processes)

    def start(self, count: int | None = None) -> None:
        """Starts processes before there is a job for them; a single worker has none.

        Args:
            count: How many there should be now; None for all.
        """
        if self._count > 1:
            self._start(count)

    def begin(self, function: Function[Job, Result], job: Job) -> Callable[[], Result | None]:
        """Has one of the processes that are started do a job whose result is wanted later.

        Args:
            function: As for `run`; it reports nothing.
            job: A job that the caller can do as well.

        Returns:
            What waits for the result, and gives it once: None if there is none, for whatever
            reason. `run` does not wait: it starts the processes anew.
        """
        connection = self._begun = self._connections[0]
        self._give(connection, function, None, iter([(0, job)]), {connection: 0})

        def result() -> Result | None:
            if self._begun is not connection:
                return None
            self._begun = None
            try:
                while True:
                    match self._receive(connection):
                        case "result", (_, content):
                            return cast("Result", content)
                        case "error", _:
                            return None
            except WorkerError:
                self.close()
                return None

        return result

    def close(self) -> None:
        """Ends the workers, whatever they are doing."""
        # A worker ends when its pipe is closed, also in the middle of a job.
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._connections, self._processes, self._begun = [], [], None

    def run(
        self,
        function: Function[Job, Result],
        jobs: Iterable[Job],
        *,
        report: Report = ignore,
        prefetch: Prefetch[Job] | None = None,
        in_process: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        """Calls a function for each job; see `Workers.run`."""
        if self._count == 1 or in_process:
            yield from run_in_process(function, jobs, report, prefetch)
            return
        done = False
        try:
            yield from self._run_in_workers(function, jobs, report, prefetch)
            done = True
        finally:
            # Jobs that were given out before an error are of no use to the next run.
            if not done:
                self.close()

    def _run_in_workers(
        self,
        function: Function[Job, Result],
        jobs: Iterable[Job],
        report: Report,
        prefetch: Prefetch[Job] | None,
    ) -> Iterator[tuple[int, Result]]:
        if self._begun is not None:
            self.close()
        self._start()
        waiting = iter(enumerate(jobs))
        given: dict[Connection, int] = dict.fromkeys(self._connections, 0)
        for _ in range(_JOBS_AT_A_WORKER):
            for connection in self._connections:
                self._give(connection, function, prefetch, waiting, given)
        owed = dict.fromkeys(self._connections, 0)
        while busy := [c for c in self._connections if given[c] or owed[c]]:
            for ready in wait(busy):
                connection = cast("Connection", ready)
                kind, content = self._receive(connection)
                match kind:
                    case "progress":
                        report(*content)
                    case "error":
                        raise content
                    case "free":
                        given[connection] -= 1
                        owed[connection] += 1
                        self._give(connection, function, prefetch, waiting, given)
                    case "result":
                        owed[connection] -= 1
                        yield content

    def _start(self, count: int | None = None) -> None:
        while len(self._processes) < min(self._count, count or self._count):
            ours, theirs = Pipe()
            command = [sys.executable, "-c", _STARTUP, str(theirs.fileno()), *map(str, sys.path)]
            # In a group of its own: Ctrl-C is for this process, which then ends the workers.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                close_fds=True,
                process_group=0,
                env=_environment(),
            )
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                ours.send(self._on_start)

    def _give(
        self,
        connection: Connection,
        function: Function[Job, Any],
        prefetch: Prefetch[Job] | None,
        waiting: Iterator[tuple[int, Job]],
        given: dict[Connection, int],
    ) -> None:
        numbered = next(waiting, None)
        if numbered is None:
            return
        # A worker that died has said why, or `_receive` will tell.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send((function, prefetch, *numbered))
        given[connection] += 1

    def _receive(self, connection: Connection) -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = connection.recv()
        except (EOFError, OSError):  # Between two messages, or in the middle of a large one.
            process = self._processes[self._connections.index(connection)]
            raise WorkerError(_obituary(process.wait())) from None
        return message


def _environment() -> dict[str, str]:
    """The environment of a worker."""
    # What lies in the working directory may be anybody's.
    ours = {"PYTHONSAFEPATH": "1"}
    return ONE_THREAD | os.environ | ours


def worker_main(fd: int) -> None:
    """Takes jobs from a pipe, does them and sends the results back: what a worker process does.

    Args:
        fd: Descriptor of the pipe.
    """
    # Only the parent decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(fd)
    with contextlib.suppress(EOFError):  # `_take_jobs` meets it again and ends the process.
        if on_start := connection.recv():
            on_start()
    jobs: queue.SimpleQueue[tuple[int, Function[Any, Any], Any]] = queue.SimpleQueue()
    threading.Thread(target=_take_jobs, args=(connection, jobs), daemon=True).start()
    unfinished: deque[Future[Any]] = deque()
    collecting = False
    while True:
        number, function, job = jobs.get()
        if not collecting:  # What was imported until now stays.
            gc.freeze()
            gc.enable()
            collecting = True
        try:
            result = function(job, lambda *done: _send(connection, "progress", done))
        except Exception as error:
            _send(connection, "error", picklable(error))
            continue
        _send(connection, "free", None)
        if isinstance(result, Future):
            result.add_done_callback(functools.partial(_send_finished, connection, number))
            unfinished.append(result)
            if len(unfinished) > _UNFINISHED:
                unfinished.popleft().exception()
        else:
            _send(connection, "result", (number, result))


def _send_finished(connection: Connection, number: int, future: Future[Any]) -> None:
    error = future.exception()
    if error is None:
        _send(connection, "result", (number, future.result()))
    else:
        _send(connection, "error", picklable(cast("Exception", error)))


_sending = threading.Lock()


def _send(connection: Connection, kind: str, content: Any) -> None:
    """Tells the parent; ends this process if the parent does not listen any more."""
    with _sending:
        try:
            connection.send((kind, content))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)
        except Exception as error:  # It cannot be pickled.
            connection.send(("error", picklable(error)))


def _take_jobs(connection: Connection, jobs: queue.SimpleQueue[Any]) -> None:
    """Queues jobs as they come and reads ahead for them; ends the process with its parent."""
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(1)
        try:
            function, prefetch, number, job = pickle.loads(message)
        except Exception as error:  # This worker cannot import the function, or the job's class.
            _send(connection, "error", picklable(error))
            continue
        jobs.put((number, function, job))
        if prefetch is not None:
            # Reading ahead only saves time; the job itself finds what is wrong with the sources.
            with contextlib.suppress(Exception):
                prefetch(job)


def run_in_process(
    function: Function[Job, Result],
    jobs: Iterable[Job],
    report: Report,
    prefetch: Prefetch[Job] | None,
) -> Iterator[tuple[int, Result]]:
    """Calls a function for each job in this process; see `Workers.run`."""
    unfinished: deque[tuple[int, Future[Result]]] = deque()
    try:
        for number, job in enumerate(jobs):
            if prefetch is not None:
                with contextlib.suppress(Exception):
                    prefetch(job)
            result = function(job, report)
            if isinstance(result, Future):
                unfinished.append((number, result))
            else:
                yield number, result
            while unfinished and (len(unfinished) > _UNFINISHED or unfinished[0][1].done()):
                first, future = unfinished.popleft()
                yield first, future.result()
        while unfinished:
            first, future = unfinished.popleft()
            yield first, future.result()
    finally:
        # However this ends, no thread is at work afterwards.
        for _, future in unfinished:
            future.exception()


def picklable(error: Exception) -> Exception:
    """The error itself if it can be pickled, or else one of ours with its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkerError(f"{type(error).__name__}: {error}")
    return error


def _obituary(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (out of memory? ask for more, or for fewer workers)" if -status == 9 else ""
        return f"a worker process was killed by {name}{hint}; run the same command again"
    return (
        f"a worker process ended with status {status} before its work was done; "
        "what it printed above says why"
    )
