"""The runner for clusters: each list of jobs is a Beam pipeline, on any Beam runner.

The pipeline is the plainest possible, `Create | Reshuffle | Map`, and its items leave their results
in a directory on the shared file system (`items`), where this process finds them. So a Beam runner
must only be able to call a function for each item of a list, and progress, errors and results are
the same with all of them.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence

from imagenet_builders.errors import OptionError, WorkerError
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.run.beam.cluster import check_facts, one_line, worker_facts_job
from imagenet_builders.run.beam.items import STOP, Item, get_outcome, label, outcome_name, put_job
from imagenet_builders.run.beam.options import BeamSettings
from imagenet_builders.run.beam.pipeline import Pipeline
from imagenet_builders.run.beam.seal import new_key
from imagenet_builders.run.jobs import Function, Job, Prefetch, Report, Result, Workers, ignore
from imagenet_builders.run.local import run_in_process
from imagenet_builders.words import counted, logger

_LOG = logger(__name__)

# Seconds between two looks for new results.
_LOOK_EVERY = 0.5

# Seconds to wait for results after the pipeline has ended: a network file system may show an older
# listing of a directory, by default for up to a minute.
_SHOWN_AFTER = 90.0

# Seconds that a runner has for its first work item; Dataflow's machines start in some minutes.
_TRIAL_SECONDS = 600.0

# Seconds that the runner has to tidy up when all results are there.
_PATIENCE = 10.0


class BeamWorkers(Workers):
    """Runs jobs as the work items of Beam pipelines.

    Each list of jobs has a directory of its own in `job_dir`, which is removed when the list is
    done; `job_dir` is removed when the `with` block ends.

    Args:
        settings: The runner and its options.
        job_dir: Directory on a file system that this machine and all workers mount under the same
            path. Nothing else may be in it.

    Attributes:
        done_by: Number of jobs that each process did, by (function, host, pid).
    """

    def __init__(self, settings: BeamSettings, job_dir: PrivateDir):
        self._settings = settings
        self._job_dir = job_dir
        self.done_by: Counter[tuple[str, str, int]] = Counter()

    def run_trial_item(self, seen: Sequence[str]) -> None:
        """Runs one work item that asks its worker for facts, before there is work to be lost.

        Args:
            seen: Files and directories that workers must see.

        Raises:
            OptionError: The runner does not do it, or the worker lacks what it needs.
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
        """Removes the directory of the jobs, and logs how much each machine did."""
        self._job_dir.remove()
        for line in self._summary():
            _LOG.info(line)

    def _summary(self) -> Iterator[str]:
        """Items done per function and host; shows when part of the cluster sits idle."""
        for function in dict.fromkeys(function for function, _, _ in self.done_by):
            done = {key[1:]: n for key, n in self.done_by.items() if key[0] == function}
            hosts = sorted({host for host, _ in done})
            named = ", ".join(hosts[:4]) + (", ..." if len(hosts) > 4 else "")
            yield (
                f"{self._settings.name}: {function}: {counted(sum(done.values()), 'work item')} "
                f"done by {counted(len(done), 'process', 'processes')} on "
                f"{counted(len(hosts), 'machine')} ({named})"
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
        """Runs jobs on the runner; an error if none is done `within` so many seconds."""
        name = label(function)
        directory = self._job_dir.make_inner(f"{name}-{secrets.token_hex(8)}")
        key = new_key()
        try:
            items = [
                put_job(directory, number, key, function, prefetch, job)
                for number, job in enumerate(jobs)
            ]
            with contextlib.closing(self._finished(directory, items, within)) as finished:
                for number in finished:
                    outcome = get_outcome(directory, items[number], function)
                    self.done_by[name, outcome.host, outcome.pid] += 1
                    if outcome.error is not None:
                        raise outcome.error
                    report(outcome.images, outcome.size)
                    yield number, outcome.result
        finally:
            directory.remove()

    def _finished(
        self, directory: PrivateDir, items: list[Item], within: float | None
    ) -> Generator[int, None, None]:
        """Runs the pipeline, and yields the numbers of jobs whose outcomes have appeared."""
        missing = set(range(len(items)))
        started = time.monotonic()
        pipeline = Pipeline(self._settings, directory, items)
        try:
            deadline = None
            while missing:
                # Asked first: what is found after the pipeline has ended is all there is.
                running = pipeline.is_running()
                found = _found(directory, missing)
                for number in found:
                    missing.remove(number)
                    yield number
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
                            f"{len(missing):,} of {len(items):,} results are not in "
                            f"{directory.path}: the directory of the datasets must be on a file "
                            "system that this machine and all workers mount under the same path"
                        )
                    time.sleep(_LOOK_EVERY)
            pipeline.wait(_PATIENCE)
        finally:
            # Items that have not begun end at once when they find this file.
            with contextlib.suppress(OSError):
                directory.write(STOP, b"")
            pipeline.end()


def _found(directory: PrivateDir, missing: set[int]) -> list[int]:
    """The missing jobs whose outcomes are there, in order."""
    names = set(directory.names())
    return sorted(number for number in missing if outcome_name(number) in names)
