"""The scored rows as a table, from ``eval/predictions.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exactune.report.files import UNPRINTABLE, number, text
from exactune.report.mistakes import as_text

__all__ = ["Row", "Table"]

MOST = 10_000
"""Rows of the table, the first of the file; more would make a page of many megabytes."""

MOST_CHARACTERS = 6_000_000
"""Characters of all its texts together; rows past them are left out, too."""

LONGEST = 400
"""Characters of one text."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``labels`` are what it can be filtered by: labels, types, or fields that are wrong."""

    id: str
    gold: str
    predicted: str
    status: str
    correct: bool
    confidence: float | None
    input: str
    labels: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """The first rows of the file, and how many it has.

    Attributes:
        rows: In file order.
        total: All lines of the file.
    """

    rows: list[Row] = field(default_factory=list)
    total: int = 0
    _characters: int = 0
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any]) -> None:
        """Count a line, and keep it while there is room."""
        self.total += 1
        if self.total > MOST or self._characters > MOST_CHARACTERS:
            return
        row = _row(line)
        self._places.setdefault(row.id, len(self.rows))
        self._characters += sum(map(len, (row.id, row.gold, row.predicted, row.input)))
        self.rows.append(row)

    def places(self, ids: tuple[str, ...]) -> list[int]:
        """Where some rows stand, of those that are in the table."""
        return [self._places[name] for name in ids if name in self._places]

    @property
    def statuses(self) -> tuple[str, ...]:
        """Every status, the most frequent first."""
        return _ranked(row.status for row in self.rows)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label, in alphabetical order."""
        return tuple(sorted(_ranked(label for row in self.rows for label in row.labels)))

    def to_json(self) -> dict[str, Any]:
        """What the page's script reads: rows as lists, with statuses and labels by number."""
        statuses = {name: number for number, name in enumerate(self.statuses)}
        labels = {name: number for number, name in enumerate(self.labels)}
        rows = [
            [row.id, row.gold, row.predicted, statuses[row.status], int(row.correct), row.confidence, row.input,
             [labels[label] for label in row.labels]]
            for row in self.rows
        ]  # fmt: skip
        return {"statuses": list(statuses), "labels": list(labels), "rows": rows}


def _ranked(values: Iterator[str]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return tuple(sorted(counts, key=lambda value: -counts[value]))


def _row(line: Mapping[str, Any]) -> Row:
    gold, prediction, confidence = line.get("gold"), line.get("prediction"), number(line.get("confidence"))
    predicted = text(line.get("answer")) if prediction is None else brief(prediction)
    return Row(
        _cut(text(line.get("id"))),
        _cut(brief(gold)),
        _cut(predicted),
        _cut(text(line.get("status"))),
        bool(line.get("correct")),
        None if confidence is None else round(confidence, 4),
        _cut(text(line.get("input"))),
        tuple(dict.fromkeys(map(_cut, _labels(gold, prediction)))),
    )


def brief(value: Any) -> str:
    """A parsed answer on one line: entities as ``text (type)``, relations with an arrow, anything else as JSON."""
    if isinstance(value, list):
        return "; ".join(map(brief, value)) or "[]"
    if isinstance(value, Mapping) and isinstance(value.get("relations"), list):
        return brief(_items(value))
    if isinstance(value, Mapping) and set(value) >= {"text", "type"}:
        return f"{text(value['text'])} ({text(value['type'])})"
    if isinstance(value, Mapping) and set(value) >= {"head", "tail"}:
        kind = text(value.get("type", value.get("relation")))
        return f"{brief(value['head'])} → {brief(value['tail'])} ({kind})"
    return "" if value is None else as_text(value)


def _labels(gold: Any, prediction: Any) -> Iterator[str]:
    """Labels and types of both answers; of objects the fields in which they differ."""
    if isinstance(gold, Mapping) and not _kind(gold) and not isinstance(gold.get("relations"), list):
        given = prediction if isinstance(prediction, Mapping) else {}
        yield from (text(key) for key in (*gold, *given) if key not in given or gold.get(key) != given[key])
        return
    for answer in (gold, prediction):
        for item in _items(answer):
            label = _kind(item) if isinstance(item, Mapping) else item
            if isinstance(label, str) and label:
                yield label


def _items(answer: Any) -> list[Any]:
    """The things of an answer; relations and the entities beside them are one list."""
    if isinstance(answer, Mapping) and isinstance(answer.get("relations"), list):
        entities = answer.get("entities")
        return [*answer["relations"], *(entities if isinstance(entities, list) else ())]
    return answer if isinstance(answer, list) else [answer]


def _kind(item: Mapping[str, Any]) -> Any:
    return next((item[key] for key in ("type", "relation") if key in item and len(item) > 1), None)


def _cut(whole: str) -> str:
    clean = UNPRINTABLE.sub("\ufffd", whole)
    return clean if len(clean) <= LONGEST else f"{clean[: LONGEST - 1]}…"
