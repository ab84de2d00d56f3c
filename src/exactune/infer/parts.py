"""How sure a model is of each part of a JSON answer: a field, a list item, an entity, a relation."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from exactune.tasks import Parsed, Task
from exactune.tasks.jsontext import READABLE
from exactune.tasks.places import Place, find_places, write_path
from exactune.types import Generation

if TYPE_CHECKING:
    from exactune.render.template import Template

__all__ = ["score_parts"]

IN_PARTS = ("json", "entities", "relations")
"""Types of tasks whose answers have parts."""


def score_parts(
    task: Task, generation: Generation, parsed: Parsed, template: Template
) -> tuple[Mapping[str, Any], ...] | None:
    """The parts of an answer with the confidence of each.

    A part's confidence is the product of the probabilities of the tokens that were free to be something else and touch
    its text or that of a key on the way to it. A token that touches two parts, as one that ends a text and begins the
    next may, counts for both; none is thus surer than what it needs, or less sure than the whole answer.

    Args:
        task: What was asked for.
        generation: The answer with its tokens.
        parsed: The same, read.
        template: Made the tokens.

    Returns:
        ``{"path", "text", "confidence"}`` of each value; of an entity ``type`` too; of an item that is an object the
        texts in it instead. ``None`` if answers of the task have no parts, or this one is no JSON.
    """
    several = task.type in IN_PARTS or getattr(task, "multi_label", False)
    if not several or parsed.status not in READABLE or not generation.text.lstrip().startswith(("{", "[")):
        return None
    offsets = template.offsets(generation.ids, generation.text)
    free = [index for index, logprob in enumerate(generation.logprobs) if not math.isnan(logprob)]
    starts, stops = [offsets[index][0] for index in free], [offsets[index][1] for index in free]
    logprobs = [generation.logprobs[index] for index in free]
    parts = []
    for place in find_places(generation.text, whole_items=task.type != "json"):
        total, counted = 0.0, 0
        for start, stop in place.spans:  # from left to right, so that a token counts once
            first, counted = max(counted, bisect_right(stops, start)), bisect_left(starts, stop)
            total += sum(logprobs[first:counted])
        confidence = math.exp(total)
        said = _described(place, generation.text, typed=task.type == "entities")
        parts.append({"path": write_path(place.path), **said, "confidence": round(min(confidence, 1.0), 6)})
    return tuple(parts)


def _described(place: Place, text: str, *, typed: bool) -> dict[str, str]:
    """What a part says, for whoever reads it without the answer."""
    if isinstance(place.value, dict) and place.value:
        own = {"path", "confidence"}
        return {key: value for key, value in place.value.items() if isinstance(value, str) and key not in own}
    start, stop = place.spans[-1]
    shown = {"text": place.value if isinstance(place.value, str) else text[start:stop]}
    names = [step for step in place.path if isinstance(step, str)]
    return {"type": names[-1], **shown} if typed and names and isinstance(place.value, str) else shown
