"""Training rows whose label is probably wrong, and how many there are."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.data.normalise import normalise
from exactune.evaluate.linear import WORD, held_out
from exactune.evaluate.metrics import CONFIDENCE
from exactune.infer.answers import Answer
from exactune.tasks import ClassificationTask, Task
from exactune.types import Example, Status

__all__ = ["find_doubts"]

MOST_ROWS = 2000
"""Training rows that are looked at, a seeded sample."""

LEAST_ROWS = 50
"""Of fewer, half are too few to tell anything by."""

MOST_EXAMPLES = 50

FEWEST = 2
"""Rows of a label: with one of them held out, another one still teaches it."""

STEPS = 40
"""Of the classifier's fitting; more change no figure, and 77 labels of 2,000 rows would take half a minute."""

SURE = 0.5
"""Share of the rows, the classifier's surest ones, by which wrong labels are told from a weak classifier."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The rows that are looked at.

    Attributes:
        rows: With a label that other rows have, too.
        classes: The number of each row's label, int64 ``[rows]``.
        labels: By number.
    """

    rows: Sequence[Example]
    classes: Numbers
    labels: Sequence[str]


def find_doubts(
    task: Task, train: Sequence[Example], answers: Mapping[str, Answer], seed: int, *, most: int = MOST_EXAMPLES
) -> dict[str, Any] | None:
    """Likely wrong labels among training rows.

    Confident learning (Northcutt, Jiang and Chuang, 2021, Confident learning: estimating uncertainty in dataset labels)
    on probabilities of a linear classifier that has not seen the row. A row is doubted where another label's
    probability is at least what that label's own rows have on average, and the highest of such; the surest are named,
    as many as there should be wrong ones.

    How many that is, confident learning itself overestimates where the classifier is weak: on 200 clean rows of 77
    labels it finds 69 %. Here it is where the line of disagreement over rank, drawn through the surest half of the
    rows, begins: a weak classifier is right where it is surest, while wrong labels are met there as often as anywhere.

    Args:
        task: Nothing is said but of classifications with one label.
        train: The training rows.
        answers: What the fine-tuned model says to some of them, by id.
        seed: Of sample and folds.
        most: At most so many are named.

    Returns:
        ``{"rows", "share", "low", "high", "examples": [{"id", "gold", "suggested", "confidence"}]}``, an example with
        ``agreed`` where the model has answered the row: whether it gives the suggested label, too; and ``agreed`` as a
        whole, ``{"of", "same"}``, of all rows that are doubted and answered. None where there is too little to go by.
    """
    labelled = _labelled(task, train, seed)
    if labelled is None:
        return None
    probabilities = held_out([row.input for row in labelled.rows], labelled.classes, seed, max_iter=STEPS)
    figure = _share(probabilities, labelled.classes)
    doubted = _doubted(probabilities, labelled.classes)
    named = doubted[: min(most, round(figure["value"] * len(labelled.rows)))]
    same = [_agreed(labelled, probabilities, row, answers) for row in doubted]
    known = [one for one in same if one is not None]
    return {
        "rows": len(labelled.rows),
        "share": figure["value"],
        "low": figure["low"],
        "high": figure["high"],
        "agreed": {"of": len(known), "same": sum(known)},
        "examples": [
            _example(labelled, probabilities, row, one) for row, one in zip(named, same, strict=False)
        ],
    }  # fmt: skip


def _labelled(task: Task, train: Sequence[Example], seed: int) -> _Labelled | None:
    """The rows to look at, each input once; None where they are too few or hold no words."""
    if not isinstance(task, ClassificationTask):
        return None
    drawn = range(len(train))
    if len(train) > MOST_ROWS:
        drawn = set(random.Random(seed).sample(drawn, MOST_ROWS))  # type: ignore[assignment]
    found: dict[str, tuple[Example, str]] = {}
    for number, row in enumerate(train):
        if number in drawn:
            parsed = task.parse(row.answer)
            if parsed.status is Status.OK:
                # The same input twice would be in the classifier's own rows when it is held out.
                found.setdefault(normalise(row.input), (row, parsed.value))
    times = Counter(label for _, label in found.values())
    kept = [(row, label) for row, label in found.values() if times[label] >= FEWEST]
    labels = list(dict.fromkeys(label for _, label in kept))
    if len(kept) < LEAST_ROWS or len(labels) < 2 or not any(re.search(WORD, row.input) for row, _ in kept):
        return None
    number_of = {label: number for number, label in enumerate(labels)}
    return _Labelled([row for row, _ in kept], np.array([number_of[label] for _, label in kept]), labels)


def _share(probabilities: Floats, classes: Numbers) -> dict[str, float]:
    """The share of wrong labels, with its 95 % interval.

    The intercept of a line by least squares, with the standard error that holds where rows differ in variance (White,
    1980); where disagreement does not rise, the plain mean.
    """
    falling = np.argsort(-probabilities.max(1), kind="stable")
    other = (probabilities.argmax(1) != classes)[falling[: math.ceil(SURE * len(classes))]].astype(np.float64)
    rank = (np.arange(len(other)) + 0.5) / len(other)
    # What each row adds to the intercept.
    pull = (1 - (rank - rank.mean()) * rank.mean() / rank.var()) / len(other)
    slope = float((rank - rank.mean()) @ other)
    if slope <= 0:
        rank, pull = np.zeros(len(other)), np.full(len(other), 1 / len(other))
    value = float(pull @ other)
    steepness = slope / (len(other) * float(rank.var())) if slope > 0 else 0.0
    error = math.sqrt(float((pull**2) @ (other - value - steepness * rank) ** 2))
    # No disagreement at all leaves room for as much as three in so many rows (Hanley and Lippman-Hand, 1983).
    reach = max(NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error, 3 / len(other))
    # A line may begin below nothing; what it then leaves room for begins there.
    value = min(max(value, 0.0), 1.0)
    return {"value": value, "low": max(0.0, value - reach), "high": min(1.0, value + reach)}


def _doubted(probabilities: Floats, classes: Numbers) -> list[int]:
    """Rows off the diagonal of the confident joint, those first whose own label is furthest behind."""
    labels = range(probabilities.shape[1])
    least = np.array([probabilities[classes == label, label].mean() for label in labels])
    confident = np.where(probabilities >= least, probabilities, -1.0)
    own = probabilities[np.arange(len(classes)), classes]
    off = (confident.max(1) >= 0) & (confident.argmax(1) != classes) & (probabilities.argmax(1) != classes)
    behind = probabilities.max(1) - own
    return [row for row in np.argsort(-behind, kind="stable").tolist() if off[row]]


def _suggested(labelled: _Labelled, probabilities: Floats, row: int) -> str:
    return labelled.labels[int(probabilities[row].argmax())]


def _agreed(labelled: _Labelled, probabilities: Floats, row: int, answers: Mapping[str, Answer]) -> bool | None:
    """Whether the fine-tuned model gives the suggested label, too; None where it was not asked."""
    answer = answers.get(labelled.rows[row].id)
    if answer is None:
        return None
    given = answer.parsed
    return given.status is Status.OK and given.value == _suggested(labelled, probabilities, row)


def _example(labelled: _Labelled, probabilities: Floats, row: int, agreed: bool | None) -> dict[str, Any]:
    return {
        "id": labelled.rows[row].id,
        "gold": labelled.labels[int(labelled.classes[row])],
        "suggested": _suggested(labelled, probabilities, row),
        "confidence": round(float(probabilities[row].max()), 6),
        **({} if agreed is None else {"agreed": agreed}),
    }
