"""Worker processes: run a function over jobs, on this machine.

Fresh interpreters, not forks (TensorFlow may be loaded and threaded in this process) and not
`multiprocessing`'s spawn, which would run the user's script again in every worker unless it is
guarded by `if __name__ == "__main__"`; `tfds.load` in a plain script must work.

A worker that loses its parent ends at once, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any, Self, cast

from imagenet_builders.errors import WorkerError
from imagenet_builders.run.jobs import Report, load_function
from imagenet_builders.sources.reader import keep_files_open

# One job being done and one waiting, so that a worker need not ask, and can read ahead.
_JOBS_AT_A_WORKER = 2

# So many results may be futures still when a worker begins another job.
_UNFINISHED = 2

_STARTUP = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from imagenet_builders.run.local import worker_main; worker_main(int(sys.argv[1]))"
)


class Workers:
    """A pool of worker processes, started when first needed and ended with the `with` block.

    With one worker there are no processes: jobs run here.

    Args:
        count: Number of workers.
    """

    def __init__(self, count: int):
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        # Closing its pipe ends an idle worker, and one that is at work as well.
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._connections, self._processes = [], []

    def run(
        self,
        function: str,
        jobs: Iterable[Any],
        *,
        report: Report = lambda images, size: None,
        prefetch: str | None = None,
        here: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """Runs a function over jobs.

        Args:
            function: `module:function`, called with a job and a `Report`. What it returns may be
                a `Future`: then the worker goes on with its next job meanwhile.
            jobs: The jobs, made one by one as they are given out; like the results, they are
                pickled.
            report: Called with what each job reports of its progress.
            prefetch: `module:function`, called with a job some time before its turn comes.
            here: Do not use processes, because the work is smaller than starting one.

        Yields:
            Position of a job and its result, in the order in which they are finished.

        Raises:
            WorkerError: A worker died.
            Exception: Whatever the function raised, in whichever worker.
        """
        return self._run(function, jobs, report, prefetch, here)

    def _run(
        self, function: str, jobs: Iterable[Any], report: Report, prefetch: str | None, here: bool
    ) -> Iterator[tuple[int, Any]]:
        if self._count == 1 or here:
            yield from run_here(function, jobs, report, prefetch)
            return
        done = False
        try:
            yield from self._run_there(function, jobs, report, prefetch)
            done = True
        finally:
            # Jobs that were given out before an error are of no use to the next run.
            if not done:
                self._stop()

    def _run_there(
        self, function: str, jobs: Iterable[Any], report: Report, prefetch: str | None
    ) -> Iterator[tuple[int, Any]]:
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

    def _start(self) -> None:
        while len(self._processes) < self._count:
            ours, theirs = Pipe()
            command = [sys.executable, "-c", _STARTUP, str(theirs.fileno()), *map(str, sys.path)]
            # In a group of its own: Ctrl-C is for this process, which then ends the workers.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                close_fds=True,
                process_group=0,
            )
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)

    def _give(
        self,
        connection: Connection,
        function: str,
        prefetch: str | None,
        waiting: Iterator[tuple[int, Any]],
        given: dict[Connection, int],
    ) -> None:
        numbered = next(waiting, None)
        if numbered is None:
            return
        # A worker that died has said why, or will be found dead when it is listened to.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send((function, prefetch, *numbered))
        given[connection] += 1

    def _receive(self, connection: Connection) -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = connection.recv()
        except (EOFError, ConnectionResetError):
            process = self._processes[self._connections.index(connection)]
            raise WorkerError(_obituary(process.wait())) from None
        return message


def worker_main(fd: int) -> None:
    """What a worker process does: take jobs from a pipe, do them, send the results back.

    Args:
        fd: Descriptor of the pipe.
    """
    # Only the parent decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_files_open()
    connection = Connection(fd)
    jobs: queue.SimpleQueue[tuple[str, str | None, int, Any]] = queue.SimpleQueue()
    threading.Thread(target=_take_jobs, args=(connection, jobs), daemon=True).start()
    unfinished: deque[Future[Any]] = deque()
    while True:
        function, _, number, job = jobs.get()
        try:
            result = load_function(function)(job, lambda *done: _send(connection, "progress", done))
        except Exception as error:
            _send(connection, "error", _picklable(error))
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
        _send(connection, "error", _picklable(cast("Exception", error)))


_sending = threading.Lock()


def _send(connection: Connection, kind: str, content: Any) -> None:
    """Tells the parent; a worker whose parent does not listen any more has nothing left to do."""
    with _sending:
        try:
            connection.send((kind, content))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)
        except Exception as error:  # It cannot be pickled.
            connection.send(("error", _picklable(error)))


def _take_jobs(connection: Connection, jobs: queue.SimpleQueue[Any]) -> None:
    """Queues jobs as they come and reads ahead for them; ends the process with its parent."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        jobs.put(message)
        _, prefetch, _, job = message
        if prefetch is not None:
            # Reading ahead only saves time; what is wrong with the sources is found by the job.
            with contextlib.suppress(Exception):
                load_function(prefetch)(job)


def run_here(
    function: str, jobs: Iterable[Any], report: Report, prefetch: str | None
) -> Iterator[tuple[int, Any]]:
    """What `Workers.run` does when it uses no processes."""
    unfinished: deque[tuple[int, Future[Any]]] = deque()
    try:
        for number, job in enumerate(jobs):
            if prefetch is not None:
                with contextlib.suppress(Exception):
                    load_function(prefetch)(job)
            result = load_function(function)(job, report)
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
        # When this ends, however it does, nothing is at work any more.
        for _, future in unfinished:
            future.exception()


def _picklable(error: Exception) -> Exception:
    """The error itself where it can travel, or else one of ours with its text."""
    import pickle

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
