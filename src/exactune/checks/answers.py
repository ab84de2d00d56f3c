"""Rules about the answers as a whole (D3xx) and their form (D4xx)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from exactune.checks.dataset import Dataset
from exactune.data.words import count, excerpt, unique
from exactune.language import say
from exactune.rules import Finding, Rule

__all__ = ["not_json"]


MOSTLY = 0.8
"""Share of JSON answers in training from which the others count as broken."""


def _is_json(answer: str) -> bool:
    try:
        return isinstance(json.loads(answer), (dict, list))
    except (ValueError, RecursionError):
        return False


def not_json(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An answer that is not JSON where most are.

    What it does:
        Where at least 80% of the training answers are a JSON object or array, finds the answers that are not, in every
        split.

    Why it matters:
        The model learns to write broken JSON some of the time, and a right answer in evaluation counts as wrong.

    Example:
        train.jsonl:40 has the answer {"sentiment": "正面"
        all others look like {"sentiment": "正面"}

    Fix:
        Write the answer as one strict JSON value.
    """
    train = dataset.splits.train
    if sum(_is_json(example.answer) for example in train) < MOSTLY * len(train) or not train:
        return
    broken = [example for _, rows in dataset.named_splits for example in rows if not _is_json(example.answer)]
    if broken:
        first = broken[0]
        yield rule.finding(
            say(
                "{answers} not JSON where the others are: {place} {answer!r}",
                answers=count(len(broken), "answer"),
                place=first.location,
                answer=excerpt(first.answer),
            ),
            locations=unique(example.location for example in broken),
            evidence={"rows": len(broken)},
        )
