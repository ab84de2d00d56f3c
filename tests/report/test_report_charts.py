"""Charts alone."""

from __future__ import annotations

import pytest
from report_html import parse

from exactune.report.charts import Line, heat_map, interval_bar, line_chart, nice_ticks, share_bar, shorten
from exactune.report.curves import Point
from exactune.report.scores import Band, Confusion, Estimate


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.66, 0.82), (0, 2.31), (3, 3), (0, 0), (0, 1e-6), (0, 12345), (-2, 5)]
)
def test_ticks_enclose_their_range_and_are_few(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
    assert list(ticks) == sorted(set(ticks))


def test_a_line_chart_draws_every_point_inside() -> None:
    points = [Point(0.5, 2.0), Point(1.0, 1.0), Point(2.0, 0.25)]
    svg = parse(line_chart("c", [Line(points, "main")], "Loss", "It falls.", best=points[-1], from_zero=True)).find(
        "svg"
    )[0]
    assert svg.find("title")[0].text == "Loss"
    assert svg.find("desc")[0].text == "It falls."
    circles = [one for one in svg.find("circle") if one.attributes["class"] == "dot main"]
    places = [(float(one.attributes["cx"]), float(one.attributes["cy"])) for one in circles]
    assert len(places) == 3
    assert places == sorted(places), "later is further right, lower loss further down"
    assert all(0 <= x <= 480 and 0 <= y <= 270 for x, y in places)


@pytest.mark.parametrize("points", [[Point(1.0, 0.5)], [Point(0.0, 0.5)], [Point(1.0, 0.0), Point(2.0, 0.0)]])
def test_degenerate_lines_are_drawn(points: list[Point]) -> None:
    for from_zero in (True, False):
        assert "nan" not in line_chart("c", [Line(points, "thin")], "t", "d", from_zero=from_zero)


def test_no_points_no_chart() -> None:
    assert line_chart("c", [Line((), "thin")], "t", "d") == ""
    assert share_bar("s", [("hit", 0)], "t") == ""


def test_an_interval_bar_places_by_percent() -> None:
    svg = interval_bar("b", Estimate(0.8, 0.7, 0.9), "F1", baselines=[0.25, 0.5], band=Band(0.7, None, ""), large=True)
    tree = parse(svg)
    spans = {line.attributes["class"]: line.attributes for line in tree.find("line")}
    assert (spans["interval"]["x1"], spans["interval"]["x2"]) == ("70.00%", "90.00%")
    assert spans["baseline"]["x1"] == "25.00%"
    assert spans["baseline other"]["x1"] == "50.00%"
    assert tree.find("rect")[0].attributes["width"] == "30.00%"
    assert tree.find("circle")[0].attributes["cx"] == "80.00%"


def test_figures_off_the_scale_have_no_bar() -> None:
    assert interval_bar("b", Estimate(1.7, None, None), "loss") == ""


def test_a_heat_map_draws_only_what_happened() -> None:
    confusion = Confusion(("a", "b", "(none)"), ("a", "b", "(none)"), ((3, 1, 0), (0, 0, 0), (0, 0, 2)))
    kinds = [rect.attributes["class"] for rect in parse(heat_map("h", confusion, "t", "d")).find("rect")]
    assert kinds == ["field", "hit", "miss", "miss"], "two unreadable answers are no match"


def test_names_are_shortened_by_width() -> None:
    assert shorten("short") == "short"
    assert shorten("x" * 40) == "x" * 25 + "…"
    assert shorten("情" * 20) == "情" * 12 + "…"


def test_everything_is_escaped() -> None:
    evil = '"><script>&'
    confusion = Confusion((evil, "b"), (evil, "b"), ((1, 1), (0, 1)))
    for svg in (
        heat_map("h", confusion, evil, evil),
        share_bar("s", [(evil, 1)], evil, evil),
        interval_bar("b", Estimate(0.5, None, None), evil, evil),
        line_chart("c", [Line([Point(1, 1)], "main")], evil, evil),
    ):
        assert "<script" not in svg
        assert parse(svg).find("svg")[0].find("title")[0].text.startswith('"><script>&')
