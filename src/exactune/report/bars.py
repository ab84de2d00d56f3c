"""Small bars of the diagnosis: pure functions from figures to SVG, as wide as their place."""

from __future__ import annotations

from markupsafe import Markup

from exactune.report.scores import Estimate
from exactune.report.svg import percent, svg, tag

__all__ = ["change_bar", "difference_bar", "level_bar"]

MIDDLE = 9
"""Half the height of a bar, in pixels."""


def level_bar(key: str, value: float, of: float, title: str, *, mark: float | None = None, tone: str = "") -> Markup:
    """A bar from nothing to a value, with another value marked on it.

    Args:
        key: A name that is unique in the page.
        value: Where the bar ends.
        of: What the whole track stands for.
        title: The image's name.
        mark: The other value.
        tone: A further class, for another colour.
    """
    if of <= 0 or value < 0:
        return Markup("")
    parts = [tag("rect", kind="ground", width="100%", y=3, height=12)]
    parts.append(tag("rect", kind="level", width=percent(value / of), y=3, height=12))
    if mark is not None:
        parts.append(_stroke("baseline", mark / of, 8))
    return svg(key, title, "", parts, kind=f"bar{tone and f' {tone}'}", width="100%", height=2 * MIDDLE)


def change_bar(key: str, before: float, after: float, low: float, high: float, title: str) -> Markup:
    """From a hollow dot to a full one, on a track from ``low`` to ``high``."""
    if high <= low:
        return Markup("")
    places = [percent((value - low) / (high - low)) for value in (before, after)]
    parts = [_line("track", "0%", "100%"), _line("interval", *places)]
    parts.append(tag("circle", kind="value before", cx=places[0], cy=MIDDLE, r=4.5))
    parts.append(tag("circle", kind="value", cx=places[1], cy=MIDDLE, r=4.5))
    return svg(key, title, "", parts, kind="bar", width="100%", height=2 * MIDDLE)


def difference_bar(key: str, difference: Estimate, title: str, description: str = "") -> Markup:
    """A difference with its interval, on a track with zero in its middle."""
    ends = [end for end in (difference.low, difference.value, difference.high) if end is not None]
    reach = 1.15 * max(abs(end) for end in ends)
    if not reach:
        return Markup("")
    parts = [_line("track", "0%", "100%"), _stroke("baseline", 0.5, 8)]
    if difference.low is not None and difference.high is not None:
        parts.append(_line("interval", *(percent(0.5 + end / reach / 2) for end in (difference.low, difference.high))))
    parts.append(tag("circle", kind="value", cx=percent(0.5 + difference.value / reach / 2), cy=MIDDLE, r=4.5))
    return svg(key, title, description, parts, kind="bar", width="100%", height=2 * MIDDLE)


def _line(kind: str, start: str, end: str) -> Markup:
    """A stroke along the track."""
    return tag("line", kind=kind, x1=start, x2=end, y1=MIDDLE, y2=MIDDLE)


def _stroke(kind: str, at: float, reach: int) -> Markup:
    """A stroke across the track."""
    return tag("line", kind=kind, x1=percent(at), x2=percent(at), y1=MIDDLE - reach, y2=MIDDLE + reach)
