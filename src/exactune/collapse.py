"""Collapse: a model that tells its pairs apart ever better, and does its task ever worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exactune.tasks import better

__all__ = ["collapsed", "fallen"]

Line = Mapping[str, Any]
"""Of ``train/metrics.jsonl``."""


def collapsed(lines: Iterable[Line], metric: str) -> bool:
    """Whether the last evaluation is worse than the one before the first step while the margins have grown.

    Args:
        lines: In order.
        metric: That decides. "Worse" is outside of the start's 95 % interval; a metric without one is not judged.
    """
    lines = list(lines)
    start = next((line for line in lines if "eval" in line), None)
    return start is not None and not start["step"] and fallen(lines, metric, start)


def fallen(lines: Iterable[Line], metric: str, start: Line) -> bool:
    """Whether the last evaluation is worse than another one while the margins have grown since that.

    Args:
        lines: In order.
        metric: See :func:`collapsed`.
        start: That other evaluation.
    """
    lines = list(lines)
    scored = [line for line in lines if "eval" in line]
    margins = [line for line in lines if "margin" in line]
    if len(margins) < 2 or scored[-1]["step"] <= start["step"] or "interval" not in start:
        return False
    before = [line["margin"] for line in margins if line["step"] <= start["step"]] or [margins[0]["margin"]]
    rises = better(metric, 1.0, 0.0)
    end = start["interval"]["low" if rises else "high"]
    return better(metric, end, scored[-1]["eval"][metric]) and margins[-1]["margin"] > before[-1]
