"""One evaluation: generated answers beside gold ones, block by block, and what they add up to."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from exactune.evaluate.compare import compare
from exactune.evaluate.counted import ABSENT, Counted
from exactune.evaluate.errors import Errors
from exactune.evaluate.metrics import Figure, summarize
from exactune.infer.answers import Answer
from exactune.tasks import METRICS, Parsed, Score, Task
from exactune.types import Example, Status

__all__ = ["Baseline", "Evaluation", "Strata", "blocks", "point_metrics", "read_texts"]

Baseline = Callable[[Sequence[Example]], Sequence[Parsed | None]]
"""Rows -> their answers; ``None`` for rows that it does not answer."""

BLOCK = 16
"""Batches that are answered together: what their prompts begin with is read once, and long ones come first."""

QUICK = 200
"""Resamples for an interval during training."""


def blocks(rows: Sequence[Example], batch_size: int) -> Iterator[Sequence[Example]]:
    """The rows in order, as many at a time as are held in memory."""
    size = BLOCK * batch_size
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def read_texts(task: Task, texts: Sequence[str]) -> list[Parsed]:
    """Answer texts that ended by themselves, as the task reads them."""
    return [task.parse(text) for text in texts]


class Evaluation:
    """What ``eval/`` holds, gathered while rows are answered.

    Of each row only a few numbers stay: what it was worth for the model and for each baseline.

    Args:
        task: Parses and scores.
        split: Name of the split, for the record.
        baselines: By name.
    """

    def __init__(self, task: Task, split: str, baselines: Mapping[str, Baseline]) -> None:
        self.task, self.split, self.baselines = task, split, baselines
        self._statuses: Counter[str] = Counter()
        self._closed = 0
        self._counted = Counted()
        self._others = {name: Counted() for name in baselines}
        self._strata = Strata(task)
        self._errors = Errors(task)

    def add(self, examples: Sequence[Example], answers: Sequence[Answer]) -> list[dict[str, Any]]:
        """Score some rows, once each, and what every baseline says to them.

        Args:
            examples: The rows with their gold answers.
            answers: One per example, in order.

        Returns:
            Their lines of ``eval/predictions.jsonl``.
        """
        golds = [self.task.parse(example.answer) for example in examples]
        scores = [
            _scored(self.task, *row) for row in zip(examples, golds, (one.parsed for one in answers), strict=True)
        ]
        for example, gold, answer, score in zip(examples, golds, answers, scores, strict=True):
            self._errors.add(example, gold, answer.parsed, score)
            self._statuses[str(answer.parsed.status)] += 1
            self._closed += answer.closed
            self._strata.add(gold)
            self._counted.add(score)
        for name, baseline in self.baselines.items():
            for example, gold, parsed in zip(examples, golds, baseline(examples), strict=True):
                self._others[name].add(None if parsed is None else _scored(self.task, example, gold, parsed))
        return [_line(*row) for row in zip(examples, golds, answers, scores, strict=True)]

    def document(self) -> dict[str, Any]:
        """``eval/metrics.json``.

        Raises:
            ValueError: There were no rows.
        """
        task, totals = self.task, self._counted.totals()
        ours = summarize(task, self._counted, self._strata.numbers)
        theirs = {name: summarize(task, counted, self._strata.numbers) for name, counted in self._others.items()}
        document: dict[str, Any] = {
            "split": self.split,
            "n": len(self._counted),
            "primary": task.primary,
            "metrics": ours.metrics,
            "per_label": ours.per_label,
            "statuses": dict(self._statuses),
            "baselines": {name: summary.metrics for name, summary in theirs.items()},
            "baseline_rows": {name: counted.answered for name, counted in self._others.items()},
        }
        if theirs:
            document["comparison"] = self._comparison()
        confusion = task.confusion(totals)
        if confusion is not None:
            document["confusion"] = confusion
        if self._closed:
            document["closed"] = self._closed
        document["errors"] = self._errors.document()
        return document

    def plain(self) -> dict[str, Any]:
        """How many rows, their metrics and statuses, and nothing else.

        Raises:
            ValueError: There were no rows.
        """
        metrics = summarize(self.task, self._counted, self._strata.numbers).metrics
        return {"n": len(self._counted), "metrics": metrics, "statuses": dict(self._statuses)}

    def figure(self, places: Sequence[int]) -> Figure:
        """The primary metric on some of the rows, by their numbers.

        Raises:
            ValueError: There are none.
        """
        strata = [self._strata.numbers[place] for place in places]
        return summarize(self.task, self._counted.taken(places), strata).metrics[self.task.primary]

    def _comparison(self) -> dict[str, Any]:
        """The model against the best baseline, by the primary metric, on the rows that the baseline answered."""
        metric = self.task.primary
        best = min(self._others, key=lambda name: self._lead(self._others[name]))
        found = compare(self.task, self._counted, self._others[best], self._strata.numbers)[metric]
        return {
            "baseline": best,
            "metric": metric,
            **{key: found[key] for key in ("rows", "difference", "verdict", "rows_needed")},
        }

    def _lead(self, other: Counted) -> float:
        """How much better the model is by the primary metric, on the rows that the other one answered."""
        metric, shared = self.task.primary, other.rows != ABSENT
        ours, theirs = (self.task.aggregate(counted.totals(shared))[metric] for counted in (self._counted, other))
        return ours - theirs if METRICS[metric] == "max" else theirs - ours


class Strata:
    """Which rows are drawn from together: those with the same label; of other tasks, all.

    Attributes:
        numbers: Of each row.
    """

    def __init__(self, task: Task) -> None:
        self.by_label = task.type == "classification"
        self.numbers = array("i")
        self._known: dict[str, int] = {}

    def add(self, gold: Parsed) -> None:
        """The next row, by its right answer."""
        # Sets of labels, as rows of several have, are too many to draw from apart.
        label = gold.value if self.by_label and isinstance(gold.value, str) else ""
        self.numbers.append(self._known.setdefault(label, len(self._known)))


def _scored(task: Task, example: Example, gold: Parsed, parsed: Parsed) -> Score:
    return task.score(gold, parsed, example.input)


def _line(example: Example, gold: Parsed, answer: Answer, score: Score) -> dict[str, Any]:
    return {
        "id": example.id,
        "gold": gold.value,
        **({} if gold.status is Status.OK else {"gold_status": str(gold.status)}),
        **answer.to_json(),
        "correct": score.correct,
        "input": example.input,
    }


def point_metrics(task: Task, examples: Sequence[Example], answers: Sequence[Answer], metric: str) -> dict[str, float]:
    """What is looked at during training: the task's metrics, the one that decides first, and its interval.

    Args:
        task: Parses and scores.
        examples: The rows.
        answers: One per example.
        metric: The metric that decides. ``loss`` is none of the task's, and has no interval.

    Returns:
        The metrics, and ``low`` and ``high``.
    """
    counted, strata = Counted(), Strata(task)
    for example, answer in zip(examples, answers, strict=True):
        gold = task.parse(example.answer)
        strata.add(gold)
        counted.add(_scored(task, example, gold, answer.parsed))
    values = task.aggregate(counted.totals())
    if metric not in values:
        return values
    figure = summarize(task, counted, strata.numbers, resamples=QUICK).metrics[metric]
    return {metric: values[metric], **values, "low": figure["low"], "high": figure["high"]}
