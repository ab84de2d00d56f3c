"""One evaluation: generated answers beside gold ones, and what they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exactune.evaluate.metrics import summarize, totals
from exactune.infer.answers import Answer
from exactune.tasks import Score, Task
from exactune.types import Example

__all__ = ["Evaluation", "evaluate_answers", "point_metrics", "score_texts"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What ``eval/`` holds.

    Attributes:
        metrics: The document of ``eval/metrics.json``.
        predictions: The lines of ``eval/predictions.jsonl``.
    """

    metrics: dict[str, Any]
    predictions: list[dict[str, Any]]


def evaluate_answers(
    task: Task,
    split: str,
    examples: Sequence[Example],
    answers: Sequence[Answer],
    baselines: Mapping[str, Sequence[str]],
) -> Evaluation:
    """Score every answer, once each, and every baseline the same way.

    Args:
        task: Parses and scores.
        split: Name of the split, for the record.
        examples: The rows with their gold answers.
        answers: One per example, in order.
        baselines: Name -> answer texts, one per example.
    """
    pairs = [_score(task, example, answer) for example, answer in zip(examples, answers, strict=True)]
    scores = [score for _, score in pairs]
    sums = totals(scores)
    metrics: dict[str, Any] = {
        "split": split,
        "n": len(examples),
        "primary": task.primary,
        "metrics": summarize(task, scores),
        "per_label": task.per_label(sums),
        "statuses": dict(Counter(str(answer.parsed.status) for answer in answers)),
        "baselines": {name: summarize(task, score_texts(task, examples, texts)) for name, texts in baselines.items()},
    }
    confusion = task.confusion(sums)
    if confusion is not None:
        metrics["confusion"] = confusion
    return Evaluation(metrics, [prediction for prediction, _ in pairs])


def _score(task: Task, example: Example, answer: Answer) -> tuple[dict[str, Any], Score]:
    gold = task.parse(example.answer)
    score = task.score(gold, answer.parsed, example.input)
    prediction = {
        "id": example.id,
        "gold": gold.value,
        **answer.to_json(),
        "correct": score.correct,
        "input": example.input,
    }
    return prediction, score


def score_texts(task: Task, examples: Sequence[Example], texts: Sequence[str]) -> list[Score]:
    """Scores of answer texts that ended by themselves."""
    return [
        task.score(task.parse(example.answer), task.parse(text), example.input)
        for example, text in zip(examples, texts, strict=True)
    ]


def point_metrics(task: Task, examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, float]:
    """The task's metrics without intervals: what is looked at during training."""
    return task.aggregate(totals([_score(task, *pair)[1] for pair in zip(examples, answers, strict=True)]))
