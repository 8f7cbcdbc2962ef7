"""Scales, ticks and paths of plots."""

from __future__ import annotations

import pytest

from imagenet_builders.catalog.pages import svg


def test_a_scale_is_logarithmic_where_the_edges_are() -> None:
    assert svg.scale_of([1, 10, 100, 1000, 10_000]).is_log
    assert svg.scale_of([0.5, 1, 2]).is_log
    assert not svg.scale_of([100, 200, 300, 400, 500]).is_log
    assert not svg.scale_of([0, 1, 2, 3]).is_log


def test_places_go_from_0_to_1() -> None:
    scale = svg.Scale(10, 1000, is_log=True)
    assert [scale.place(value) for value in (10, 100, 1000)] == pytest.approx([0, 0.5, 1])
    assert scale.place(0) == 0  # Below the beginning, which no logarithm reaches.


@pytest.mark.parametrize(
    "scale",
    [
        svg.Scale(0, 1),
        svg.Scale(0, 0.037),
        svg.Scale(0, 19_167),
        svg.Scale(0.2, 7, is_log=True),
        svg.Scale(100, 120, is_log=True),
        svg.Scale(1, 10**9, is_log=True),
    ],
    ids=str,
)
def test_ticks_are_a_few_and_on_the_axis(scale: svg.Scale) -> None:
    found = svg.ticks(scale)
    assert 2 <= len(found) <= 10
    assert all(scale.low <= each <= scale.high for each in found)
    assert found == sorted(set(found))


def test_steps_draw_what_is_level_as_one_line() -> None:
    assert svg.steps(range(5), [10, 10, 4, 0], close=False, size=10) == "M0 0H2V6H3V10H4"
    assert svg.steps(range(3), [10, 10], close=True, size=10) == "M0 10V0H2V10z"


def test_intervals_are_shown_from_the_first_to_the_last_with_anything() -> None:
    assert svg.filled_range([[0, 0, 1, 0], [0, 2, 0, 0]]) == (1, 3)
    assert svg.filled_range([[0, 0, 0]]) == (0, 3)


def test_text_in_a_plot_is_escaped() -> None:
    plot = svg.root("x", '"><script>')
    svg.add(plot, "text", "</svg><script>&")
    assert "<script>" not in svg.markup(plot)
