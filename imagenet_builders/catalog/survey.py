"""Statistics of datasets from the headers of their images, by all CPUs.

A split of millions of images is sampled by whole shards, evenly spaced. The records of a shard are
in random order in every dataset of this package, so such a sample is a fair one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from imagenet_builders.catalog.headers import Headers, HeadersJob, read_headers
from imagenet_builders.catalog.histograms import (
    density,
    histogram,
    linear_edges,
    logarithmic_edges,
    number_edges,
    round_edges,
)
from imagenet_builders.catalog.metadata import Described, DescribedSplit
from imagenet_builders.catalog.model import SplitStatistics
from imagenet_builders.errors import OptionError
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.run.progress import Progress
from imagenet_builders.words import counted, printable
from imagenet_builders.write import outputs
from imagenet_builders.write.outputs.output import Output

if TYPE_CHECKING:
    import numpy as np

MOST_EXAMPLES = 2_000_000
"""A split of more examples is sampled."""
SAMPLE = 500_000
"""About so many examples are then looked at."""

_Part = tuple[DescribedSplit, Sequence[Headers]]

# Reading the headers of fewer takes less time than starting processes.
_FEW = 20_000

# Up to so many boxes of an image are told apart.
_MOST_BOXES = 10
_AREA_INTERVALS = 20
_KINDS = 12


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """What a survey of a dataset found.

    Attributes:
        statistics: A value for each split; empty if nothing could be looked at.
        why_not: Why there are no statistics, or not of everything, in a sentence; or None.
        counts: Split to the number of images of each label among those that were looked at.
    """

    statistics: tuple[SplitStatistics, ...] = ()
    why_not: str | None = None
    counts: Mapping[str, Mapping[int, int]] = dataclasses.field(default_factory=dict)


def readable_by(described: Described) -> Output | str:
    """What reads the records of a dataset in any order; or why nothing does, in a sentence.

    Args:
        described: The dataset.
    """
    formats = (described.file_format, *described.other_formats)
    known = [each for each in map(outputs.get, formats) if each is not None and each.open]
    if not known:
        return (
            f"its shards are {', '.join(map(printable, formats))}, which this package does not read"
        )
    try:
        known[0].import_library()
    except OptionError as error:
        return str(error)
    return known[0]


def survey(datasets: Sequence[Described], workers: int) -> list[Surveyed]:
    """Looks at the headers of the images of datasets.

    Args:
        datasets: The datasets.
        workers: Number of processes.

    Returns:
        What was found of each.

    Raises:
        WorkerError: A worker was killed.
    """
    reasons: dict[int, str] = {}
    jobs: list[HeadersJob] = []
    owners: list[tuple[int, DescribedSplit]] = []
    for number, described in enumerate(datasets):
        output = readable_by(described)
        if described.images is None:
            reasons[number] = "it has no images"
        elif isinstance(output, str):
            reasons[number] = output
        else:
            for split in described.splits:
                shards = split.shards(described.name, output.suffix)
                for index in sampled(split):
                    path = str(described.directory / shards[index])
                    jobs.append(
                        HeadersJob(
                            path, output, split.lengths[index], described.images, len(owners)
                        )
                    )
                owners.append((number, split))
    gathered: list[list[Headers]] = [[] for _ in owners]
    examples = sum(job.examples for job in jobs)
    name = f"looking at the images of {counted(len(datasets), 'dataset')}"
    with Progress(name, images=examples, size=0) as progress, LocalWorkers(workers) as pool:
        is_little = examples < _FEW
        for _, headers in pool.run(
            read_headers, jobs, report=progress.update, in_process=is_little
        ):
            gathered[headers.number].append(headers)
    parts: dict[int, list[_Part]] = {}
    for (number, split), of_split in zip(owners, gathered, strict=True):
        parts.setdefault(number, []).append((split, of_split))
    return [
        Surveyed(why_not=reasons[number])
        if number in reasons
        else _surveyed(described, parts.get(number, []))
        for number, described in enumerate(datasets)
    ]


def sampled(split: DescribedSplit) -> Sequence[int]:
    """The numbers of the shards of a split to look at: all, or evenly spaced ones.

    Args:
        split: The split.
    """
    count = len(split.lengths)
    if split.examples <= MOST_EXAMPLES:
        return range(count)
    wanted = max(1, math.ceil(count * SAMPLE / split.examples))
    return [number * count // wanted for number in range(wanted)]


def _surveyed(described: Described, parts: Sequence[_Part]) -> Surveyed:
    """Puts together what was found of a dataset; the same intervals for all of its splits."""
    assert described.images is not None
    everything = [each for _, headers in parts for each in headers]
    edges = _Edges.of(everything) if any(each.records for each in everything) else None
    statistics, counts = [], {}
    for split, headers in parts:
        if edges is None or not any(each.records for each in headers):
            continue
        statistics.append(_of_split(described, split, headers, edges))
        if described.images.label is not None:
            counts[split.name] = _counted_labels(_joined(headers, "labels"))
    return Surveyed(tuple(statistics), _problem(everything), counts)


def _problem(headers: Sequence[Headers]) -> str | None:
    problems = [each.problem for each in headers if each.problem is not None]
    if not problems:
        return None
    more = f" (and {counted(len(problems) - 1, 'more shard')})" if len(problems) > 1 else ""
    return f"{printable(problems[0])}{more}"


@dataclasses.dataclass(frozen=True)
class _Edges:
    """The bounds of the intervals of a dataset."""

    widths: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray
    aspects: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray

    @classmethod
    def of(cls, headers: Sequence[Headers]) -> Self:
        """Those that fit what was found."""
        widths, heights = _joined(headers, "widths"), _joined(headers, "heights")
        return cls(
            round_edges(widths),
            round_edges(heights),
            logarithmic_edges(_joined(headers, "sizes")),
            logarithmic_edges(widths / heights),
            number_edges(_joined(headers, "boxes"), _MOST_BOXES),
            linear_edges(0.0, 1.0, _AREA_INTERVALS),
        )


def _of_split(
    described: Described, split: DescribedSplit, headers: Sequence[Headers], edges: _Edges
) -> SplitStatistics:
    assert described.images is not None
    looked_at = sum(each.records for each in headers)
    of_all = None
    if looked_at < split.examples:
        of_all = (
            f"{looked_at:,} of {split.examples:,} examples were looked at, those of "
            f"{len(headers):,} of {counted(len(split.lengths), 'shard')}, evenly spaced"
        )
    widths, heights = _joined(headers, "widths"), _joined(headers, "heights")
    has_boxes = described.images.boxes is not None
    return SplitStatistics(
        split=split.name,
        examples=split.examples,
        looked_at=looked_at,
        sampled=of_all,
        density=density(widths, heights, edges.widths, edges.heights),
        sizes=histogram(_joined(headers, "sizes"), edges.sizes),
        aspects=histogram(widths / heights, edges.aspects),
        kinds=_kinds(headers),
        boxes=histogram(_joined(headers, "boxes"), edges.boxes) if has_boxes else None,
        box_areas=histogram(_joined(headers, "areas"), edges.areas) if has_boxes else None,
        unreadable=sum(each.unreadable for each in headers),
    )


def _joined(parts: Sequence[Headers], name: str) -> np.ndarray:
    """The values of all parts, an array of shape (images,)."""
    import numpy as np

    return np.concatenate([np.asarray(getattr(part, name)) for part in parts])


def _kinds(parts: Sequence[Headers]) -> tuple[tuple[str, int], ...]:
    of_all: dict[str, int] = {}
    for part in parts:
        for kind, count in part.kinds.items():
            of_all[kind] = of_all.get(kind, 0) + count
    ordered = sorted(of_all.items(), key=lambda each: (-each[1], each[0]))
    rest = sum(count for _, count in ordered[_KINDS:])
    return (*ordered[:_KINDS], *([("others", rest)] if rest else []))


def _counted_labels(labels: np.ndarray) -> dict[int, int]:
    import numpy as np

    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
