"""Verifies a dataset: finds out what its files should be, has workers read them, and concludes."""

from __future__ import annotations

import dataclasses
import os
import stat
import time
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.datasets.description import Dataset
from imagenet_builders.errors import WorkerError
from imagenet_builders.publish import readable
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import Progress, phase
from imagenet_builders.verify import provenance
from imagenet_builders.verify.alternative import check_alternatives
from imagenet_builders.verify.conclusion import conclude
from imagenet_builders.verify.index_file import check_index_listing, index_of
from imagenet_builders.verify.layout import (
    check_default_config,
    check_features,
    check_listing,
    check_path,
)
from imagenet_builders.verify.metadata import Description, MetadataError, converted_from, describe
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.verify.provenance import Recorded
from imagenet_builders.verify.shard import VerifyJob, VerifyResult, verify_shard
from imagenet_builders.verify.verdict import SplitVerdict, Verdict
from imagenet_builders.words import counted

# Reading less than this takes less time than starting a process.
_SMALL_BYTES = 16 << 20


def verify_dataset(directory: Path, *, workers: int, decode: bool = False) -> Verdict:
    """Reads a dataset and compares everything in it with what it should be.

    Args:
        directory: The directory of its version.
        workers: Number of processes that read shards.
        decode: Decode every pixel.

    Returns:
        The verdict.

    Raises:
        OptionError: The library that reads its shards is not installed.
    """
    started = time.monotonic()
    problems = Problems()
    identity = readable.identity(directory)
    original = converted_from(directory)
    document = provenance.check_files(directory, problems, original)
    verdict = Verdict(dataset=str(directory), directory=str(directory), decoded=decode)
    try:
        description = describe(directory)
    except MetadataError as error:
        problems.add(Problem(error.path, error.what))
    else:
        description.output.import_library()
        recorded = provenance.recorded(directory, document, description, problems)
        if original is not None:
            recorded = dataclasses.replace(recorded, crcs={}, sizes={}, index_crcs={}, seals=False)
            problems.note(
                f"it was converted to another file format from {original}, so the checksums of its "
                "shards are not known"
            )
        verdict = dataclasses.replace(
            verdict,
            dataset=description.full_name,
            file_format=description.output.name,
            splits=_verify_splits(directory, description, recorded, workers, decode, problems),
            sealed=recorded.seals,
        )
    if readable.identity(directory) != identity:
        # Some of it was read of the one dataset and some of the other, so it applies to neither.
        problems = Problems(problems.notes)
        what = "this dataset was replaced or removed while it was read"
        problems.add(Problem(str(directory), what, advice="verify it again"))
    limit = document.get("max_examples_per_split") if isinstance(document, dict) else None
    if isinstance(limit, int):
        problems.note(
            f"it was built to try things out, with at most {counted(limit, 'example')} a split"
        )
    if document is None and not os.path.lexists(directory / provenance.FILE_NAME):
        problems.note(
            f"there is no {provenance.FILE_NAME}, so there is nothing to hold the metadata against"
        )
    return dataclasses.replace(
        verdict,
        problems=tuple(problems.kept),
        problem_count=problems.count,
        notes=tuple(problems.notes),
        seconds=time.monotonic() - started,
    )


def _verify_splits(
    directory: Path,
    description: Description,
    recorded: Recorded,
    workers: int,
    decode: bool,
    problems: Problems,
) -> dict[str, SplitVerdict]:
    """Verifies all files but the metadata and the provenance, which were read already."""
    dataset = datasets.find(description.name)
    config = dataset.config(description.config) if dataset is not None else None
    check_path(directory, description, problems)
    check_default_config(directory, description, problems)
    if dataset is not None and config is not None:
        check_features(directory, description, dataset, config, problems)
    check_listing(directory, description, recorded, problems)
    check_index_listing(directory, description, recorded, problems)
    jobs = _jobs(directory, description, dataset if config else None, recorded, decode)
    results = _run(description.full_name, jobs, workers, problems)
    check_alternatives(directory, description, workers, _SMALL_BYTES, problems)
    with phase(f"comparing the names and labels of {description.full_name}"):
        splits = {
            split.name: conclude(
                directory,
                split,
                [results.get((split.name, number)) for number in range(len(split.shards))],
                config,
                recorded,
                problems,
            )
            for split in description.splits
        }
    if config is None:
        problems.note(
            f"{description.full_name} is not a dataset of this package, so keys, order and counts "
            "are not known"
        )
    return splits


def _jobs(
    directory: Path,
    description: Description,
    dataset: Dataset | None,
    recorded: Recorded,
    decode: bool,
) -> list[VerifyJob]:
    classes = description.labels.get("label", ())
    if not classes and dataset is not None and dataset.fixed_classes:
        # Its file is missing, which is one problem, and not one of each example.
        config = dataset.config(description.config)
        classes = config.classes() if config is not None else ()
    return [
        VerifyJob(
            dataset=dataset,
            split=split.name,
            number=number,
            path=str(directory / shard),
            output=description.output,
            fields=description.fields,
            classes=classes,
            examples=split.lengths[number],
            decode=decode,
            file_crc=recorded.crcs[split.name][number] if split.name in recorded.crcs else None,
            file_bytes=recorded.sizes[split.name][number] if split.name in recorded.sizes else None,
            index=index_of(directory, description, recorded, split, number),
        )
        for split in description.splits
        for number, shard in enumerate(split.shards)
    ]


def _run(
    name: str, jobs: list[VerifyJob], workers: int, problems: Problems
) -> dict[tuple[str, int], VerifyResult]:
    present = []
    links = [job.path for job in jobs if os.path.islink(job.path)]
    if links:
        problems.note(
            f"{counted(len(links), 'shard is a link', 'shards are links')}, such as {links[0]}: "
            "who may write where it leads can exchange what is read"
        )
    size = 0
    for job in jobs:
        try:
            found = os.stat(job.path)
        except OSError as error:
            problems.add(Problem(job.path, f"this shard is not there ({error.strerror})"))
            continue
        if stat.S_ISREG(found.st_mode):
            size += found.st_size
            present.append(job)
        else:
            problems.add(Problem(job.path, "this shard is not a file"))
    results: dict[tuple[str, int], VerifyResult] = {}
    images = sum(job.examples for job in present)
    count = min(workers, max(1, len(present)))
    with (
        Progress(f"verifying {name}", images=images, size=size) as progress,
        LocalWorkers(count) as pool,
    ):
        try:
            for _, result in pool.run(
                verify_shard, present, report=progress.update, in_process=size < _SMALL_BYTES
            ):
                results[result.split, result.number] = result
        except WorkerError as error:
            problems.add(
                Problem(name, f"not all shards were read: {error}", advice="verify it again")
            )
    return results
