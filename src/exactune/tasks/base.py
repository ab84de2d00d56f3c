"""What every task is made of: a parsed answer, the score of one example, and the protocol that ties them.

A task scores examples one by one and computes its metrics from the *sum* of their counts. Resampling examples
is then a weighted sum, which is what makes confidence intervals cheap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from exactune.errors import ConfigError
from exactune.language import Text, say
from exactune.types import JsonValue, Status

__all__ = ["METRICS", "Counts", "Parsed", "Score", "Task", "better", "rate"]

Counts = Mapping[tuple[str, ...], float]
"""What was counted -> how often: ``{("gold", "LOC"): 2, ("n",): 1}``. Additive over examples."""

METRICS: Mapping[str, Literal["max", "min"]] = {
    "accuracy": "max",
    "macro_f1": "max",
    "micro_f1": "max",
    "exact_match": "max",
    "field_f1": "max",
    "valid_json": "max",
    "valid_schema": "max",
    "entity_f1": "max",
    "entity_macro_f1": "max",
    "entity_partial_f1": "max",
    "triple_f1": "max",
    "typed_triple_f1": "max",
    "triple_macro_f1": "max",
    "invented_spans": "min",
    "token_f1": "max",
    "loss": "min",
}
"""Every metric that can choose a checkpoint or be a gate, and the direction in which it improves."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an answer text means.

    Attributes:
        value: In the task's own form; ``None`` where the text cannot be read (and for a JSON ``null``).
        status: ``OK``, or why the answer is not usable. ``NO_STOP`` is set by whoever generated the text.
    """

    value: JsonValue
    status: Status


@dataclass(frozen=True, slots=True)
class Score:
    """One example's contribution to the metrics.

    Attributes:
        correct: Whether the answer is right as a whole.
        counts: What the task's metrics are computed from.
    """

    correct: bool
    counts: Counts


class Task(Protocol):
    """What a right answer is."""

    @property
    def type(self) -> str:
        """The task's name in a config and in :data:`exactune.tasks.TASKS`."""

    @property
    def primary(self) -> str:
        """The metric that chooses the best checkpoint unless the user names another."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that :meth:`aggregate` returns, the primary one first."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The task of a complete ``task`` block.

        Raises:
            ConfigError: The block lacks something or contradicts itself.
        """

    def config(self) -> dict[str, Any]:
        """The ``task`` block that :meth:`from_config` turns into this task again; JSON-able."""

    def describe(self) -> Text:
        """One line for people."""

    def parse(self, text: str) -> Parsed:
        """What a text means as an answer to this task; never raises."""

    def score(self, gold: Parsed, predicted: Parsed, source: str | None = None) -> Score:
        """Compare one answer with the right one.

        Args:
            gold: The right answer.
            predicted: The answer given.
            source: The input, for tasks whose answers are copied from it; ``None`` where it is not known.
        """

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """The metrics, each in [0, 1], from counts summed over examples. A count of 0 is the same as none."""

    def per_label(self, totals: Counts) -> dict[str, dict[str, float]]:
        """``precision``, ``recall``, ``f1`` and ``support`` of each label, type or field that occurred."""

    def confusion(self, totals: Counts) -> dict[str, Any] | None:
        """``{"labels": [...], "matrix": [[int]]}``, rows gold, columns predicted; ``None`` where meaningless."""


def better(metric: str, a: float, b: float) -> bool:
    """Whether ``a`` is strictly better than ``b``; NaN is worse than any number.

    Raises:
        ConfigError: The metric is unknown.
    """
    if metric not in METRICS:
        raise ConfigError(say("unknown metric `{metric}`. Known: {names}.", metric=metric, names=", ".join(METRICS)))
    if math.isnan(a) or math.isnan(b):
        return math.isnan(b) and not math.isnan(a)
    return a > b if METRICS[metric] == "max" else a < b


def rate(part: float, whole: float) -> float:
    """``part / whole``; 0 of nothing is 0."""
    return part / whole if whole else 0.0
