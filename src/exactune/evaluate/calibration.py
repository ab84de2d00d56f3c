"""Whether confidences are what they say, and the scaling that makes them so."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.infer.answers import Answer
from exactune.infer.calibration import Calibration, log_odds

__all__ = ["BINS", "Confidences", "coverage", "expected_error"]

BINS = 15
"""Bins of equal width, as in Guo et al. (2017)."""

FOLDS = 5
"""Where the rows that a scaling was fitted on are also those it is judged on, each fifth is scaled by the others."""

STEPS = 20
"""Points of the coverage curve: every 5 % of the rows."""

SPREAD = 1.0
"""Standard deviation of what log-temperature and bias are before any row is seen: normal around what changes nothing.
It decides only where rows do not, as when there are few."""

LIMIT = 4.0
"""Largest log-temperature either way."""

TINY = 1e-300
"""Odds below this are taken for it."""

Floats = NDArray[np.float64]


class Confidences:
    """What a scaling is fitted on and judged by, gathered while rows are answered: some numbers of each row."""

    def __init__(self) -> None:
        self._raw, self._given = array("d"), array("d")
        self._logprobs, self._labels = array("d"), array("f")
        self._right = bytearray()
        self._scored, self._scaled = 0, 0

    def add(self, answers: Sequence[Answer], correct: Sequence[bool]) -> None:
        """Note some answers of one artifact, and whether each is right."""
        for answer, is_right in zip(answers, correct, strict=True):
            raw = answer.confidence if answer.raw_confidence is None else answer.raw_confidence
            self._raw.append(round(raw, 6))
            self._given.append(round(answer.confidence, 6))
            self._logprobs.append(answer.logprob)
            self._labels.extend(answer.label_logprobs)
            self._right.append(is_right)
            self._scored += bool(answer.label_logprobs)
            self._scaled += answer.raw_confidence is not None

    def fit(self) -> Calibration | None:
        """The scaling under which what happened is most likely; the rows should be such as training has not seen.

        It minimises the negative log-likelihood of the given answers' being right or wrong, with targets that leave
        room for the next row's being otherwise (Platt, 1999) and a weak prior (:data:`SPREAD`). Labels are scaled by a
        temperature, sequences by a temperature and a bias of their log-odds.
        ``None`` without rows, and where labels were scored for some of them only.
        """
        return self._fit(np.arange(len(self._right)))

    def _fit(self, rows: NDArray[np.int64]) -> Calibration | None:
        if not len(rows) or 0 < self._scored < len(self._right):
            return None
        right = np.frombuffer(self._right, dtype=np.bool_)[rows]
        targets = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
        if self._scored:
            logprobs = np.asarray(self._labels, dtype=np.float64).reshape(len(self._right), -1)[rows]
            (log_t,) = _minimum(lambda at: _label_loss(logprobs, targets, at[0]), 1)
            return Calibration("temperature", math.exp(log_t), 0.0, len(rows))
        odds = np.array([log_odds(self._logprobs[row]) for row in rows.tolist()])
        log_t, bias = _minimum(lambda at: _odds_loss(odds * np.exp(-at[0]) + at[1], targets), 2)
        return Calibration("log_odds", math.exp(log_t), float(bias), len(rows))

    def block(self, calibration: Calibration | None, *, fitted_on_these: bool) -> dict[str, Any] | None:
        """What ``eval/metrics.json`` says of confidences.

        Args:
            calibration: By which those of the answers were scaled.
            fitted_on_these: Whether it was fitted on these rows. The error after scaling is then of each fifth of the
                rows scaled as the other four would have it, and ``figures`` says ``cross-fitted`` instead of
                ``held-out``. The coverage curve is of the confidences given, whose order hardly depends on the fit.

        Returns:
            ``None`` where nothing was scaled.
        """
        if calibration is None or not self._right or self._scaled < len(self._right):
            return None
        correct = [bool(one) for one in self._right]
        after = self._cross_fitted() if fitted_on_these else self._given
        return {
            **calibration.to_card(),
            "figures": "cross-fitted" if fitted_on_these else "held-out",
            "before": expected_error(self._raw, correct),
            "after": expected_error(after, correct),
            "coverage": coverage(self._given, correct),
        }

    def _cross_fitted(self) -> list[float]:
        """The confidence of each answer as a scaling fitted without it has it; of a single one, unscaled."""
        count = len(self._right)
        folds = np.random.default_rng(0).permutation(count) % FOLDS
        width = len(self._labels) // count
        scaled = [*self._raw]
        for fold in range(min(FOLDS, count)):
            if fitted := self._fit(np.flatnonzero(folds != fold)):
                for row in np.flatnonzero(folds == fold).tolist():
                    labels = self._labels[row * width : (row + 1) * width]
                    scaled[row] = fitted.confidence(self._logprobs[row], labels)
        return scaled


def _minimum(loss: Callable[[Floats], float], size: int) -> Floats:
    """Where a loss (nats, summed over rows) and the prior are least together, from what changes nothing."""
    from scipy.optimize import minimize

    bounds = [(-LIMIT, LIMIT), (None, None)][:size]
    found = minimize(lambda at: loss(at) + float((at**2).sum()) / (2 * SPREAD**2), np.zeros(size), bounds=bounds)
    return np.asarray(found.x, dtype=np.float64)


def _label_loss(logprobs: Floats, targets: Floats, log_t: float) -> float:
    """Of the best label's being right with probabilities ``[rows]``, by log-probabilities ``[rows, labels]``."""
    weights = np.exp((logprobs - logprobs.max(1, keepdims=True)) * np.exp(-log_t))
    # The best one's weight is 1, so the others' are the odds of its being wrong.
    others = np.maximum(np.sort(weights, axis=1)[:, :-1].sum(1), TINY)
    return _odds_loss(-np.log(others), targets)


