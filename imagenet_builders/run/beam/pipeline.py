"""A Beam pipeline, run by a process of its own.

Beam's DirectRunner waits for ever for a worker process that was killed, and its threads keep the
process that they are in from ending; Dask's client goes on asking for a cluster that is gone. In a
process of its own, whatever a runner does can be ended: with it, its group ends, in which are also
the DirectRunner's workers.
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

from imagenet_builders.run.beam.cluster import wait_for_loss
from imagenet_builders.run.beam.items import Item, run_item
from imagenet_builders.run.beam.options import BeamSettings

_STARTUP = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from imagenet_builders.run.beam.pipeline import pipeline_main; pipeline_main()"
)

# For so many seconds, a runner may tell its cluster that nothing more is wanted.
_PATIENCE = 5.0

_ERROR = "pipeline.error"


class Pipeline:
    """The process that runs a pipeline, from where it is made on.

    Args:
        settings: The runner and its options.
        directory: Directory of the jobs; what the pipeline failed with is left there.
        items: The work items.
    """

    def __init__(self, settings: BeamSettings, directory: Path, items: list[Item]):
        self._directory = directory
        # The DirectRunner's workers have only the environment to find modules with.
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _STARTUP, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,
            env=env,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # It says itself why it ended.
            self._process.stdin.write(pickle.dumps((settings, str(directory), items)))
            self._process.stdin.flush()

    def is_running(self) -> bool:
        """Whether the pipeline is not done yet."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Waits for its end, but no longer than this."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    @property
    def error(self) -> str | None:
        """One sentence about a pipeline that failed."""
        status = self._process.poll()
        if not status:
            return None
        with contextlib.suppress(OSError):
            return (self._directory / _ERROR).read_text()
        return f"the process that ran the Beam pipeline ended with status {status}"

    def end(self) -> None:
        """Ends the pipeline if it is not done, and with it all processes that it started here."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self.wait(2 * _PATIENCE)
        # Also when it has ended: its workers may be left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def pipeline_main() -> None:
    """What the process does: take the pipeline from its input, run it, and end with its input."""
    # Beam warns of optional parts that are not installed, and of each runner's options in turn; of
    # an error, one sentence tells.
    logging.disable(logging.ERROR)
    settings, directory, items = pickle.load(sys.stdin.buffer)
    results: list[Any] = []
    threading.Thread(target=_end_with_input, args=[results], daemon=True).start()
    threading.excepthook = lambda arguments: _in_thread(settings, Path(directory), arguments)
    try:
        _run(settings, Path(directory), items, results)
    except BaseException as error:  # What is cancelled is not an `Exception`.
        _fail(Path(directory), settings.failure(error))
    # Not by returning: that would wait for threads of which some never end.
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
    with contextlib.suppress(OSError):
        (directory / _ERROR).write_text(sentence)
    os._exit(1)


def _in_thread(settings: BeamSettings, directory: Path, arguments: Any) -> None:
    """Hears of a worker process that died: only the thread that waits for it is told."""
    said = str(arguments.exc_value)
    if "Worker subprocess exited" in said:
        _fail(
            directory,
            f"a worker process of Beam's {settings.name} died (out of memory? ask for more, or for "
            f"fewer workers): {said}; run the same command again",
        )


def _end_with_input(results: list[Any]) -> None:
    """Ends this process, and all of its group, when the one that started it wants that or died."""
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
    if results:
        cancel = threading.Thread(target=results[0].cancel, daemon=True)
        cancel.start()
        cancel.join(_PATIENCE)
    os.killpg(0, signal.SIGKILL)
