"""Two systems on the same rows: whether one is better, or the difference is chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.evaluate.bootstrap import RESAMPLES, draw
from exactune.evaluate.counted import ABSENT, Counted
from exactune.evaluate.metrics import CONFIDENCE, percentiles
from exactune.tasks import METRICS, Task

__all__ = ["POWER", "compare", "verdict"]

POWER = 0.8
"""Chance with which the rows that are called enough would show a difference of this size."""


def compare(
    task: Task,
    ours: Counted,
    theirs: Counted,
    strata: Sequence[int] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The differences between two systems' metrics, on the rows that both answered.

    Paired bootstrap: both are scored on the same resamples (Efron and Tibshirani, 1993; for language tasks Koehn,
    2004), so that what makes a row hard for both cancels out.

    Args:
        task: Whose metrics to take.
        ours: The rows of the one that is judged.
        theirs: The same rows of the other one.
        strata: As for :func:`~exactune.evaluate.metrics.summarize`.
        resamples: How many bootstrap samples.
        seed: Of the samples.

    Returns:
        For each metric ``{"rows", "ours", "theirs", "difference": {"value", "low", "high"}, "verdict",
        "rows_needed"}``. The verdict is ``better``, ``worse``, or ``level`` where the interval holds 0.

    Raises:
        ValueError: There is no row that both answered.
    """
    strata = strata or [0] * len(ours)
    mine, other = draw(task, [ours, theirs], strata, resamples=resamples, seed=seed)
    shared = (ours.rows != ABSENT) & (theirs.rows != ABSENT)
    rows = int(shared.sum())
    values, others = (task.aggregate(counted.totals(shared)) for counted in (ours, theirs))
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        difference = mine.metrics[name] - other.metrics[name]
        figure = percentiles(difference, value - others[name])
        found[name] = {
            "rows": rows,
            "ours": value,
            "theirs": others[name],
            "difference": figure,
            "verdict": verdict(name, figure["low"], figure["high"]),
            "rows_needed": _rows_needed(figure["value"], difference, rows),
        }
    return found


def verdict(metric: str, low: float, high: float) -> str:
    """What an interval of a difference says: ``better``, ``worse``, or ``level`` where it holds 0."""
    if low <= 0 <= high:
        return "level"
    return "better" if (low > 0) == (METRICS[metric] == "max") else "worse"


def _rows_needed(value: float, samples: NDArray[np.float64], rows: int) -> int | None:
    """How many rows would show a difference of this size with 80 % power at a level of 5 %, as rows vary here.

    ``(z(0.975) + z(0.8))² variance / difference²`` with the variance of one row's difference (Cohen, 1988, Statistical
    power analysis); that of ``rows`` rows, which the resamples have, is one ``rows``-th of it. None without a
    difference: no number of rows would show one.
    """
    variance = float(np.var(samples)) * rows
    if not value or not variance:
        return None
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) + NormalDist().inv_cdf(POWER)
    return math.ceil(z * z * variance / (value * value))
