"""The plots are sound XML, have their numbers, and stay small."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

from support import catalog_sites

from imagenet_builders.catalog.model import Density, Histogram
from imagenet_builders.catalog.pages import plots

AXIS = plots.Axis("width", lambda value: f"{value:g}")
COUNTING = plots.Axis("boxes", lambda value: f"{value:g}", is_whole=True)


def texts(plot: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(plot).iter("text")]


def titles(plot: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(plot).iter("title")]


def test_an_interval_has_the_numbers_and_parts_of_all_series() -> None:
    series = [
        ("train", Histogram((0.0, 1.0, 2.0, 3.0), (30, 10, 0))),
        ("test", Histogram((0.0, 1.0, 2.0, 3.0), (0, 5, 0))),
    ]
    found = titles(plots.histogram(series, AXIS, "Widths", "images"))
    assert found == [
        "below 1\ntrain: 30 (75%)\ntest: 0 (0%)",
        "1 to 2\ntrain: 10 (25%)\ntest: 5 (100%)",
    ]


def test_numbers_of_things_are_named_in_the_middle_of_their_bars() -> None:
    series = [("train", Histogram((0.0, 1.0, 2.0, 3.0), (1, 1, 1)))]
    plot = plots.histogram(series, COUNTING, "Boxes", "images")
    assert titles(plot)[2] == "2 or more\ntrain: 1 (33.3%)"
    named = {
        element.text: element.get("x") for element in ElementTree.fromstring(plot).iter("text")
    }
    assert named["2"] == "83.33%"


def test_intervals_are_named_by_what_they_have() -> None:
    assert COUNTING.intervals([0, 1, 2, 3]) == ["0", "1", "2 or more"]
    assert plots.PIXELS.intervals([8, 9]) == ["8"]
    assert plots.PIXELS.intervals([100, 120, 140, 160]) == [
        "below 120",
        "120 to 139",
        "140 or more",
    ]
    assert AXIS.intervals([0, 0.5, 1]) == ["below 0.5", "0.5 or more"]


def test_one_image_of_a_million_is_seen() -> None:
    series = [("train", Histogram((0.0, 1.0, 2.0), (1_000_000, 1)))]
    plot = plots.histogram(series, AXIS, "Widths", "images")
    assert "V998H1000V1000z" in plot


def test_an_empty_histogram_is_drawn() -> None:
    series = [("train", Histogram((0.0, 1.0, 2.0), (0, 0)))]
    assert titles(plots.histogram(series, AXIS, "Widths", "images"))


def test_a_density_has_its_numbers_for_the_pointer_without_the_empty_edges() -> None:
    what = Density((0, 10, 20, 30), (0, 10, 20), ((0, 0, 0), (0, 9, 1)))
    plot = ElementTree.fromstring(plots.density(what, "Sizes"))
    data = json.loads(plot.get("data-density") or "")
    assert data["counts"] == [[9, 1]]
    assert (data["widths"], data["heights"]) == (["10 to 19", "20 or more"], ["10 or more"])
    assert data["total"] == 10
    assert {path.get("class") for path in plot.iter("path")} == {"shade shade-8", "shade shade-1"}


def test_the_official_numbers_are_drawn_unless_they_would_hide_the_others() -> None:
    plot, has_official = plots.by_class([6, 5, 4], [6, 6, None], "Classes")
    assert has_official
    assert "official" in plot
    plot, has_official = plots.by_class([6, 5, 4], [1300, 1300, 1300], "Classes")
    assert not has_official
    assert "official" not in plot


def test_each_class_of_a_few_is_named_once() -> None:
    plot, _ = plots.by_class([2, 1], [], "Classes")
    assert [text for text in texts(plot) if text.isdigit()] == ["0", "1", "2", "1", "2"]


def test_the_plot_of_19_167_classes_is_small() -> None:
    rows = catalog_sites.class_rows("imagenet21k_winter21")
    counts = sorted((row.counts["train"] for row in rows), reverse=True)
    plot, _ = plots.by_class(counts, [], "Classes")
    assert len(plot) < 20_000
    assert texts(plot)[-3:-2] == ["15,000"]


def test_colours_are_classes_of_the_style_sheet() -> None:
    series = [(str(number), Histogram((0.0, 1.0, 2.0), (1, 2))) for number in range(8)]
    plot = plots.histogram(series, AXIS, "Widths", "images")
    assert "style=" not in plot
    assert not re.search(r'(fill|stroke)="', plot)
    assert "series-5" in plot
    assert "series-6" not in plot  # It has the colour of the first again.
