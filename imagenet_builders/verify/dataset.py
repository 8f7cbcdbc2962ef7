"""Verification of a dataset: what is expected of its files, the work given out, and the verdict."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from imagenet_builders import datasets
from imagenet_builders.datasets.description import Config, Dataset
from imagenet_builders.errors import WorkerError
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import Progress
from imagenet_builders.verify import provenance
from imagenet_builders.verify.metadata import Description, MetadataError, SplitInfo, describe
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.verify.provenance import Recorded
from imagenet_builders.verify.shard import VerifyJob, VerifyResult, verify_shard

# Someone else's files do no harm to a dataset; these look as if they belonged to it.
_DEBRIS = re.compile(
    r".*record.*-of-.*|.*\.(partial|tmp|incomplete|lock|done|marker)|\.?incomplete.*"
    r"|.*\.incomplete\..*|tmp.*"
)

# A split with at least this part of the official images is taken to be meant as all of it.
_CLAIMS_ALL = 0.99


# Less than this is read sooner than a process is started.
_SMALL_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class SplitVerdict:
    """What was read of a split.

    Attributes:
        examples: Records that were read.
        expected_examples: Records that `dataset_info.json` says.
        official_examples: Images that the official split has, or None where it is not known.
        record_bytes: Bytes of the records that were read.
        shards: Number of shards.
        classes: Number of labels that an example has.
    """

    examples: int
    expected_examples: int
    official_examples: int | None
    record_bytes: int
    shards: int
    classes: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What verification found.

    Attributes:
        dataset: Its name with configuration and version; the directory's where these are unknown.
        directory: Where it is.
        file_format: Name of the output that wrote it, or None where that is unknown.
        splits: What was read of each split.
        problems: The first of the problems.
        problem_count: The number of all; 0 for a dataset that is right.
        notes: What is worth knowing and no problem, as sentences.
        sealed: Whether its provenance has checksums of every file.
        decoded: Whether every pixel was decoded.
        seconds: How long it took.
    """

    dataset: str
    directory: str
    file_format: str | None
    splits: dict[str, SplitVerdict]
    problems: tuple[Problem, ...]
    problem_count: int
    notes: tuple[str, ...]
    sealed: bool
    decoded: bool
    seconds: float


def verify_dataset(directory: Path, *, workers: int, decode: bool = False) -> Verdict:
    """Reads a dataset and holds everything in it against what it should be.

    Args:
        directory: The directory of its version.
        workers: Number of processes that read shards.
        decode: Decode every pixel.

    Returns:
        The verdict.
    """
    started = time.monotonic()
    problems, notes = Problems(), list[str]()
    identity = _identity(directory)
    splits: dict[str, SplitVerdict] = {}
    document = provenance.check_files(directory, problems)
    recorded = Recorded()
    name, file_format = str(directory), None
    try:
        description = describe(directory)
    except MetadataError as error:
        problems.add(Problem(error.path, error.what))
    else:
        file_format = description.output.name
        description.output.import_library()
        name = "/".join(filter(None, (description.name, description.config)))
        name += f":{description.version}"
        recorded = provenance.recorded(directory, document, description, problems)
        dataset = datasets.find(description.name)
        config = dataset.config(description.config) if dataset is not None else None
        _check_path(directory, description, problems)
        if dataset is not None and config is not None:
            _check_features(directory, description, dataset, config, problems)
        _check_listing(directory, description, recorded, problems, notes)
        jobs = _jobs(directory, description, dataset if config else None, recorded, decode)
        results = _run(name, jobs, workers, problems)
        for split in description.splits:
            mine = [results.get((split.name, number)) for number in range(len(split.shards))]
            splits[split.name] = _conclude(
                directory, split, mine, config, recorded, problems, notes
            )
        if config is None:
            notes.append(
                f"{name} is not a dataset of this package, so keys, order and counts are not known"
            )
    if _identity(directory) != identity:
        # What was read of the one and of the other says nothing of either.
        problems = Problems()
        what = "this dataset was replaced or removed while it was read"
        problems.add(Problem(str(directory), what, advice="verify it again"))
    limit = document.get("max_examples_per_split") if isinstance(document, dict) else None
    if isinstance(limit, int):
        notes.append(f"it was built to try things out, with at most {limit:,} examples a split")
    if document is None:
        notes.append(
            f"there is no {provenance.FILE_NAME}, so there is nothing to hold the metadata against"
        )
    return Verdict(
        name,
        str(directory),
        file_format,
        splits,
        tuple(problems.kept),
        problems.count,
        tuple(notes),
        recorded.seals,
        decode,
        time.monotonic() - started,
    )


