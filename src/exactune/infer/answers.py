"""From generated text to an answer with a status and a confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from exactune.tasks import Parsed, Task
from exactune.types import Generation, Status

__all__ = ["Answer", "read_answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One generated answer, read by its task.

    Attributes:
        text: As generated, without stop tokens.
        parsed: Its value and status; an answer that did not stop has no value.
        confidence: Probability of the answer under the model, 0 to 1: of the whole generated sequence; where answers
            are held to labels, of this label among them; under a grammar, among what it allows.
        mass: Where answers are held to labels, the probability that the model, left free, would give one of them.
    """

    text: str
    parsed: Parsed
    confidence: float
    mass: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as ``predictions.jsonl`` has them."""
        return {
            "answer": self.text,
            "prediction": self.parsed.value,
            "status": str(self.parsed.status),
            "confidence": round(self.confidence, 6),
            **({} if self.mass is None else {"mass": round(self.mass, 6)}),
        }


def read_answer(task: Task, generation: Generation) -> Answer:
    """Parse a generation. One that was cut by the token limit is ``no_stop``, whatever it looks like."""
    parsed = task.parse(generation.text) if generation.stopped else Parsed(None, Status.NO_STOP)
    return Answer(generation.text, parsed, math.exp(generation.logprob))
