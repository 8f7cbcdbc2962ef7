"""The interface of all runners: they call a function for each job, in whatever processes."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Self, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

Report = Callable[[int, int], None]
"""Called with the images and bytes done since the last call."""

Function = Callable[[Job, Report], Result | Future[Result]]
"""Does a job. Processes find it by its module and name, so it stands at the top of a module."""

Prefetch = Callable[[Job], None]
"""Prepares a job, such as by asking for what it will read; found like a `Function`."""


def ignore(images: int, size: int) -> None:
    """A `Report` that nobody listens to."""


class Workers(abc.ABC):
    """Workers that do jobs, in a `with` block; they end with it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def run(
        self,
        function: Function[Job, Result],
        jobs: Iterable[Job],
        *,
        report: Report = ignore,
        prefetch: Prefetch[Job] | None = None,
        in_process: bool = False,
    ) -> Iterator[tuple[int, Result]]:
        """Calls a function for each job.

        Args:
            function: What does a job. It may return a `Future`: then the worker goes on with its
                next job meanwhile.
            jobs: The jobs; like the results, they are data of the types that the annotations of the
                function say, because other processes get them.
            report: Called with what each job reports of its progress.
            prefetch: Called with a job some time before its turn comes. What it raises is ignored.
            in_process: Do not use other processes, because the work is smaller than starting one.

        Yields:
            Position of a job and its result, in the order in which the jobs are finished.

        Raises:
            WorkerError: A worker died.
            Exception: Whatever the function raised, in whichever worker; also that a worker cannot
                import it.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Ends the workers, whatever they are doing."""
