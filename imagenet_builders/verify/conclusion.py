"""Concludes on a split: order and sizes of its shards, its labels, and the official numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagenet_builders.datasets.description import Config
from imagenet_builders.verify.metadata import SplitInfo
from imagenet_builders.verify.problems import Problem, Problems
from imagenet_builders.verify.provenance import FILE_NAME, Part, Recorded
from imagenet_builders.verify.shard import VerifyResult
from imagenet_builders.verify.verdict import SplitVerdict
from imagenet_builders.words import counted

# A split with at least this part of the official images is taken to be meant as all of it.
_CLAIMS_ALL = 0.99


def conclude(
    directory: Path,
    split: SplitInfo,
    results: Sequence[VerifyResult | None],
    config: Config | None,
    recorded: Recorded,
    problems: Problems,
) -> SplitVerdict:
    """Puts together what was found in the shards of a split.

    Args:
        directory: The directory of the dataset's version.
        split: What the metadata say of the split.
        results: What was found in each shard; None where it could not be read.
        config: The configuration, or None where it is not known.
        recorded: What the provenance records.
        problems: Receives the problems of the shards and of the split, and notes.

    Returns:
        What was read of the split.
    """
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
        for finding in count_problems(split.name, examples, labels, total, per_label, skipped):
            problems.add(
                Problem(str(directory), finding, advice="build it from the archives again")
            )
        there = [label for label, number in labels.items() if label >= 0 and number]
        if examples != total and all(result is not None for result in results):
            part = "a part of the official dataset"
            left_out = f" ({skipped:,} skipped when it was built)" if skipped else ""
            of_classes = _of_classes(there, config)
            problems.note(
                f"{split.name} is {part}: {examples:,} of {total:,} images{left_out}{of_classes}"
            )
    elif config is not None:
        problems.note(
            f"{split.name} has {counted(examples, 'image')}; its official number is not known"
        )
    is_sound = all(result is not None and not result.problem_count for result in results)
    if split.name in recorded.parts and is_sound:  # Damage may give images other labels.
        for finding in _part_problems(split.name, recorded.parts[split.name], examples, labels):
            problems.add(Problem(str(directory / FILE_NAME), finding))
    return SplitVerdict(
        examples,
        sum(split.lengths),
        total,
        size,
        len(split.shards),
        sum(1 for label, number in labels.items() if label >= 0 and number),
    )


def _of_classes(there: Sequence[int], config: Config) -> str:
    """What to say of the classes that have examples, where not all have."""
    classes = config.classes()
    if not there or len(there) >= len(classes) or max(there) >= len(classes):
        return ""
    known_as = config.subset([classes[label] for label in there])
    those = f", those of {known_as}" if known_as else ""
    return f", {len(there):,} of {len(classes):,} classes{those}"


def _part_problems(split: str, part: Part, examples: int, labels: Counter[int]) -> Iterator[str]:
    """Compares what a provenance says of a part with the examples, which may be fewer."""
    there = sum(1 for label, number in labels.items() if label >= 0 and number)
    if part.images < examples:
        yield f"it says {counted(part.images, 'image')} of split {split}, which has {examples:,}"
    few = part.classes is not None and part.classes < there
    if part.classes is not None and (few or (part.images == examples and part.classes != there)):
        yield (
            f"it says {counted(part.classes, 'class', 'classes')} of split {split}, which has "
            f"{there:,}"
        )


def count_problems(
    split: str,
    examples: int,
    labels: Counter[int],
    total: int,
    per_label: tuple[int, ...] | None,
    skipped: int,
) -> Iterator[str]:
    """Compares the numbers of images with the official ones.

    Args:
        split: The split.
        examples: Number of its examples.
        labels: Label to the number of examples that have it.
        total: Official number of images.
        per_label: Official number of images of each label, or None where it is not known.
        skipped: Number of images that were left out when it was built.

    Yields:
        What is wrong.
    """
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
            yield (
                f"{split} has {counted(found, 'image')} of label {label} instead of the official "
                f"{count:,}"
            )
