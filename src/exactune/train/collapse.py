"""Collapse: a model that tells its pairs apart ever better, and does its task ever worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exactune.tasks import better

__all__ = ["collapsed"]


def collapsed(lines: Iterable[Mapping[str, Any]], metric: str) -> bool:
    """Whether the last evaluation is worse than the one before the first step while the margins have grown.

    Args:
        lines: Of ``train/metrics.jsonl``, in order.
        metric: That decides. "Worse" is outside of the start's 95 % interval; a metric without one is not judged.
    """
    lines = list(lines)
    margins = [line["margin"] for line in lines if "margin" in line]
    scored = [line for line in lines if "eval" in line]
    if len(margins) < 2 or len(scored) < 2 or scored[0]["step"] or "interval" not in scored[0]:
        return False
    rises = better(metric, 1.0, 0.0)
    end = scored[0]["interval"]["low" if rises else "high"]
    return better(metric, end, scored[-1]["eval"][metric]) and margins[-1] > margins[0]
