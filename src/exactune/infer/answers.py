"""From generated text to an answer with a status and a confidence."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from exactune.infer.parts import score_parts
from exactune.tasks import Parsed, Task
from exactune.types import Generation, Status

if TYPE_CHECKING:
    from exactune.render.template import Template

__all__ = ["Answer", "read_answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One generated answer, read by its task.

    Attributes:
        text: As generated, without stop tokens.
        parsed: Its value and status; an answer that did not stop has no value.
        confidence: Probability that the answer is right, 0 to 1, where it is calibrated; else the probability of the
            answer under the model: of the whole generated sequence; where answers are held to labels, of this label
            among them; under a grammar, among what it allows.
        mass: Where answers are held to labels, the probability that the model, left free, would give one of them.
        raw_confidence: Of a calibrated answer, what ``confidence`` was.
        logprob: Of the whole generated sequence, or of the label (nats).
        label_logprobs: Where answers are held to labels, of each label (nats); empty else.
        parts: Of a JSON answer, how sure each field, list item, entity or relation is, uncalibrated.
        closed: Whether it ran into the token limit, and only its grammar ended it.
    """

    text: str
    parsed: Parsed
    confidence: float
    mass: float | None = None
    raw_confidence: float | None = None
    logprob: float = 0.0
    label_logprobs: array[float] = field(default_factory=lambda: array("f"), repr=False)
    parts: tuple[Mapping[str, Any], ...] | None = None
    closed: bool = False

    def to_json(self) -> dict[str, Any]:
        """The fields as ``predictions.jsonl`` has them."""
        return {
            "answer": self.text,
            "prediction": self.parsed.value,
            "status": str(self.parsed.status),
            "confidence": round(self.confidence, 6),
            **({} if self.raw_confidence is None else {"raw_confidence": round(self.raw_confidence, 6)}),
            **({} if self.mass is None else {"mass": round(self.mass, 6)}),
            **({"closed": True} if self.closed else {}),
            **({} if self.parts is None else {"parts": [*self.parts]}),
        }


def read_answer(task: Task, generation: Generation, template: Template) -> Answer:
    """Parse a generation. One that was cut by the token limit is ``no_stop``, whatever it looks like; one that its
    grammar ended there is usable, and ``closed``."""
    parsed = task.parse(generation.text) if generation.stopped else Parsed(None, Status.NO_STOP)
    parts = score_parts(task, generation, parsed, template)
    return Answer(
        generation.text, parsed, math.exp(generation.logprob),
        logprob=generation.logprob, parts=parts, closed=generation.closed,
    )  # fmt: skip
