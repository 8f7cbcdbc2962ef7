"""Histograms whose intervals fit what is counted: round bounds, and few of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from imagenet_builders.catalog.model import Density, Histogram

if TYPE_CHECKING:
    import numpy as np

_MOST = 40

# The largest of a thousand values would make all others one interval.
_QUANTILE = 0.995

# Of logarithmic intervals: three to a factor of two, so that every factor of two is a bound.
_A_DOUBLING = 3


def linear_edges(first: float, last: float, intervals: int) -> np.ndarray:
    """Bounds of intervals of equal width.

    Args:
        first: The lowest bound.
        last: The highest bound.
        intervals: Number of intervals.

    Returns:
        float64 of shape (intervals + 1,).
    """
    import numpy as np

    return np.linspace(first, last, intervals + 1)


def number_edges(values: np.ndarray, most: int) -> np.ndarray:
    """Bounds of intervals for 0, 1, 2, ..., of which the last has all from `most` on.

    Args:
        values: Integers from 0, of shape (n,).
        most: The last number that has an interval.

    Returns:
        float64 of shape (intervals + 1,).
    """
    import numpy as np

    return np.arange(min(most, int(values.max(initial=0))) + 2, dtype=np.float64)


def logarithmic_edges(values: np.ndarray) -> np.ndarray:
    """Bounds of intervals that grow by the same factor; 1 is a bound if it is among them.

    Args:
        values: Numbers above 0, of shape (n,).

    Returns:
        float64 of shape (intervals + 1,).
    """
    import numpy as np

    if not values.size:
        return np.array([0.0, 1.0])
    step = 1 / _A_DOUBLING
    low, high = (float(np.quantile(values, part)) for part in (1 - _QUANTILE, _QUANTILE))
    first, last = math.floor(math.log2(low) / step), math.floor(math.log2(high) / step) + 1
    while last - first > _MOST:
        step *= 2
        first, last = math.floor(first / 2), math.ceil(last / 2)
    edges: np.ndarray = np.exp2(np.arange(first, last + 1) * step)
    return edges


def round_edges(values: np.ndarray) -> np.ndarray:
    """Bounds with a round distance, of intervals that have nearly all values.

    Args:
        values: Numbers of shape (n,).

    Returns:
        float64 of shape (intervals + 1,).
    """
    import numpy as np

    if not values.size:
        return np.array([0.0, 1.0])
    low, high = (float(np.quantile(values, part)) for part in (1 - _QUANTILE, _QUANTILE))
    distance = next(
        size * 10**power
        for power in range(10)
        for size in (1, 2, 5)
        if (high - low) / (size * 10**power) <= _MOST - 2
    )
    first, last = math.floor(low / distance), math.floor(high / distance) + 1
    return np.arange(first, last + 1) * float(distance)


def histogram(values: np.ndarray, edges: np.ndarray) -> Histogram:
    """Counts values in intervals.

    Args:
        values: Numbers of shape (n,).
        edges: The bounds, of shape (intervals + 1,).
    """
    import numpy as np

    counts = np.bincount(_places(values, edges), minlength=len(edges) - 1)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def density(
    widths: np.ndarray, heights: np.ndarray, across: np.ndarray, down: np.ndarray
) -> Density:
    """Counts images by width and height.

    Args:
        widths: Widths in pixels, of shape (images,).
        heights: Heights in pixels, likewise.
        across: Bounds of widths, of shape (columns + 1,).
        down: Bounds of heights, of shape (rows + 1,).
    """
    import numpy as np

    counts = np.zeros((len(down) - 1, len(across) - 1), np.int64)
    np.add.at(counts, (_places(heights, down), _places(widths, across)), 1)
    rows = tuple(map(tuple, counts.tolist()))
    return Density(tuple(across.tolist()), tuple(down.tolist()), rows)


def _places(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The interval of each value; the outer ones have what is beyond."""
    import numpy as np

    places = np.searchsorted(edges, values, side="right") - 1
    clipped: np.ndarray = np.clip(places, 0, len(edges) - 2)
    return clipped
