"""A forest plot: differences with their intervals, one below the other on one axis, as a pure function to SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from exactune.report.charts import nice_ticks, shorten, written
from exactune.report.scores import Estimate
from exactune.report.svg import svg, tag

__all__ = ["Held", "forest_plot"]

WIDTH, LEFT, RIGHT, TOP, LINE, BOTTOM = 660, 236, 24, 12, 34, 34
LABEL = 30


@dataclass(frozen=True, slots=True)
class Held:
    """One line of the plot.

    Attributes:
        name: Of what is held against the zero line.
        difference: With its interval.
        single: The differences that it is the mean of.
    """

    name: str
    difference: Estimate
    single: Sequence[float] = ()


def forest_plot(key: str, lines: Sequence[Held], zero: str, title: str, description: str) -> Markup:
    """Intervals on one axis, with the single differences as small dots.

    Args:
        key: A name that is unique in the page.
        lines: What to draw, from above.
        zero: What the zero line stands for.
        title: The image's name.
        description: What is to be seen.
    """
    if not lines:
        return Markup("")
    ends = [0.0]
    for line in lines:
        spans = (line.difference.low, line.difference.value, line.difference.high)
        ends += [end for end in (*spans, *line.single) if end is not None]
    ticks = nice_ticks(min(ends), max(ends), 6)
    bottom = TOP + LINE * len(lines)

    def across(value: float) -> str:
        return f"{LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - LEFT - RIGHT):.1f}"

    parts = [_tick(value, across(value), bottom, zero) for value in ticks]
    for number, line in enumerate(lines):
        parts += _line(line, TOP + LINE * number + LINE // 2, across)
    return svg(key, title, description, parts, kind="chart forest", viewBox=f"0 0 {WIDTH} {bottom + BOTTOM}")


def _tick(value: float, at: str, bottom: int, zero: str) -> Markup:
    name = written(value).replace("-", "\N{MINUS SIGN}") if value else zero
    stroke = tag("path", kind="grid" if value else "baseline", d=f"M{at} {TOP - 6}V{bottom}")
    return stroke + tag("text", name, x=at, y=bottom + 22, text_anchor="middle")


def _line(line: Held, down: int, across: Callable[[float], str]) -> list[Markup]:
    parts = [tag("text", shorten(line.name, LABEL), tag("title", line.name), x=LEFT - 14, y=down, dy=".35em",
                 text_anchor="end")]  # fmt: skip
    found = line.difference
    if found.low is not None and found.high is not None:
        parts.append(tag("path", kind="interval", d=f"M{across(found.low)} {down}H{across(found.high)}"))
    parts += [tag("circle", kind="single", cx=across(one), cy=down + 9, r=2.5) for one in line.single]
    return [*parts, tag("circle", kind="value", cx=across(found.value), cy=down, r=5)]
