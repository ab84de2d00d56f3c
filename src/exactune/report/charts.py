"""Small charts: pure functions from data to SVG.

They are drawn by hand because a report must stay one file that is read without JavaScript: an inlined plotting library
would add 4 MB to each report and ask for it, where these add a few kilobytes. Colours are CSS classes, so that one
drawing serves light, dark and print. Titles and descriptions come from the template.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from exactune.report.curves import Point
from exactune.report.reliability import Bin, Reliability
from exactune.report.scores import Band, Confusion, Estimate, Pair
from exactune.report.svg import percent, svg, tag

__all__ = [
    "Line",
    "heat_map",
    "interval_bar",
    "line_chart",
    "nice_ticks",
    "reliability_diagram",
    "share_bar",
    "shorten",
    "written",
]

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 40
CELL, LABEL_UNITS, UNIT = 12, 26, 5.6
NARROWEST = 7


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart; ``kind`` chooses its look."""

    points: Sequence[Point]
    kind: Literal["thin", "dotted", "main", "spot"]


def nice_ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """At most about ``most`` round values that enclose a range."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def line_chart(
    key: str,
    lines: Sequence[Line],
    title: str,
    description: str,
    *,
    best: Point | None = None,
    from_zero: bool = False,
    span: tuple[float, float] | None = None,
    levels: Sequence[float] = (),
) -> Markup:
    """Lines over epochs, with the best evaluation marked.

    Args:
        key: A name that is unique in the page.
        lines: What to draw, the last on top.
        title: The image's name.
        description: What is to be seen.
        best: The point to mark.
        from_zero: Whether the vertical axis starts at 0.
        span: From where to where the ground is shaded.
        levels: Values to draw as a dashed line across.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return Markup("")
    xs = (0.0, *nice_ticks(0.0, max(point.x for point in points))[1:])
    heights = [*(point.y for point in points), *levels]
    ys = nice_ticks(0.0 if from_zero else min(heights), max(heights), 5)
    right = max(point.x for point in points)

    def place(point: Point) -> tuple[str, str]:
        across = LEFT + point.x / right * (WIDTH - LEFT - RIGHT) if right else LEFT
        down = HEIGHT - BOTTOM - (point.y - ys[0]) / (ys[-1] - ys[0]) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f}", f"{down:.1f}"

    parts = [] if span is None else [_shaded(*(place(Point(min(max(x, 0.0), right), ys[0]))[0] for x in span))]
    parts += [_horizontal(y, place(Point(0.0, y))[1]) for y in ys]
    parts += [_below(x, place(Point(x, ys[0]))[0]) for x in xs if x <= right * 1.001]
    parts += [tag("path", kind="level", d=f"M{LEFT} {place(Point(0.0, y))[1]}H{WIDTH - RIGHT}") for y in levels]
    if best is not None:
        across, down = place(best)
        parts.append(tag("path", kind="best-line", d=f"M{across} {TOP}V{HEIGHT - BOTTOM}"))
        parts.append(tag("circle", kind="best-ring", cx=across, cy=down, r=8))
    for line in lines:
        parts += _drawn(line, [place(point) for point in line.points])
    return svg(key, title, description, parts, kind="chart", viewBox=f"0 0 {WIDTH} {HEIGHT}")


def _shaded(left: str, right: str) -> Markup:
    """The ground between two places, never too narrow to be seen."""
    start, width = float(left), max(float(right) - float(left), NARROWEST)
    start = min(start, WIDTH - RIGHT - width)
    return tag("rect", kind="span", x=f"{start:.1f}", y=TOP, width=f"{width:.1f}", height=HEIGHT - TOP - BOTTOM)


def written(value: float) -> str:
    """A figure in few characters; small ones as ``2.5e-4``."""
    if not 0.0 < abs(value) < 1e-3:
        return f"{value:g}"
    digits, power = f"{value:e}".split("e")
    return f"{float(digits):g}e{int(power)}"


