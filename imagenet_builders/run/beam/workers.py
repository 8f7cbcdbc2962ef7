"""Workers on other machines: each list of jobs is a Beam pipeline, on whatever runner there is.

The pipeline is the plainest that there is, `Create | Reshuffle | Map`, and its items leave their
results in a directory on the shared file system (`beam_items`), where they are found as they come.
So all that a runner must be able to do is to run a function over a list, and progress, errors and
results are the same with each of them.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

from imagenet_builders.errors import OptionError, WorkerError
from imagenet_builders.run.beam.cluster import check_facts, one_line, worker_facts_job
from imagenet_builders.run.beam.items import STOP, Item, Outcome, get_outcome, put_job
from imagenet_builders.run.beam.options import BeamSettings
from imagenet_builders.run.beam.pipeline import Pipeline
from imagenet_builders.run.jobs import Function, Job, Prefetch, Report, Result, Workers, ignore
from imagenet_builders.run.local import run_in_process

_LOG = logging.getLogger(__name__)

_LOOK_EVERY = 0.5  # Seconds between two looks for new results.

# For so many seconds after the pipeline, results are waited for: a network file system may show an
# older listing of a directory, by default for up to a minute.
_SHOWN_AFTER = 90.0

# So long has a runner for a first work item; Dataflow's machines take some minutes to start.
_TRIAL_SECONDS = 600.0

# For so many seconds after all results are there, the runner may tidy up.
_PATIENCE = 10.0


class BeamWorkers(Workers):
    """Runs jobs as the work items of Beam pipelines.

    What the items exchange is in a directory of its own below `job_dir`, for each list of jobs,
    and is removed once the list is done; `job_dir` goes with the `with` block.

    Args:
        settings: The runner and its options.
        job_dir: Directory on a file system that this machine and all workers have in common, under
            the same path. It need not exist; nothing else may be in it.

    Attributes:
        done_by: Number of jobs done by each function and process, as (name, host, pid).
    """

    def __init__(self, settings: BeamSettings, job_dir: Path):
        self._settings = settings
        self._job_dir = job_dir
        self.done_by: Counter[tuple[str, str, int]] = Counter()

    def run_trial_item(self, seen: Sequence[str]) -> None:
        """Has the runner do one work item that does nothing, before there is work to be lost.

        Args:
            seen: Files and directories that workers must see.

        Raises:
            OptionError: It does not, or the worker has not what it needs.
        """
        name = self._settings.name
        _LOG.info(f"trying the {name} with one work item")
        try:
            done = self._run_items(worker_facts_job, [seen], ignore, within=_TRIAL_SECONDS)
            [(_, facts)] = done
        except (ImportError, AttributeError) as error:
            raise OptionError(
                f"a worker of the {name} has another imagenet_builders ({one_line(error)}); start "
                "it with the same Python environment as this command"
            ) from error
        except WorkerError as error:
            raise OptionError(str(error)) from error
        self.done_by.clear()
        check_facts(f"a worker of the {name}", facts)

    def close(self) -> None:
        """Removes the directory of the jobs, and says who did how much."""
        shutil.rmtree(self._job_dir, ignore_errors=True)
        for line in self._summary():
            _LOG.info(line)

    def _summary(self) -> Iterator[str]:
        """Who did what, a line a function: a cluster of which only a part works is found so."""
        for function in dict.fromkeys(function for function, _, _ in self.done_by):
            done = {key[1:]: n for key, n in self.done_by.items() if key[0] == function}
            hosts = sorted({host for host, _ in done})
            named = ", ".join(hosts[:4]) + (", ..." if len(hosts) > 4 else "")
            processes = f"{len(done):,} process" + ("es" if len(done) > 1 else "")
            machines = f"{len(hosts):,} machine" + ("s" if len(hosts) > 1 else "")
            yield (
                f"{self._settings.name}: {function}: {sum(done.values()):,} "
                f"work items done by {processes} on {machines} ({named})"
            )

    def run(
        self,
        function: Function[Job, Result],
        jobs: Iterable[Job],
        *,
        report: Report = ignore,
        prefetch: Prefetch[Job] | None = None,
        in_process: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        """Calls a function for each job; see `Workers.run`.

        All jobs are written to the shared file system first, a job's progress is reported once it
        is done, and `prefetch` is called right before it. `in_process` counts for a single job
        only: for more, the runner was asked for. `WorkerError` is also raised when the pipeline
        failed, or workers do not see the directories they need.
        """
        jobs = iter(jobs)
        first = list(itertools.islice(jobs, 2))
        if not first or (in_process and len(first) == 1):
            return run_in_process(function, first, report, prefetch)
        return self._run_items(function, itertools.chain(first, jobs), report, prefetch)

    def _run_items(
        self,
        function: Function[Job, Result],
        jobs: Iterable[Job],
        report: Report,
        prefetch: Prefetch[Job] | None = None,
        within: float | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """Runs jobs on the runner, which has done something `within` so many seconds."""
        directory = self._job_dir / f"{function.__name__}-{secrets.token_hex(4)}"
        # Private, because what is in it is unpickled.
        self._job_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        try:
            items = [
                put_job(directory, number, function, prefetch, job)
                for number, job in enumerate(jobs)
            ]
            with contextlib.closing(self._outcomes(directory, items, within)) as outcomes:
                for number, outcome in outcomes:
                    self.done_by[function.__name__, outcome.host, outcome.pid] += 1
                    if outcome.error is not None:
                        raise outcome.error
                    report(outcome.images, outcome.size)
                    yield number, outcome.result
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _outcomes(
        self, directory: Path, items: list[Item], within: float | None
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Runs the pipeline, and yields outcomes as they appear; ends the pipeline on an error."""
        missing = set(range(len(items)))
        started = time.monotonic()
        pipeline = Pipeline(self._settings, directory, items)
        try:
            deadline = None
            while missing:
                running = pipeline.is_running()  # Asked before looking: the last look sees all.
                found = _found(directory, missing)
                for number in found:
                    missing.remove(number)
                    yield number, get_outcome(directory, number)
                if within is not None and missing and time.monotonic() - started > within:
                    raise WorkerError(
                        f"the Beam pipeline on {self._settings.name} has done nothing in "
                        f"{within:.0f} s; see whether its servers are what the options say, and "
                        "whether they have workers"
                    )
                if running:
                    pipeline.wait(_LOOK_EVERY)
                elif missing and not found:
                    if pipeline.error is not None:
                        raise WorkerError(pipeline.error)
                    deadline = deadline or time.monotonic() + _SHOWN_AFTER
                    if time.monotonic() > deadline:
                        raise WorkerError(
                            f"the Beam pipeline on {self._settings.name} is done, but "
                            f"{len(missing):,} of {len(items):,} results are not in {directory}: "
                            "the directory of the datasets must be on a file system that this "
                            "machine and all workers mount under the same path"
                        )
                    time.sleep(_LOOK_EVERY)
            pipeline.wait(_PATIENCE)
        finally:
            # Items that have not begun end at once when they find it.
            with contextlib.suppress(OSError):
                (directory / STOP).touch()
            pipeline.end()


def _found(directory: Path, missing: set[int]) -> list[int]:
    """The jobs, of those that are missing, whose outcomes are there, in order."""
    names = os.listdir(directory)
    done = {int(name.removesuffix(".outcome")) for name in names if name.endswith(".outcome")}
    return sorted(done & missing)
