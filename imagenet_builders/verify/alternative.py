"""Compares shards of an alternative file format with those that they were converted from.

TensorFlow Datasets' `convert_format` puts them beside the dataset's own, under names that differ
in the format only, and lists the format in `dataset_info.json`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from imagenet_builders.errors import OptionError, WorkerError
from imagenet_builders.run.jobs import Report
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import Progress
from imagenet_builders.verify.metadata import Description
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.verify.shard import held_open
from imagenet_builders.write.outputs.output import Output, RecordFileError

CONVERT = "move it elsewhere, then run `tfds convert_format` again"
CONVERT_MISSING = "run `tfds convert_format` again"


@dataclasses.dataclass(frozen=True)
class CompareJob:
    """Two shards to compare.

    Attributes:
        path: The shard of the alternative format.
        output: The output of this format.
        original: The dataset's own shard.
        original_output: The output of the dataset's own format.
    """

    path: str
    output: Output
    original: str
    original_output: Output


def check_alternatives(
    directory: Path, description: Description, workers: int, small: int, problems: Problems
) -> None:
    """Compares all shards of alternative formats with the dataset's own.

    Args:
        directory: The directory of the dataset's version.
        description: Its metadata.
        workers: Number of processes that read shards.
        small: Bytes that are not worth starting a process for.
        problems: Receives what is wrong, and notes.
    """
    jobs = _jobs(directory, description, problems)
    if not jobs:
        return
    size = sum(os.path.getsize(job.path) for job in jobs)
    images = sum(sum(split.lengths) for split in description.splits)
    name = description.full_name
    with (
        Progress(f"comparing {name}", images=images, size=size) as progress,
        LocalWorkers(min(workers, len(jobs))) as pool,
    ):
        try:
            for _, problem in pool.run(
                compare, jobs, report=progress.update, in_process=size < small
            ):
                if problem is not None:
                    problems.add(problem)
        except WorkerError as error:
            what = f"not all shards were read: {error}"
            problems.add(Problem(name, what, advice="verify it again"))


def _jobs(directory: Path, description: Description, problems: Problems) -> list[CompareJob]:
    """The shards to compare; those that are missing, and formats that cannot be read, are told."""
    made = []
    for alternative in description.alternatives:
        try:
            if alternative.output is None:
                raise OptionError("this package cannot read them")
            alternative.output.import_library()
        except OptionError as error:
            problems.note(f"its shards as {alternative.name} were not verified: {error}")
            continue
        for split in description.splits:
            for shard, original in zip(alternative.shards[split.name], split.shards, strict=True):
                path = directory / shard
                try:
                    is_file = stat.S_ISREG(os.stat(path).st_mode)
                except OSError as error:
                    what = f"this shard is not there ({error.strerror})"
                    problems.add(Problem(str(path), what, advice=CONVERT_MISSING))
                    continue
                if not is_file:
                    problems.add(Problem(str(path), "this shard is not a file", advice=CONVERT))
                elif os.path.isfile(directory / original):  # Else it is a problem of its own.
                    made.append(
                        CompareJob(
                            str(path),
                            alternative.output,
                            str(directory / original),
                            description.output,
                        )
                    )
        problems.note(
            f"its shards as {alternative.name} were compared with those as "
            f"{description.output.name}, record by record"
        )
    return made


def compare(job: CompareJob, report: Report) -> Problem | None:
    """Compares two shards, record by record; a job for the workers.

    Args:
        job: The shards.
        report: Told of progress, in records and bytes.

    Returns:
        The first difference, or None. What is wrong with the original is found elsewhere.
    """
    original = os.path.basename(job.original)
    records = _records(job.output, job.path)
    count = 0
    for expected in _records(job.original_output, job.original):
        if isinstance(expected, str):
            return None
        found = next(records, None)
        if isinstance(found, str):
            return Problem(job.path, found, record=count, advice=CONVERT)
        if found != expected:
            what = f"it does not have the record that {original} has in this place"
            return Problem(job.path, what, record=count, advice=CONVERT)
        count += 1
    with contextlib.suppress(OSError):  # It is gone by now.
        report(count, os.stat(job.path).st_size)
    if next(records, None) is not None:
        what = f"it has more records than {original}"
        return Problem(job.path, what, record=count, advice=CONVERT)
    return None


def _records(output: Output, path: str) -> Iterator[bytes | str]:
    """The records of a shard, and at the end what is wrong with the rest of it, if anything is."""
    try:
        with held_open(path) as place:
            for record in output.read(place, None):
                if record.damage is not None:
                    yield record.damage.what
                    return
                yield record.data
    except RecordFileError as error:
        yield error.what
    except OSError as error:
        yield f"the file cannot be read: {error.strerror or error}"
