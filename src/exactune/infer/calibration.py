"""Confidence that is what it says: how a probability under the model becomes the share of such answers that are right.

Neither way ever changes which answer is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from exactune.infer.answers import Answer

__all__ = ["Calibration", "log_odds"]

SUREST = 1e-6
"""A sequence is never taken for surer than one minus this, so that its odds are finite."""


def log_odds(logprob: float) -> float:
    """The log-odds of a sequence's log-probability, both in nats."""
    capped = min(logprob, math.log1p(-SUREST))
    return capped - math.log(-math.expm1(capped))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A scaling fitted on the eval rows.

    Attributes:
        method: ``temperature`` divides the log-probabilities of all labels (Guo et al., 2017, "On calibration of modern
            neural networks"). ``log_odds`` divides the log-odds of a generated sequence and adds a bias: Platt scaling
            (Platt, 1999) of what the model says; where it is right of itself, temperature 1 and bias 0.
        temperature: Above 1 the model was too sure, or, with a bias, too sure of its differences.
        bias: Of ``log_odds``; 0 else.
        rows: How many it was fitted on.
    """

    method: Literal["temperature", "log_odds"]
    temperature: float
    bias: float
    rows: int

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Calibration | None:
        """That of an artifact; None if it has none."""
        found = card.get("calibration")
        return None if found is None else cls(found["method"], found["temperature"], found["bias"], found["rows"])

    def to_card(self) -> dict[str, Any]:
        """As :meth:`from_card` reads it; JSON."""
        return {"method": self.method, "temperature": self.temperature, "bias": self.bias, "rows": self.rows}

    def apply(self, answer: Answer) -> Answer:
        """The same answer with a calibrated confidence; as it is where it came about otherwise than those fitted on."""
        if (self.method == "temperature") != bool(answer.label_logprobs):
            return answer
        raw = answer.confidence if answer.raw_confidence is None else answer.raw_confidence
        return replace(answer, confidence=self.confidence(answer.logprob, answer.label_logprobs), raw_confidence=raw)

    def confidence(self, logprob: float, label_logprobs: Sequence[float]) -> float:
        """Of an answer that came about as those fitted on did.

        Args:
            logprob: Of the sequence.
            label_logprobs: Of all labels, where they were scored.
        """
        if self.method == "temperature":
            top = max(label_logprobs)
            return 1 / sum(math.exp((value - top) / self.temperature) for value in label_logprobs)
        scaled = log_odds(logprob) / self.temperature + self.bias
        return 1 / (1 + math.exp(-scaled)) if scaled >= 0 else math.exp(scaled) / (1 + math.exp(scaled))
