"""Intervals have round bounds, and every value lies in one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imagenet_builders.catalog import histograms
from imagenet_builders.catalog.model import Histogram

SIDES = st.lists(st.integers(1, 65_500), min_size=1, max_size=200).map(np.array)


@given(SIDES)
def test_every_value_lies_in_an_interval(values: np.ndarray) -> None:
    for edges in (histograms.round_edges(values), histograms.logarithmic_edges(values)):
        assert (np.diff(edges) > 0).all()
        assert 1 <= len(edges) - 1 <= 45
        found = histograms.histogram(values, edges)
        assert sum(found.counts) == len(values)
        assert len(found.edges) == len(found.counts) + 1


@given(SIDES)
def test_most_values_lie_within_the_bounds(values: np.ndarray) -> None:
    for edges in (histograms.round_edges(values), histograms.logarithmic_edges(values)):
        within = ((values >= edges[0]) & (values < edges[-1])).mean()
        assert within >= 0.98 or len(values) < 200


def test_bounds_are_round() -> None:
    assert histograms.round_edges(np.arange(100, 500))[:3].tolist() == [100.0, 120.0, 140.0]
    assert histograms.round_edges(np.full(9, 64)).tolist() == [64.0, 65.0]
    assert 1.0 in histograms.logarithmic_edges(np.array([0.5, 0.75, 1.3, 2.0]))


def test_a_value_on_a_bound_lies_above_it() -> None:
    edges = np.array([0.0, 1.0, 2.0])
    assert histograms.histogram(np.array([0.0, 1.0, 1.5, 2.0, 7.0, -3.0]), edges).counts == (2, 4)


def test_numbers_from_the_last_one_on_are_together() -> None:
    values = np.array([0, 1, 1, 5, 60])
    edges = histograms.number_edges(values, 3)
    assert histograms.histogram(values, edges) == Histogram((0.0, 1.0, 2.0, 3.0, 4.0), (1, 2, 0, 2))


def test_the_density_has_a_row_for_each_interval_of_heights() -> None:
    widths, heights = np.array([10, 10, 20]), np.array([5, 5, 7])
    found = histograms.density(widths, heights, np.array([0, 15, 30]), np.array([0, 6, 9]))
    assert found.counts == ((2, 0), (0, 1))


def test_nothing_has_an_interval_too() -> None:
    nothing = np.array([], np.int64)
    for edges in (histograms.round_edges(nothing), histograms.logarithmic_edges(nothing)):
        assert histograms.histogram(nothing, edges).counts == (0,)
    assert histograms.number_edges(nothing, 10).tolist() == [0.0, 1.0]
