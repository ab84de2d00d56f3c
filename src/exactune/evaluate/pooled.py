"""What was trained under several seeds, scored on the same rows: figures and differences over rows and seeds.

Two sets of weights differ by the luck of a training, too. So rows and seeds are both drawn again: rows within their
stratum, the same for every system and seed, and seeds in pairs, one fewer than there are (Rao and Wu, 1988), so that
few of them do not look steadier than they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.evaluate.bootstrap import RESAMPLES, Samples, draw
from exactune.evaluate.compare import verdict
from exactune.evaluate.counted import Counted
from exactune.evaluate.metrics import Figure, percentiles, wilson
from exactune.tasks import Task

__all__ = ["compare_seeds", "summarize_seeds"]

Seeds = Mapping[int, Counted]
"""Seed -> what was answered under it; every one on the same rows in the same order."""


def summarize_seeds(task: Task, runs: Seeds, strata: Sequence[int]) -> dict[str, Figure]:
    """Each metric as its mean over seeds, with a 95 % interval over rows and seeds.

    A mean of exactly 0 or 1, which no resample would move, has Wilson's over the rows.

    Args:
        task: Whose metrics to take.
        runs: At least one.
        strata: As for :func:`~exactune.evaluate.metrics.summarize`.
    """
    samples = _over_seeds(draw(task, [*runs.values()], strata))
    rows = next(iter(runs.values())).answered
    return {
        name: wilson(value, rows) if value in (0, 1) else percentiles(samples[name], value)
        for name, value in _means(task, [*runs.values()]).items()
    }


def compare_seeds(task: Task, ours: Seeds, theirs: Seeds, strata: Sequence[int]) -> dict[str, dict[str, Any]]:
    """The differences between two methods' metrics, under the seeds that both have.

    Args:
        task: Whose metrics to take.
        ours: The method that is judged.
        theirs: The one it is held against.
        strata: As for :func:`~exactune.evaluate.metrics.summarize`.

    Returns:
        For each metric ``{"value", "low", "high", "verdict", "seeds"}``: the mean difference with its 95 % interval,
        ``better``, ``worse`` or ``level``, and under how many seeds it was taken.

    Raises:
        ValueError: They share no seed.
    """
    shared = [seed for seed in ours if seed in theirs]
    if not shared:
        raise ValueError("the two have no seed in common")
    pairs = [ours[seed] for seed in shared], [theirs[seed] for seed in shared]
    drawn = draw(task, [*pairs[0], *pairs[1]], strata)
    here, there = _over_seeds(drawn[: len(shared)]), _over_seeds(drawn[len(shared) :])
    own, other = (_means(task, counted) for counted in pairs)
    found: dict[str, dict[str, Any]] = {}
    for name, value in own.items():
        figure = percentiles(here[name] - there[name], value - other[name])
        word = verdict(name, figure["low"], figure["high"])
        found[name] = {**figure, "verdict": word, "seeds": len(shared)}
    return found


def _means(task: Task, runs: Sequence[Counted]) -> dict[str, float]:
    values = [task.aggregate(counted.totals()) for counted in runs]
    return {name: float(np.mean([one[name] for one in values])) for name in values[0]}


def _over_seeds(samples: Sequence[Samples]) -> dict[str, NDArray[np.float64]]:
    """Of each metric the mean over the seeds drawn in each resample, float64 ``[resamples]``."""
    weights = _weights(len(samples))
    return {
        name: (weights * np.stack([one.metrics[name] for one in samples])).sum(0) for name in samples[0].metrics
    }  # fmt: skip


def _weights(seeds: int) -> NDArray[np.float64]:
    """What each seed weighs, float64 ``[seeds, RESAMPLES]``; the same draws for everything of so many seeds."""
    drawn = max(seeds - 1, 1)
    times = np.random.default_rng([0, seeds]).multinomial(drawn, [1 / seeds] * seeds, size=RESAMPLES)
    return np.asarray(times.T / drawn, dtype=np.float64)
