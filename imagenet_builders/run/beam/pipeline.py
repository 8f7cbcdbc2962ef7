"""A Beam pipeline, run by a process of its own.

Beam's DirectRunner waits without end for a worker process that was killed, and its threads keep
their process alive; Dask's client goes on asking for a cluster that is gone. A process of its own
can be ended whatever a runner does, with all processes of its group, among them the DirectRunner's
workers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from imagenet_builders.files.private_dir import NotOursError, PrivateDir
from imagenet_builders.run.beam.cluster import wait_for_loss
from imagenet_builders.run.beam.items import Item, run_item
from imagenet_builders.run.beam.options import BeamSettings

_STARTUP = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from imagenet_builders.run.beam.pipeline import pipeline_main; pipeline_main()"
)

# Seconds that a runner has to tell its cluster that nothing more is wanted.
_PATIENCE = 5.0

_ERROR = "pipeline.error"


class Pipeline:
    """The process that runs a pipeline; it starts when this value is made.

    Args:
        settings: The runner and its options.
        directory: Directory of the jobs. A pipeline that fails leaves its error there.
        items: The work items.
    """

    def __init__(self, settings: BeamSettings, directory: PrivateDir, items: list[Item]):
        self._directory = directory
        # The DirectRunner's workers have only the environment to find modules with.
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # What lies in the working directory may be anybody's.
        env["PYTHONSAFEPATH"] = "1"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _STARTUP, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,
            env=env,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # The process says why it ended.
            self._process.stdin.write(pickle.dumps((settings, str(directory.path), items)))
            self._process.stdin.flush()

    def is_running(self) -> bool:
        """Whether the pipeline is not done yet."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Waits for its end, or for so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    @property
    def error(self) -> str | None:
        """One sentence about a pipeline that failed."""
        status = self._process.poll()
        if not status:
            return None
        with contextlib.suppress(OSError):
            return self._directory.read(_ERROR).decode(errors="replace")
        return f"the process that ran the Beam pipeline ended with status {status}"

    def end(self) -> None:
        """Ends the pipeline if it is not done, and all processes that it started here."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self.wait(2 * _PATIENCE)
        # Even if it has ended, its workers may be alive.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def pipeline_main() -> None:
    """Takes a pipeline from stdin, runs it, and ends when stdin is closed."""
    # Beam warns of optional parts that are not installed, and of each runner's options in turn. An
    # error becomes one sentence.
    logging.disable(logging.ERROR)
    settings, directory, items = pickle.load(sys.stdin.buffer)
    results: list[Any] = []
    threading.Thread(target=_end_with_input, args=[results], daemon=True).start()
    threading.excepthook = lambda arguments: _in_thread(settings, Path(directory), arguments)
    try:
        _run(settings, Path(directory), items, results)
    except BaseException as error:  # A cancellation is no `Exception`.
        _fail(Path(directory), settings.failure(error))
    # To return would wait for threads, and some never end.
    os._exit(0)


def _run(settings: BeamSettings, directory: Path, items: list[Item], results: list[Any]) -> None:
    import apache_beam as beam
    from apache_beam.runners.runner import PipelineState

    options = settings.options_for(len(items))
    pipeline = beam.Pipeline(runner=settings.new_runner(), options=options)
    (
        pipeline
        | "Jobs" >> beam.Create(items)
        | "Spread" >> beam.Reshuffle()
        | "Run" >> beam.Map(run_item)
    )
    results.append(pipeline.run())
    if settings.name == "DaskRunner":
        threading.Thread(target=_watch, args=[results[0], directory], daemon=True).start()
    state = results[0].wait_until_finish()
    if state in (PipelineState.FAILED, PipelineState.CANCELLED):
        raise RuntimeError(f"its state is {state}")


def _watch(result: Any, directory: Path) -> None:
    _fail(directory, wait_for_loss(result))


def _fail(directory: Path, sentence: str) -> None:
    # Whoever waits for this looks at the directory, too, and says what is wrong with it.
    with contextlib.suppress(OSError, NotOursError), PrivateDir.enter(directory) as entered:
        entered.write(_ERROR, sentence.encode())
    os._exit(1)


def _in_thread(settings: BeamSettings, directory: Path, arguments: Any) -> None:
    """Fails if a worker process died: only the thread that waits for it gets to know."""
    said = str(arguments.exc_value)
    if "Worker subprocess exited" in said:
        _fail(
            directory,
            f"a worker process of Beam's {settings.name} died (out of memory? ask for more, or for "
            f"fewer workers): {said}; run the same command again",
        )


def _end_with_input(results: list[Any]) -> None:
    """Ends this process and its group when the process that started it wants that, or died."""
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
    if results:
        cancel = threading.Thread(target=results[0].cancel, daemon=True)
        cancel.start()
        cancel.join(_PATIENCE)
    os.killpg(0, signal.SIGKILL)
