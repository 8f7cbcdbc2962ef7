"""Draws the plots of a dataset's page: histograms, the density of widths and heights, classes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from imagenet_builders.catalog.model import Density, Histogram
from imagenet_builders.catalog.pages import svg

MOST_SERIES = 6
"""The style sheet has so many colours; further series have them again."""

_SHADES = 8
_LEAST_HEIGHT = 2.0
"""Thousandths of the room that a bar has at least, so that one image of a million is seen."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of values.

    Attributes:
        title: What it means, with its unit.
        words: A value in words.
        ticks: The values that are named, if they are not the round ones.
        is_whole: Whether values are whole numbers, so that an interval may be one of them.
    """

    title: str
    words: Callable[[float], str]
    ticks: tuple[float, ...] = ()
    is_whole: bool = False

    def places(self, scale: svg.Scale, edges: Sequence[float]) -> list[tuple[float, str]]:
        """Where which values are named.

        Args:
            scale: The scale of the axis.
            edges: Bounds of the intervals on it.
        """
        values = [each for each in self.ticks if scale.low <= each <= scale.high]
        if len(values) < 2:
            values = svg.ticks(scale)
        if self.is_whole:
            values = [value for value in values if value == int(value)]
            if edges[1] - edges[0] == 1:  # A number has its name in the middle of its interval.
                return [(scale.place(v + 0.5), self.words(v)) for v in values if v < scale.high]
        return [(scale.place(value), self.words(value)) for value in values]

    def intervals(self, edges: Sequence[float]) -> list[str]:
        """All intervals in words; the outer ones have what is beyond.

        Args:
            edges: Their bounds.
        """
        found = [self._interval(low, high) for low, high in itertools.pairwise(edges)]
        if len(found) > 1:
            found[-1] = f"{self.words(edges[-2])} or more"
            if not (self.is_whole and edges[0] == 0 and edges[1] == 1):
                found[0] = f"below {self.words(edges[1])}"
        return found

    def _interval(self, low: float, high: float) -> str:
        if self.is_whole and high - low == 1:
            return self.words(low)
        return f"{self.words(low)} to {self.words(high - 1 if self.is_whole else high)}"


PIXELS = Axis("pixels", lambda value: f"{value:,.0f}", is_whole=True)
"""Widths and heights."""


def series_class(number: int) -> str:
    """The class of the style sheet that has the colour of a series."""
    return f"series-{number % MOST_SERIES}"


def share(part: float, whole: float) -> str:
    """A part of a whole, in per cent.

    >>> share(1, 3), share(1, 100_000), share(0, 5), share(2, 2)
    ('33.3%', '<0.1%', '0%', '100%')
    """
    if not part or not whole:
        return "0%"
    per_cent = 100 * part / whole
    if per_cent < 0.1:
        return "<0.1%"
    return f"{per_cent:.1f}%".replace(".0%", "%")


def histogram(series: Sequence[tuple[str, Histogram]], axis: Axis, label: str, what: str) -> Markup:
    """Draws how values are spread, as parts of each series.

    Args:
        series: Name and histogram; all have the same edges.
        axis: The axis of the values.
        label: What the plot shows.
        what: What has these values, such as `images`.
    """
    first, last = svg.filled_range([each.counts for _, each in series])
    edges = series[0][1].edges[first : last + 1]
    counts = [each.counts[first:last] for _, each in series]
    totals = [sum(each) or 1 for each in counts]
    most = max(max(each) / total for each, total in zip(counts, totals, strict=True)) or 1
    x = svg.Scale(edges[0], edges[-1], svg.scale_of(series[0][1].edges).is_log)
    y = svg.Scale(0, most)

    plot = svg.root("histogram", label)
    levels = [(y.place(each), share(each, 1)) for each in svg.ticks(y, 4)]
    svg.add_axes(plot, axis.places(x, edges), levels, (axis.title, f"of {what}"))
    drawing = svg.inner(plot)
    places = [round(svg.INNER * x.place(edge)) for edge in edges]
    for number, (each, total) in enumerate(zip(counts, totals, strict=True)):
        heights = [_height(count / total / most) for count in each]
        for kind, close in (("area", True), ("line", False)):
            path = svg.steps(places, heights, close=close)
            svg.add(drawing, "path", d=path, class_=f"{kind} {series_class(number)}")
    hits = svg.add(plot, "g", class_="hits")
    intervals = axis.intervals(series[0][1].edges)[first:last]
    for place, interval in enumerate(intervals):
        left, right = x.place(edges[place]), x.place(edges[place + 1])
        hit = svg.add(
            hits,
            "rect",
            x=svg.percent(left),
            width=svg.percent(right - left),
            y="0",
            height="100%",
        )
        texts = [
            f"{name}: {each[place]:,} ({share(each[place], total)})"
            for (name, _), each, total in zip(series, counts, totals, strict=True)
        ]
        svg.add(hit, "title", "\n".join([interval, *texts]))
    return svg.markup(plot)


def _height(part: float) -> float:
    return max(round(svg.INNER * part), _LEAST_HEIGHT) if part else 0


def density(what: Density, label: str) -> Markup:
    """Draws how many images have which width and height, the more the darker.

    Args:
        what: The numbers.
        label: What the plot shows.
    """
    columns = list(zip(*what.counts, strict=True))
    left, right = svg.filled_range([list(map(sum, columns))])
    low, high = svg.filled_range([list(map(sum, what.counts))])
    widths, heights = what.width_edges[left : right + 1], what.height_edges[low : high + 1]
    counts = [row[left:right] for row in what.counts[low:high]]
    x = svg.Scale(widths[0], widths[-1], svg.scale_of(what.width_edges).is_log)
    y = svg.Scale(heights[0], heights[-1], svg.scale_of(what.height_edges).is_log)

    plot = svg.root("density", label)
    svg.add_axes(
        plot,
        PIXELS.places(x, widths),
        PIXELS.places(y, heights),
        ("width, pixels", "height, pixels"),
    )
    drawing = svg.inner(plot)
    across = [round(svg.INNER * x.place(each)) for each in widths]
    down = [svg.INNER - round(svg.INNER * y.place(each)) for each in heights]
    for shade, path in sorted(_shaded(counts, across, down).items()):
        svg.add(drawing, "path", d=path, class_=f"shade shade-{shade}")
    data = {
        "widths": PIXELS.intervals(what.width_edges)[left:right],
        "heights": PIXELS.intervals(what.height_edges)[low:high],
        "across": across,
        "down": down,
        "counts": counts,
        "total": sum(map(sum, counts)),
    }
    plot.set("data-density", json.dumps(data, separators=(",", ":")))
    return svg.markup(plot)


def _shaded(
    counts: Sequence[Sequence[int]], across: Sequence[int], down: Sequence[int]
) -> dict[int, str]:
    """Shade to a path of the cells that have it; equal cells beside each other are one."""
    most = max(map(max, counts))
    paths: dict[int, list[str]] = {}
    for row, line in enumerate(counts):
        top, bottom = down[row + 1], down[row]
        start = 0
        for column in range(1, len(line) + 1):
            shade = _shade(line[start], most)
            if column < len(line) and _shade(line[column], most) == shade:
                continue
            if shade:
                cell = f"M{across[start]} {top}H{across[column]}V{bottom}H{across[start]}z"
                paths.setdefault(shade, []).append(cell)
            start = column
    return {shade: "".join(cells) for shade, cells in paths.items()}


def _shade(count: int, most: int) -> int:
    """0 for none, then 1 to 8 by the logarithm of the number."""
    if not count:
        return 0
    if most == 1:
        return _SHADES
    return 1 + round((_SHADES - 1) * math.log(count) / math.log(most))


def by_class(
    counts: Sequence[int], official: Sequence[int | None], label: str
) -> tuple[Markup, bool]:
    """Draws the number of images of each class, most first.

    Args:
        counts: The numbers, descending.
        official: The official numbers of the same classes, if they are to be drawn.
        label: What the plot shows.

    Returns:
        The plot, and whether the official numbers are in it: they are not where they are so many
        that the numbers beside them could not be seen.
    """
    known = [each for each in official if each is not None]
    most = max(counts, default=0) or 1
    with_official = bool(known) and max(known) <= 4 * most
    top = 1.04 * max([most, *known] if with_official else [most])
    y = svg.Scale(0, top)

    plot = svg.root("by-class", label)
    x = svg.Scale(0, len(counts))
    ranks = sorted({1, *svg.ticks(x)[1:]})
    across = [(x.place(each - 0.5), f"{each:,.0f}") for each in ranks if each == int(each)]
    levels = [(y.place(each), f"{each:,.0f}") for each in svg.ticks(y, 4) if each == int(each)]
    svg.add_axes(plot, across, levels, ("classes, most images first", "images"))
    drawing = svg.inner(plot, width=len(counts))
    places = range(len(counts) + 1)
    bars = [_height(each / top) for each in counts]
    svg.add(drawing, "path", d=svg.steps(places, bars, close=True), class_="area series-0 solid")
    if with_official:
        line = [_height((each or 0) / top) for each in official]
        path = svg.steps(places, line, close=False)
        svg.add(drawing, "path", d=path, class_="line official")
    return svg.markup(plot), with_official
