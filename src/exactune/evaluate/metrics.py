"""Metrics of many scores, with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from exactune.tasks import Score, Task

__all__ = ["CONFIDENCE", "summarize", "totals"]

CONFIDENCE = 0.95
"""Probability that an interval is made for."""

CHUNK_BYTES = 50_000_000
"""Memory for the weights of the resamples that are drawn at once."""

Key = tuple[str, ...]


def totals(scores: Sequence[Score]) -> dict[Key, float]:
    """Counts summed over examples, in the order in which they first occur."""
    summed: dict[Key, float] = {}
    for score in scores:
        for key, count in score.counts.items():
            summed[key] = summed.get(key, 0) + count
    return summed


def summarize(
    task: Task, scores: Sequence[Score], *, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Each metric of a task with a 95 % interval.

    The interval is the percentile bootstrap over rows (Efron, 1979), widened where necessary to hold the value itself:
    metrics that are no means, such as macro F1, are biased in resamples.

    Args:
        task: Whose metrics to take.
        scores: One per row.
        resamples: How many bootstrap samples.
        seed: Of the samples; the same scores and seed give the same interval.

    Returns:
        ``{metric: {"value", "low", "high"}}``.

    Raises:
        ValueError: There are no scores.
    """
    if not scores:
        raise ValueError("there are no scores to summarize")
    values = task.aggregate(totals(scores))
    samples = [task.aggregate(counts) for counts in _resampled(scores, resamples, seed)]
    tail = 100 * (1 - CONFIDENCE) / 2
    summary: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        low, high = np.percentile([sample[name] for sample in samples], [tail, 100 - tail])
        summary[name] = {"value": value, "low": min(float(low), value), "high": max(float(high), value)}
    return summary


def _resampled(scores: Sequence[Score], resamples: int, seed: int) -> Iterator[dict[Key, float]]:
    """Totals of rows drawn with replacement.

    Rows with equal counts are one pattern, drawn as often as its rows together would be: the same distribution from
    far fewer draws. Counts are sparse, so each key gathers the weights of the patterns that have it.
    """
    patterns, columns = _patterns(scores)
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_BYTES // (8 * len(patterns)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        weights = generator.multinomial(len(scores), patterns / len(scores), size=size).T.astype(np.float64)
        sums = [counts @ weights[rows] for rows, counts in columns.values()]  # one float64 [size] per key
        for sample in np.stack(sums, axis=1):
            yield dict(zip(columns, sample.tolist(), strict=True))


def _patterns(
    scores: Sequence[Score],
) -> tuple[NDArray[np.int64], dict[Key, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
    """How many rows have each pattern (int64 [patterns]), and each key's patterns with their counts."""
    seen = Counter(frozenset(score.counts.items()) for score in scores)
    example = {frozenset(score.counts.items()): score for score in reversed(scores)}
    rows: dict[Key, list[int]] = {}
    counts: dict[Key, list[float]] = {}
    for index, pattern in enumerate(seen):
        # The order of a set of strings differs between processes, and with it the last digit of a sum.
        for key, count in example[pattern].counts.items():
            rows.setdefault(key, []).append(index)
            counts.setdefault(key, []).append(count)
    columns = {key: (np.array(rows[key]), np.array(counts[key], dtype=np.float64)) for key in rows}
    return np.array(list(seen.values())), columns
