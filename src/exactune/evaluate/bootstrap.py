"""Metrics of rows drawn again and again: what an interval and a comparison are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.evaluate.counted import ABSENT, Counted, Key
from exactune.tasks import Task

__all__ = ["RESAMPLES", "Samples", "draw"]

RESAMPLES = 1000
"""How often rows are drawn."""

CHUNK_BYTES = 8_000_000
"""Memory for the weights of the resamples that are drawn at once."""

UNUSED = "cell"
"""Counts of the confusion matrix, which no metric is made of; of 77 labels they would take most of the time."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The figures of one system in each resample.

    Attributes:
        metrics: Of each metric, float64 ``[resamples]``.
        f1: Of each label, type or field; NaN where a resample has none of it.
    """

    metrics: dict[str, NDArray[np.float64]]
    f1: dict[str, NDArray[np.float64]]


def draw(
    task: Task, systems: Sequence[Counted], strata: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Samples]:
    """The figures of some systems, each time on the same resample of the rows that all of them answered.

    Rows are drawn with replacement within their stratum, one fewer than it has, each then weighing a little more: so
    that a stratum of few rows does not look steadier than it is (Rao and Wu, 1988, Resampling inference with complex
    survey data). Strata of one row, which would not vary at all, are drawn from together.

    Args:
        task: Whose metrics to take.
        systems: Their counts, on the same rows.
        strata: The number of each row's stratum.
        resamples: How many.
        seed: The same counts and seed give the same figures.

    Raises:
        ValueError: There is no row that all answered.
    """
    rows = np.array([counted.rows for counted in systems])
    shared = (rows != ABSENT).all(0)
    if not shared.any():
        raise ValueError("there are no scores to summarize")
    # Rows that are alike in all respects are drawn as often as together they would be.
    grouped = np.vstack([_pooled(np.asarray(strata, dtype=np.int64)[shared]), rows[:, shared]])
    cells, times = np.unique(grouped, axis=1, return_counts=True)
    sources = [_Source(task, counted, cells[1 + number]) for number, counted in enumerate(systems)]
    parts: list[list[Samples]] = [[] for _ in systems]
    for weights in _weights(cells[0], times, resamples, seed):
        for source, found in zip(sources, parts, strict=True):
            found.append(source.figures(weights))
    return [_joined(found) for found in parts]


def _pooled(strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """The strata with those of a single row as one, -1."""
    _, number, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    return np.where(sizes[number] > 1, number, -1)


def _weights(
    strata: NDArray[np.int64], times: NDArray[np.int64], resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """What each cell weighs, float64 ``[cells, part of the resamples]``; cells come sorted by stratum."""
    _, starts = np.unique(strata, return_index=True)
    bounds = [*starts.tolist(), len(strata)]
    # One for each stratum, so that the size of the parts changes nothing.
    generators = [np.random.default_rng([seed, number]) for number in range(len(starts))]
    step = max(1, CHUNK_BYTES // (8 * len(strata)))
    for begin in range(0, resamples, step):
        size = min(step, resamples - begin)
        weights = np.empty((len(strata), size))
        for generator, start, stop in zip(generators, bounds, bounds[1:], strict=False):
            rows = int(times[start:stop].sum())
            drawn = max(rows - 1, 1)
            shares = times[start:stop] / rows
            weights[start:stop] = generator.multinomial(drawn, shares, size=size).T * (rows / drawn)
        yield weights


class _Source:
    """One system's counts by cell, ready to be weighed.

    Args:
        task: Whose metrics to take.
        counted: The system's counts.
        patterns: The pattern of each cell.
    """

    def __init__(self, task: Task, counted: Counted, patterns: NDArray[np.int64]) -> None:
        self.task = task
        kept = [number for key, number in counted.keys.items() if key[0] != UNUSED]
        names = list(counted.keys)
        self.keys: list[Key] = [names[number] for number in kept]
        self.counts: Any = counted.matrix()[patterns][:, kept].T
        self.labels = list(dict.fromkeys(key[1] for key in self.keys if key[0] in ("gold", "predicted")))

    def figures(self, weights: NDArray[np.float64]) -> Samples:
        sums: NDArray[np.float64] = self.counts @ weights  # [keys, resamples]
        rows = [self.task.aggregate(dict(zip(self.keys, sample, strict=True))) for sample in sums.T.tolist()]
        place = {key: number for number, key in enumerate(self.keys)}
        none = np.zeros(weights.shape[1])

        def of(*key: str) -> NDArray[np.float64]:
            return sums[place[key]] if key in place else none

        f1 = {}
        for label in self.labels:
            size = of("gold", label) + of("predicted", label)
            f1[label] = np.divide(2 * of("both", label), size, out=np.full(len(size), np.nan), where=size > 0)
        return Samples({name: np.array([row[name] for row in rows]) for name in rows[0]}, f1)


def _joined(parts: Sequence[Samples]) -> Samples:
    return Samples(
        {name: np.concatenate([part.metrics[name] for part in parts]) for name in parts[0].metrics},
        {label: np.concatenate([part.f1[label] for part in parts]) for label in parts[0].f1},
    )
