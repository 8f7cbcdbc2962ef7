"""The figures of a dataset's page: which plots there are, what they say, and their tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from imagenet_builders.catalog.model import ClassRow, Entry, Histogram, SplitStatistics
from imagenet_builders.catalog.pages import plots, svg
from imagenet_builders.words import counted, size_text

_ASPECTS = {
    0.25: "1:4",
    0.5: "1:2",
    2 / 3: "2:3",
    1.0: "1:1",
    1.5: "3:2",
    2.0: "2:1",
    4.0: "4:1",
}
_ENDS = 5


class Table(NamedTuple):
    """What a plot shows, in words.

    Attributes:
        head: The names of the columns.
        rows: The rows, whose first cell names them.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A plot with what belongs to it.

    Attributes:
        title: What it shows.
        caption: What is worth knowing, or empty.
        plot: The SVG; empty where the caption says all.
        table: The same in words.
        legend: Class of the style sheet and text, for each series of several.
        split: The split of a plot by class, for the script that names classes; else empty.
    """

    title: str
    caption: str
    plot: Markup
    table: Table
    legend: tuple[tuple[str, str], ...] = ()
    split: str = ""


def by_class(entry: Entry) -> tuple[Figure, ...]:
    """A figure for each split with labels: images of each class, beside the official numbers.

    Args:
        entry: The dataset.
    """
    return tuple(
        _by_class(entry.classes, each)
        for each in entry.statistics
        if len(entry.classes) > 1 and any(row.counts.get(each.split) for row in entry.classes)
    )


def _by_class(classes: Sequence[ClassRow], statistics: SplitStatistics) -> Figure:
    split = statistics.split
    rows = sorted(
        (row for row in classes if row.counts.get(split)),
        key=lambda row: (-row.counts[split], row.label),
    )
    counts = [row.counts[split] for row in rows]
    known = [] if statistics.sampled else [row for row in classes if split in row.official]
    differ = sum(row.official[split] != row.counts.get(split, 0) for row in known)
    title = f"Images of each class: {split}"
    official = [row.official.get(split) for row in rows] if differ else []
    drawn, with_official = plots.by_class(counts, official, title)
    plot = drawn if with_official or counts[0] != counts[-1] else Markup()
    caption = f"{_range(counts)} {'image' if counts[0] == 1 else 'images'} a class."
    if empty := len(classes) - len(rows):
        caption += f" {counted(empty, 'class has', 'classes have')} none."
    if known and not differ:
        caption += " Every class has its official number."
    elif known:
        caption += f" {differ:,} of {counted(len(known), 'class', 'classes')}"
        caption += f" {'has' if differ == 1 else 'have'} another number than the official one"
        wanted = _range([row.official[split] for row in known])
        caption += "." if with_official else f", which is {wanted}."
    elif statistics.sampled:
        caption += " These are the images of a sample, so the official numbers are not beside them."
    legend = (("series-0", split), ("official", "official")) if with_official else ()
    return Figure(title, caption, plot, _ends(rows, split), legend, split)


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _ends(rows: Sequence[ClassRow], split: str) -> Table:
    """The classes with the most and with the fewest images."""
    shown = rows if len(rows) <= 2 * _ENDS else [*rows[:_ENDS], *rows[-_ENDS:]]
    return Table(
        ("class", "words", "images", "official"),
        tuple(
            (
                row.wnid,
                row.words or "-",
                f"{row.counts[split]:,}",
                f"{row.official[split]:,}" if split in row.official else "-",
            )
            for row in shown
        ),
    )


def densities(entry: Entry) -> tuple[Figure, ...]:
    """A figure for each split: how many images have which width and height.

    Args:
        entry: The dataset.
    """
    return tuple(_density(each) for each in entry.statistics if any(map(any, each.density.counts)))


def spread(entry: Entry) -> tuple[Figure, ...]:
    """The figures on bytes, shapes and boxes, all splits in each.

    Args:
        entry: The dataset.
    """
    return tuple(_spread([each for each in entry.statistics if each.looked_at]))


def _spread(splits: Sequence[SplitStatistics]) -> Iterator[Figure]:
    size = plots.Axis("size of a file, logarithmic", _size)
    aspect = plots.Axis("width : height, logarithmic", _ratio, ticks=tuple(_ASPECTS))
    number = plots.Axis("boxes in an image", lambda value: f"{value:,.0f}", is_whole=True)
    area = plots.Axis("area of a box in its image", lambda value: plots.share(value, 1))
    wanted = (
        ("Bytes of an image", size, [(each.split, each.sizes) for each in splits]),
        ("Width to height", aspect, [(each.split, each.aspects) for each in splits]),
        ("Boxes of an image", number, _with(splits, "boxes")),
        ("Area of a box", area, _with(splits, "box_areas")),
    )
    for title, axis, series in wanted:
        filled = [(name, each) for name, each in series if sum(each.counts)]
        if filled:
            yield _histogram(title, axis, filled, "boxes" if axis is area else "images")


def _with(splits: Sequence[SplitStatistics], name: str) -> list[tuple[str, Histogram]]:
    found = [(each.split, getattr(each, name)) for each in splits]
    return [(split, each) for split, each in found if each is not None]


def _size(value: float) -> str:
    return size_text(round(value)).replace(".0 ", " ")


def _ratio(value: float) -> str:
    for known, text in _ASPECTS.items():
        if abs(value / known - 1) < 1e-3:
            return text
    return f"{value:.2f}:1" if value >= 1 else f"1:{1 / value:.2f}"


def _histogram(
    title: str, axis: plots.Axis, series: Sequence[tuple[str, Histogram]], what: str
) -> Figure:
    first, last = svg.filled_range([each.counts for _, each in series])
    intervals = axis.intervals(series[0][1].edges)[first:last]
    rows = tuple(
        (interval, *(f"{each.counts[first + place]:,}" for _, each in series))
        for place, interval in enumerate(intervals)
    )
    table = Table((axis.title.partition(", ")[0], *(name for name, _ in series)), rows)
    if len(intervals) == 1:
        return Figure(title, f"All {what}: {intervals[0]}.", Markup(), table)
    names = ", ".join(name for name, _ in series)
    plot = plots.histogram(series, axis, f"{title}: {names}", what)
    legend = tuple((plots.series_class(number), name) for number, (name, _) in enumerate(series))
    return Figure(title, "", plot, table, legend if len(series) > 1 else ())


def _density(statistics: SplitStatistics) -> Figure:
    title = f"Width and height: {statistics.split}"
    what = statistics.density
    widths, heights = map(plots.PIXELS.intervals, (what.width_edges, what.height_edges))
    cells = [
        (count, widths[x], heights[y])
        for y, row in enumerate(what.counts)
        for x, count in enumerate(row)
        if count
    ]
    cells.sort(key=lambda cell: -cell[0])
    rows = tuple((width, height, f"{count:,}") for count, width, height in cells[: 2 * _ENDS])
    table = Table(("width", "height", "images"), rows)
    if len(cells) == 1:
        _, width, height = cells[0]
        return Figure(title, f"All images: {width} pixels wide, {height} high.", Markup(), table)
    caption = "Darker is more, by the logarithm. The table has the most frequent."
    return Figure(title, caption, plots.density(what, title), table)
