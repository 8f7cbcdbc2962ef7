"""What indexes a source for a build: workers, and what they unpack to scratch space."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from imagenet_builders.files.own_dir import enter_own
from imagenet_builders.files.private_dir import PrivateDir
from imagenet_builders.plan.context import BuildContext
from imagenet_builders.run.cpus import worker_count
from imagenet_builders.run.jobs import Report
from imagenet_builders.run.progress import Progress
from imagenet_builders.scratch import gunzip, space
from imagenet_builders.scratch.locks import lock_directory
from imagenet_builders.sources.rows import SourceFile
from imagenet_builders.sources.unpacking import Packed, unpacked_bytes
from imagenet_builders.words import logger, size_text

_LOG = logger(__name__)
_J = TypeVar("_J")
_R = TypeVar("_R")

# To start a process takes as long as to unpack this much.
_SMALL_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Job:
    """Something to be unpacked.

    Attributes:
        packed: What.
        directory: Path of the directory that it goes to.
        processors: How many may be used.
    """

    packed: Packed
    directory: str
    processors: int = 1


def work(job: Job, report: Report) -> None:
    """Unpacks; a job for the workers, which report the bytes that they have read.

    Raises:
        ArchiveError: It is damaged.
        OptionError: There is no space left.
        NotOursError: Somebody has exchanged the scratch directory.
        OSError: A file cannot be read or written.
    """
    with enter_own(Path(job.directory)) as directory:
        report_bytes = functools.partial(report, 0)
        gunzip.unpack_to(job.packed, directory, report_bytes, job.processors)


class ScratchMeans:
    """The means of a build to index a source; see `sources.unpacking.Means`.

    A shared lock keeps other builds that use the same unpacked files from removing them, until the
    build has ended. When the dataset is published, they are removed.

    Args:
        name: What is indexed, for messages.
        context: Who does the work, and where.
    """

    def __init__(self, name: str, context: BuildContext):
        self._name = name
        self._context = context

    def run(
        self,
        function: Callable[[_J, Any], _R],
        jobs: Iterable[_J],
        *,
        in_process: bool = False,
    ) -> Iterator[tuple[int, _R]]:
        """Runs jobs; see `run.jobs.Workers.run`."""
        return self._context.workers.run(function, jobs, in_process=in_process)

    def unpack(self, parts: Sequence[Packed]) -> list[SourceFile]:
        """Unpacks what was not unpacked before; see `Means.unpack`."""
        if not parts:
            return []
        needed = sum(unpacked_bytes(part.size) for part in parts)
        self._context.require_room_to_unpack(_words(parts), needed)
        directory = self._locked(parts)
        left = [part for part in parts if not gunzip.is_unpacked(part, directory)]
        size = sum(part.size for part in left)
        if left:
            self._announce(left, directory)
        path = os.path.abspath(directory.path)
        each = worker_count(self._context.options) // max(1, len(left))
        jobs = [Job(part, path, processors=max(1, each)) for part in left]
        with Progress(f"unpacking {self._name}", images=0, size=size) as progress:
            for _ in self._context.workers.run(
                work, jobs, report=progress.update, in_process=size < _SMALL_BYTES or len(jobs) == 1
            ):
                pass
        return [self._file_of(part, directory) for part in parts]

    def _locked(self, parts: Sequence[Packed]) -> PrivateDir:
        """The directory of some parts, which this build keeps until it has ended."""
        identity = json.dumps(sorted({part.file.path for part in parts}))
        digest = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:16]
        name = f"unpacked-{digest}"
        context = self._context
        if name not in context.locked:
            with space.enter_scratch(context.scratch, "to unpack archives") as root:
                locked = lock_directory(root, (name,), shared=True)
            context.at_end.callback(locked.close)
            context.when_built.callback(locked.remove_unless_shared)
            context.locked[name] = locked.directory
        return context.locked[name]

    def _announce(self, parts: Sequence[Packed], directory: PrivateDir) -> None:
        """Says how much space unpacking needs; raises OptionError if there is too little."""
        needed = sum(unpacked_bytes(part.size) for part in parts)
        there = sum(gunzip.kept_bytes(part, directory) for part in parts)
        what = _words(parts)
        free = space.check_room(directory, max(0, needed - there), f"to unpack {what}")
        _LOG.info(
            f"{self._name}: unpacking {what} to {directory.path} first, which needs about "
            f"{size_text(needed)} there ({size_text(free)} are free) until the dataset is built"
        )

    def _file_of(self, part: Packed, directory: PrivateDir) -> SourceFile:
        # A class archive may be inside of what was itself unpacked.
        archive = self._context.unpacked.get(part.file.path, part.file.path)
        name = f"{archive} ({part.inner}, unpacked)" if part.inner else f"{archive} (unpacked)"
        return self._context.add_unpacked(directory, part.name, archive, name)


def _words(parts: Sequence[Packed]) -> str:
    archives = sorted({part.file.path for part in parts})
    return archives[0] if len(archives) == 1 else f"{len(archives):,} archives"
