"""Metrics of many rows, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from exactune.evaluate.bootstrap import RESAMPLES, draw
from exactune.evaluate.counted import Counted
from exactune.tasks import Task

__all__ = ["CONFIDENCE", "Figure", "Summary", "percentiles", "summarize", "wilson"]

CONFIDENCE = 0.95
"""Probability that an interval is made for."""

SHARES = frozenset({"accuracy", "exact_match", "valid_json", "valid_schema"})
"""Metrics that are a plain share of the rows."""

Figure = dict[str, float]
"""``{"value", "low", "high"}``."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one system.

    Attributes:
        metrics: Metric -> figure.
        per_label: The task's table, each row with ``low`` and ``high`` of its F1.
    """

    metrics: dict[str, Figure]
    per_label: dict[str, dict[str, float]]


def summarize(
    task: Task, counted: Counted, strata: Sequence[int] | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Summary:
    """Each metric of a task with a 95 % interval.

    Shares of the rows have Wilson's, and so has any figure of exactly 0 or 1, which no resample would move: a few rows
    that are all right do not prove as much as many. The others have the percentile bootstrap over rows (Efron, 1979),
    drawn within strata, widened where necessary to hold the value itself: metrics that are no means, such as macro F1,
    are biased in resamples.

    Args:
        task: Whose metrics to take.
        counted: The rows.
        strata: The number of each row's stratum; without, all rows are one.
        resamples: How many bootstrap samples.
        seed: Of the samples; the same counts and seed give the same interval.

    Raises:
        ValueError: No row was answered.
    """
    (samples,) = draw(task, [counted], strata or [0] * len(counted), resamples=resamples, seed=seed)
    totals, rows = counted.totals(), counted.answered
    metrics = {
        name: wilson(value, rows) if name in SHARES or value in (0, 1) else percentiles(samples.metrics[name], value)
        for name, value in task.aggregate(totals).items()
    }
    per_label = {label: dict(row) for label, row in task.per_label(totals).items()}
    for label, row in per_label.items():
        if label in samples.f1:
            # Of a label that no row has, its rows say nothing.
            ends = row["f1"] in (0, 1) and row["support"]
            figure = wilson(row["f1"], row["support"]) if ends else percentiles(samples.f1[label], row["f1"])
            row |= {"low": figure["low"], "high": figure["high"]}
    return Summary(metrics, per_label)


def percentiles(samples: NDArray[np.float64], value: float) -> Figure:
    """A value with the middle 95 % of its resamples; those that say nothing of it (NaN) are left out."""
    known = samples[~np.isnan(samples)]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, [tail, 100 - tail]) if len(known) else (value, value)
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def wilson(share: float, trials: float) -> Figure:
    """A share with Wilson's score interval (Wilson, 1927), which has a width at 0 and 1, too.

    Of no trials it is everything from 0 to 1.
    """
    if trials <= 0:
        return {"value": share, "low": 0.0, "high": 1.0}
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Rounding must not leave the share itself outside.
    return {"value": share, "low": max(0.0, min(middle - reach, share)), "high": min(1.0, max(middle + reach, share))}