def _horizontal(value: float, down: str) -> Markup:
    name = tag("text", written(value), x=LEFT - 8, y=down, dy=".35em", text_anchor="end")
    return tag("path", kind="grid", d=f"M{LEFT} {down}H{WIDTH - RIGHT}") + name


def _below(value: float, across: str) -> Markup:
    return tag("text", f"{value:g}", x=across, y=HEIGHT - BOTTOM + 22, text_anchor="middle")


def _drawn(line: Line, places: Sequence[tuple[str, str]]) -> Iterator[Markup]:
    """The line, and a dot on each point where points are few enough to matter."""
    yield tag("polyline", kind=f"line {line.kind}", points=" ".join(map(",".join, places)))
    if line.kind != "thin" or len(places) == 1:
        yield from (tag("circle", kind=f"dot {line.kind}", cx=across, cy=down, r=3.5) for across, down in places)


def reliability_diagram(
    key: str, before: Reliability | None, after: Reliability | None, title: str, description: str
) -> Markup:
    """Accuracy over confidence; on the diagonal, confidence is what it says. The larger a dot, the more answers.

    Args:
        key: A name that is unique in the page.
        before: As the model gave it.
        after: Scaled, drawn on top.
        title: The image's name.
        description: What is to be seen.
    """
    ticks = [tenth / 5 for tenth in range(6)]
    parts = [_horizontal(one, _inside(0.0, one)[1]) for one in ticks]
    parts += [_below(one, _inside(one, 0.0)[0]) for one in ticks]
    (left, low), (right, high) = _inside(0.0, 0.0), _inside(1.0, 1.0)
    parts.append(tag("path", kind="best-line", d=f"M{left} {low}L{right} {high}"))
    for kind, drawn in (("thin", before), ("main", after)):
        if drawn and drawn.bins:
            parts += _bins(kind, drawn.bins)
    return svg(key, title, description, parts, kind="chart", viewBox=f"0 0 {WIDTH} {HEIGHT}")


def _inside(x: float, y: float) -> tuple[str, str]:
    """Where a point between 0 and 1 stands."""
    across = LEFT + x * (WIDTH - LEFT - RIGHT)
    down = HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)
    return f"{across:.1f}", f"{down:.1f}"


def _bins(kind: str, bins: Sequence[Bin]) -> Iterator[Markup]:
    places, total = [_inside(one.confidence, one.accuracy) for one in bins], sum(one.n for one in bins)
    yield tag("polyline", kind=f"line {kind}", points=" ".join(map(",".join, places)))
    for one, (across, down) in zip(bins, places, strict=True):
        hint = tag("title", f"{one.confidence:.3f} → {one.accuracy:.3f}: {one.n:,}")
        yield tag("circle", hint, kind=f"dot {kind}", cx=across, cy=down, r=f"{2 + 7 * math.sqrt(one.n / total):.1f}")


def interval_bar(
    key: str,
    estimate: Estimate,
    title: str,
    description: str = "",
    *,
    baselines: Sequence[float] = (),
    band: Band | None = None,
    large: bool = False,
    tone: str = "",
) -> Markup:
    """A figure between 0 and 1 with its interval, on a track as wide as its place.

    Lengths are in percent, so that strokes and heights stay as they are at every width. Figures outside of 0 to 1 give
    nothing: they have no place on the track.

    Args:
        key: A name that is unique in the page.
        estimate: The figure.
        title: The image's name.
        description: What is to be seen.
        baselines: Values to mark; all but the first are dashed.
        band: What was expected.
        large: Whether it stands alone, with a scale.
        tone: A further class, for another colour.
    """
    if not 0.0 <= estimate.value <= 1.0:
        return Markup("")
    middle, reach, radius = (24, 13, 7.5) if large else (9, 7, 4)
    parts = [_mark("tick", tenth / 10, middle, 4) for tenth in range(11)] if large else []
    if band is not None:
        width = percent((1.0 if band.high is None else band.high) - band.low)
        parts.append(tag("rect", kind="band", x=percent(band.low), width=width, y=middle - 16, height=32))
    parts.append(_span("track", 0.0, 1.0, middle))
    if estimate.low is not None and estimate.high is not None:
        parts.append(_span("interval", estimate.low, estimate.high, middle))
    for index, baseline in enumerate(baselines):
        parts.append(_mark("baseline other" if index else "baseline", baseline, middle, reach))
    parts.append(tag("circle", kind="value", cx=percent(estimate.value), cy=middle, r=radius))
    kind = f"bar{' large' if large else ''}{tone and f' {tone}'}"
    return svg(key, title, description, parts, kind=kind, width="100%", height=2 * middle)


