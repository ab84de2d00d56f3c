"""Scores by plain loops, written apart from the library's."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from exactune.tasks import Task

EXACT = 1e-9


def scored(task: Task, rows: Iterable[tuple[str, str, str]]) -> tuple[dict[str, float], Counter]:
    totals: Counter = Counter()
    for gold, given, text in rows:
        totals.update(task.score(task.parse(gold), task.parse(given), text).counts)
    return task.aggregate(totals), totals


def f1(both: float, gold: float, given: float) -> float:
    """From precision and recall, as the textbooks have it."""
    if not gold and not given:
        return 1.0
    precision, recall = both / given if given else 0.0, both / gold if gold else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def matches(gold: list[Any], given: list[Any]) -> list[Any]:
    """Items found, by crossing them off."""
    left, found = list(gold), []
    for item in given:
        if item in left:
            left.remove(item)
            found.append(item)
    return found


def loaded(text: str, usable: Callable[[Any], bool]) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if usable(value) else None


def in_part(gold: list[tuple[str, str]], given: list[tuple[str, str]], text: str) -> int:
    """By sets of characters: all places of a span in the input, every pair of places."""

    def places(span: str) -> list[set[int]]:
        return [
            set(range(start, start + len(span))) for start in range(len(text)) if span and text.startswith(span, start)
        ]

    pairs = []
    for (row, (kind, span)), (column, (other_kind, other)) in itertools.product(enumerate(gold), enumerate(given)):
        if kind == other_kind:
            best = max((len(a & b) / len(a | b) for a in places(span) for b in places(other)), default=0)
            best = 2 if span == other else best
            if best:
                pairs.append((-best, row, column))
    rows, columns = set(), set()
    for _, row, column in sorted(pairs):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
    return len(rows)