def _identity(directory: Path) -> tuple[int, int] | None:
    """Which directory has this name at the moment."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_path(directory: Path, description: Description, problems: Problems) -> None:
    info = str(directory / "dataset_info.json")
    if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", directory.name):
        parts = [directory.name, description.config, description.name]
        expected = [part for part in parts if part is not None]
        found = [directory.name, *(parent.name for parent in directory.parents)][: len(expected)]
        expected[0] = description.version
        if found != expected:
            problems.add(
                Problem(
                    info,
                    "name, configuration and version are not those of the directory",
                    expected="/".join(reversed(found)),
                    found=ascii("/".join(reversed(expected)))[1:-1][:200],
                )
            )


def _check_features(
    directory: Path, description: Description, dataset: Dataset, config: Config, problems: Problems
) -> None:
    classes = config.classes()
    fields = {field.path for field in description.fields}
    for name in ("image", "label", dataset.key):
        if name not in fields:
            path = str(directory / "features.json")
            problems.add(Problem(path, f"the feature {name} of this dataset is missing"))
    for field in description.fields:
        if field.kind != "label":
            continue
        file = f"{field.path.replace('/', '-')}.labels.txt"
        names = description.labels.get(field.path)
        if names is None:
            problems.add(Problem(str(directory / file), "this file is missing"))
            continue
        expected = classes if dataset.fixed_classes else tuple(sorted(set(names)))
        if names != expected:
            what = "the classes are not those of this dataset in their order"
            pairs = zip(classes, names, strict=False)
            at = next(((a, b) for a, b in pairs if a != b), None)
            problems.add(
                Problem(
                    str(directory / file),
                    what,
                    expected=at[0] if at else f"{len(classes):,} classes",
                    found=ascii(at[1])[1:-1][:60] if at else f"{len(names):,}",
                )
            )


def _check_listing(
    directory: Path,
    description: Description,
    recorded: Recorded,
    problems: Problems,
    notes: list[str],
) -> None:
    shards = {shard for split in description.splits for shard in split.shards}
    belong = shards | recorded.files | set(description.label_files)
    belong |= {"dataset_info.json", "features.json", "LICENSE", provenance.FILE_NAME}
    there = sorted(os.listdir(directory))
    other = [name for name in there if name not in belong]
    debris = [name for name in other if _DEBRIS.fullmatch(name)]
    for name in debris:
        problems.add(
            Problem(
                str(directory / name),
                "this file does not belong to the dataset",
                advice="remove it if no build is running",
            )
        )
    if len(other) > len(debris):
        names = ", ".join(ascii(name)[1:-1] for name in other if name not in debris)[:200]
        notes.append(f"{directory} has files that are not the dataset's and were not read: {names}")
    beside = list[str]()
    with contextlib.suppress(OSError):  # A directory above may be one to go through only.
        beside = sorted(os.listdir(directory.parent))
    unfinished = [name for name in beside if ".incomplete" in f".{name}"]
    if unfinished:
        names = ", ".join(ascii(name)[1:-1] for name in unfinished)[:200]
        notes.append(f"{directory.parent} has what a build left that ended or still runs: {names}")


def _jobs(
    directory: Path,
    description: Description,
    dataset: Dataset | None,
    recorded: Recorded,
    decode: bool,
) -> list[VerifyJob]:
    classes = description.labels.get("label", ())
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
        )
        for split in description.splits
        for number, shard in enumerate(split.shards)
    ]


def _run(
    name: str, jobs: list[VerifyJob], workers: int, problems: Problems
) -> dict[tuple[str, int], VerifyResult]:
    present = []
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


def _conclude(
    directory: Path,
    split: SplitInfo,
    results: list[VerifyResult | None],
    config: Config | None,
    recorded: Recorded,
    problems: Problems,
    notes: list[str],
) -> SplitVerdict:
    info = str(directory / "dataset_info.json")
    labels: Counter[int] = Counter()
    examples = size = 0
    last: bytes | None = None
    for shard, result in zip(split.shards, results, strict=True):
        if result is None:
            continue
        problems.extend(result.problems, result.problem_count)
        labels.update(result.labels)
        examples += result.examples
        size += result.record_bytes
        if result.first is not None:
            if last is not None and result.first <= last:
                what = (
                    "its first record does not come after the last one of the shard before; records"
                    " are in the order of the MD5 of split and key"
                )
                problems.add(Problem(str(directory / shard), what, record=0))
            last = result.last
    if size != split.record_bytes and all(result is not None for result in results):
        what = f"numBytes of split {split.name} is not the size of its records"
        problems.add(Problem(info, what, expected=f"{size}", found=f"{split.record_bytes}"))
    official = config.split(split.name) if config is not None else None
    total = official.images if official is not None else None
    if config is not None and official is not None and total is not None:
        per_label = official.counts(len(config.classes()))
        skipped = recorded.skipped.get(split.name, 0)
        for finding in _counted(split.name, examples, labels, total, per_label, skipped):
            problems.add(
                Problem(str(directory), finding, advice="build it from the archives again")
            )
        if examples != total:
            part = "a part of the official dataset"
            left_out = f" ({skipped:,} were skipped when it was built)" if skipped else ""
            notes.append(f"{split.name} is {part}: {examples:,} of {total:,} images{left_out}")
    elif config is not None:
        notes.append(f"{split.name} has {examples:,} images; its official number is not known")
    return SplitVerdict(
        examples,
        sum(split.lengths),
        total,
        size,
        len(split.shards),
        len(labels),
    )


def _counted(
    split: str,
    examples: int,
    labels: Counter[int],
    total: int,
    per_label: tuple[int, ...] | None,
    skipped: int,
) -> Iterator[str]:
    """What is wrong with the numbers of images, for a split that is more than a part."""
    if examples > total:
        yield f"{split} has {examples:,} images, more than the official {total:,}"
    claims_all = examples >= _CLAIMS_ALL * total
    if claims_all and examples + skipped < total:
        yield (
            f"{split} has {examples:,} of the official {total:,} images, almost but not quite all"
        )
    for label, count in enumerate(per_label or ()):
        found = labels[label]
        if found > count or (claims_all and not skipped and found < count):
            yield f"{split} has {found:,} images of label {label} instead of the official {count:,}"
