"""What plots are drawn with: elements of SVG, scales and ticks.

A plot has no size of its own. Places are percentages of the room that the page gives it, so that
its text keeps the page's size on a telephone and on a wide screen alike, and its colours are
classes of the style sheet. `xml.etree` writes the elements, and escapes what they hold.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from xml.etree import ElementTree

from markupsafe import Markup

Element = ElementTree.Element

INNER = 1000
"""Width and height of a plot's inner drawing, whose unit is a thousandth of the room."""

_STEPS = (1, 2, 2.5, 5, 10)
_MANY_TICKS = 5


def root(kind: str, label: str) -> Element:
    """A new plot.

    Args:
        kind: A class of the style sheet.
        label: What it shows, for those who do not see it.
    """
    return Element("svg", {"class": f"plot {kind}", "role": "img", "aria-label": label})


def add(parent: Element, tag: str, text: str | None = None, **attributes: str | float) -> Element:
    """A new element in another.

    Args:
        parent: The other element.
        tag: What it is.
        text: The text in it.
        **attributes: Its attributes; `_` in a name stands for `-`, and is left out at the end.
    """
    named = {
        name.removesuffix("_").replace("_", "-"): value if isinstance(value, str) else short(value)
        for name, value in attributes.items()
    }
    made = ElementTree.SubElement(parent, tag, named)
    made.text = text
    return made


def inner(parent: Element, width: float = INNER, height: float = INNER) -> Element:
    """A drawing that fills the plot, stretched to its room.

    Args:
        parent: The plot.
        width: The drawing's own width.
        height: Its own height.
    """
    return add(
        parent,
        "svg",
        width="100%",
        height="100%",
        viewBox=f"0 0 {short(width)} {short(height)}",
        preserveAspectRatio="none",
    )


def markup(element: Element) -> Markup:
    """An element as text for a page."""
    return Markup(ElementTree.tostring(element, encoding="unicode"))


def short(number: float) -> str:
    """A number in as few characters as show a tenth of a thousandth of the room.

    >>> short(12.0), short(0.25), short(33.3333)
    ('12', '0.25', '33.33')
    """
    return f"{number:.2f}".rstrip("0").rstrip(".")


def percent(part: float) -> str:
    """A part of the room, 0 to 1.

    >>> percent(1 / 3)
    '33.33%'
    """
    return f"{short(100 * part)}%"


@dataclasses.dataclass(frozen=True)
class Scale:
    """Where values lie on an axis.

    Attributes:
        low: The value at the beginning.
        high: The value at the end, above `low`.
        is_log: Whether equal ways are equal ratios.
    """

    low: float
    high: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        if self.is_log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def scale_of(edges: Sequence[float]) -> Scale:
    """The scale on which the intervals between edges are about equally wide.

    Args:
        edges: Ascending bounds of intervals, at least two.
    """
    low, high = edges[0], edges[-1]
    if low <= 0 or len(edges) < 3:
        return Scale(low, high)
    middle = edges[len(edges) // 2]
    is_log = abs(middle - math.sqrt(low * high)) < abs(middle - (low + high) / 2)
    return Scale(low, high, is_log)


def ticks(scale: Scale, count: int = 5) -> list[float]:
    """Round values of a scale.

    Args:
        scale: The scale.
        count: About how many.

    >>> ticks(Scale(0, 1300)), ticks(Scale(800, 300_000, is_log=True))
    ([0, 500, 1000], [1000, 10000, 100000])
    """
    if scale.is_log:
        found = _log_ticks(scale)
        if len(found) > 1:
            return found
    step = next_step((scale.high - scale.low) / count)
    first = math.ceil(scale.low / step)
    last = math.floor(scale.high / step * (1 + 1e-9))
    return [_tidy(number * step) for number in range(first, last + 1)]


def next_step(least: float) -> float:
    """The smallest round number that is no smaller: 1, 2, 2.5 or 5, times a power of ten.

    >>> next_step(260), next_step(0.03)
    (500, 0.05)
    """
    power = 10 ** math.floor(math.log10(least))
    return _tidy(next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9)))


def _log_ticks(scale: Scale) -> list[float]:
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [_tidy(digit * 10**power) for power in powers for digit in digits]
        found = [each for each in found if scale.low <= each <= scale.high]
        if len(found) <= _MANY_TICKS:
            return found
    return found


def _tidy(number: float) -> float:
    rounded = float(f"{number:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def add_axes(
    plot: Element,
    x: Sequence[tuple[float, str]],
    y: Sequence[tuple[float, str]],
    titles: tuple[str, str],
) -> None:
    """Draws lines at ticks, their texts, and what the axes mean.

    Args:
        plot: The plot.
        x: Place, 0 to 1 from the left, and text of the ticks below.
        y: Place, 0 to 1 from below, and text of the ticks at the left.
        titles: What the axes mean.
    """
    group = add(plot, "g", class_="axes", aria_hidden="true")
    for place, text in y:
        at = percent(1 - place)
        add(group, "line", x1="0", x2="100%", y1=at, y2=at)
        add(group, "text", text, x=-7, y=at, dy="0.32em", text_anchor="end")
    for place, text in x:
        at = percent(place)
        add(group, "line", x1=at, x2=at, y1="100%", y2="100%", class_="tick")
        add(group, "text", text, x=at, y="100%", dy="1.45em", text_anchor="middle")
    add(group, "text", titles[0], x="100%", y="100%", dy="3em", text_anchor="end", class_="title")
    add(group, "text", titles[1], x=-7, y="0", dy="-1.1em", text_anchor="start", class_="title")


def steps(
    places: Sequence[float], heights: Sequence[float], *, close: bool, size: float = INNER
) -> str:
    """The path of a line that is level between places.

    Args:
        places: n + 1 places from left to right.
        heights: The n heights between them, from 0 at the bottom to `size` at the top.
        close: Whether the path encloses what is below the line.
        size: The height of the drawing.
    """
    parts = [f"M{short(places[0])} {short(size if close else size - heights[0])}"]
    before: float | None = None if close else heights[0]
    for height, right, following in zip(heights, places[1:], [*heights[1:], math.nan], strict=True):
        if height != before:
            parts.append(f"V{short(size - height)}")
            before = height
        if following != height:
            parts.append(f"H{short(right)}")
    return "".join(parts) + (f"V{short(size)}z" if close else "")


def filled_range(counts: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The intervals from the first to the last in which any series has something.

    Args:
        counts: The numbers of each series, all of the same length.

    Returns:
        The first interval and the one after the last; all intervals if there is nothing.
    """
    full = [place for place, column in enumerate(zip(*counts, strict=True)) if any(column)]
    return (full[0], full[-1] + 1) if full else (0, len(counts[0]))