def _mark(kind: str, at: float, middle: int, reach: int) -> Markup:
    """A vertical stroke on a track."""
    return tag("line", kind=kind, x1=percent(at), x2=percent(at), y1=middle - reach, y2=middle + reach)


def _span(kind: str, low: float, high: float, middle: int) -> Markup:
    """A horizontal stroke along a track."""
    return tag("line", kind=kind, x1=percent(low), x2=percent(high), y1=middle, y2=middle)


def share_bar(key: str, parts: Sequence[tuple[str, float]], title: str, description: str = "") -> Markup:
    """One bar cut by shares.

    Args:
        key: A name that is unique in the page.
        parts: CSS class and size of each part; sizes are added up to the whole.
        title: The image's name.
        description: What is to be seen.
    """
    total = sum(size for _, size in parts)
    if total <= 0:
        return Markup("")
    drawn, start = [], 0.0
    for kind, size in parts:
        drawn.append(tag("rect", kind=kind, x=percent(start), width=percent(size / total), height=12))
        start += size / total
    return svg(key, title, description, drawn, kind="shares", width="100%", height=12)


def heat_map(key: str, confusion: Confusion, title: str, description: str) -> Markup:
    """A confusion matrix for many labels: shade is the share of the gold row, hovering gives the counts."""
    longest = max(_units(shorten(name)) for name in (*confusion.rows, *confusion.columns))
    edge = math.ceil(longest * UNIT) + 10
    parts = [_row_name(name, edge, edge + index * CELL) for index, name in enumerate(confusion.rows)]
    parts += [_column_name(name, edge + index * CELL, edge) for index, name in enumerate(confusion.columns)]
    wide, high = CELL * len(confusion.columns), CELL * len(confusion.rows)
    parts.append(tag("rect", kind="field", x=edge, y=edge, width=wide, height=high))
    for down, (_, cells) in enumerate(confusion.cells()):
        for across, pair in enumerate(cells):
            if pair.count:
                parts.append(_cell(pair, edge + across * CELL, edge + down * CELL))
    width, height = edge + wide + 4, edge + high + 4
    return svg(key, title, description, parts, kind="heat", width=width, height=height, viewBox=f"0 0 {width} {height}")


def _cell(pair: Pair, left: int, top: int) -> Markup:
    kind = "hit" if pair.right else "miss"
    hint = tag("title", f"{pair.gold} → {pair.predicted}: {pair.count} / {pair.of}")
    style = f"--share:{0.25 + 0.75 * pair.count / pair.of:.2f}"
    return tag("rect", hint, kind=kind, style=style, x=left, y=top, width=CELL - 1, height=CELL - 1)


def _row_name(name: str, right: int, top: int) -> Markup:
    hint = tag("title", name)
    return tag("text", shorten(name), hint, x=right - 6, y=top + CELL / 2, dy=".35em", text_anchor="end")


def _column_name(name: str, left: int, bottom: int) -> Markup:
    turn = f"translate({left + CELL / 2} {bottom - 6}) rotate(-90)"
    return tag("text", shorten(name), tag("title", name), transform=turn, dy=".35em")


def _units(name: str) -> int:
    """Width in units of a Latin letter; East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name)


def shorten(name: str, most: int = LABEL_UNITS) -> str:
    """A name that is at most ``most`` units wide, cut with an ellipsis."""
    if _units(name) <= most:
        return name
    kept, used = "", 1
    for letter in name:
        used += _units(letter)
        if used > most:
            break
        kept += letter
    return kept + "…"