def _odds_loss(odds: Floats, targets: Floats) -> float:
    return float((np.logaddexp(0.0, odds) - targets * odds).sum())


def expected_error(confidences: Sequence[float], correct: Sequence[bool]) -> dict[str, Any]:
    """Expected calibration error (Guo et al., 2017), and the bins of its reliability diagram.

    Bins are of equal width; a confidence on a border belongs to the bin below. Few rows make the error look larger than
    it is, by about the standard error of a bin's accuracy.

    Returns:
        ``{"ece", "bins": [{"low", "high", "n", "confidence", "accuracy"}]}``, empty bins left out.
    """
    sure, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    which = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for index in range(BINS):
        inside = which == index
        if n := int(inside.sum()):
            mean, accuracy = float(sure[inside].mean()), float(right[inside].mean())
            low, high = index / BINS, (index + 1) / BINS
            bins.append({"low": low, "high": high, "n": n, "confidence": mean, "accuracy": accuracy})
    gaps = [one["n"] * abs(one["confidence"] - one["accuracy"]) for one in bins]
    return {"ece": math.fsum(gaps) / len(sure), "bins": bins}


def coverage(confidences: Sequence[float], correct: Sequence[bool]) -> list[dict[str, float]]:
    """How accurate the surest answers are, from all of them to a twentieth.

    Returns:
        ``{"coverage", "accuracy", "threshold"}``, falling by coverage: the share of rows whose confidence is at least
        the threshold, and how many of those are right. Rows of equal confidence stay together.
    """
    falling = sorted(zip(confidences, correct, strict=True), key=lambda row: -row[0])
    curve: dict[float, dict[str, float]] = {}
    for step in range(STEPS, 0, -1):
        threshold = falling[math.ceil(len(falling) * step / STEPS) - 1][0]
        if threshold not in curve:
            answered = [is_right for confidence, is_right in falling if confidence >= threshold]
            share, accuracy = len(answered) / len(falling), sum(answered) / len(answered)
            curve[threshold] = {"coverage": share, "accuracy": accuracy, "threshold": threshold}
    return [*curve.values()]
