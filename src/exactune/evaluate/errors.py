"""What goes wrong most: confused labels, things missed and invented, and slices that are worse than the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from exactune.evaluate.slices import MOST_ROWS, Slices, figure_of
from exactune.tasks import Parsed, Score, Task
from exactune.tasks.jsontext import READABLE, leaves
from exactune.types import Example, JsonValue, Status

__all__ = ["Errors", "swapped", "things_of"]

NO_LABEL = "(none)"
"""Stands for an answer that is none of the labels, as in the confusion matrix."""

KEPT = 1000
"""Things of a kind that are counted at least; past twice as many the rarest go, whose counts may then be too low."""

LISTED = 50
"""Entries of each list of a document."""

LONGEST = 200
"""Characters of a thing; what is longer is cut."""

Item = tuple[str, str]
"""Label and text: type and span, field and value, relation and its ends."""


@dataclass(slots=True)
class _Entry:
    count: int = 0
    rows: list[str] = field(default_factory=list)


class _Tally:
    """How often things happened, and the first rows they happened in; the rarest are dropped in time."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, ...], _Entry] = {}

    def add(self, key: tuple[str, ...], row: str = "", times: int = 1) -> None:
        entry = self._entries.setdefault(key, _Entry())
        entry.count += times
        if row and len(entry.rows) < MOST_ROWS and row not in entry.rows[-1:]:
            entry.rows.append(row)
        if len(self._entries) > 2 * KEPT:
            self._entries = dict(self.most(KEPT))

    def most(self, number: int) -> list[tuple[tuple[str, ...], _Entry]]:
        """The most frequent; of equally frequent ones the first met."""
        return sorted(self._entries.items(), key=lambda item: -item[1].count)[:number]

    def count(self, key: tuple[str, ...]) -> int:
        entry = self._entries.get(key)
        return entry.count if entry else 0


class Errors:
    """The ``errors`` block of ``eval/metrics.json``, row by row.

    Its memory does not grow with the rows: counters hold at most ``2 * KEPT`` things with :data:`MOST_ROWS` row ids
    each, slices what :class:`~exactune.evaluate.slices.Slices` says.

    Args:
        task: Whose answers they are.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._confused, self._gold, self._missed, self._invented = _Tally(), _Tally(), _Tally(), _Tally()
        self._slices = Slices(figure_of(task.metrics))

    def add(self, example: Example, gold: Parsed, predicted: Parsed, score: Score) -> None:
        """Count one row.

        Args:
            example: The row.
            gold: Its right answer.
            predicted: What was answered.
            score: How the task scored that.
        """
        self._slices.add(example, predicted.status, score)
        if isinstance(gold.value, str) and self._task.type == "classification":
            self._label(example.id, gold.value, predicted, score)
        elif self._task.type != "text":
            self._items(example.id, things_of(self._task.type, gold), things_of(self._task.type, predicted), score)

    def _label(self, row: str, gold: str, predicted: Parsed, score: Score) -> None:
        self._gold.add(("", gold))
        if not score.correct:
            given = predicted.value if predicted.status is Status.OK else NO_LABEL
            self._confused.add(("", gold, str(given)), row)

    def _items(self, row: str, gold: Counter[Item], predicted: Counter[Item], score: Score) -> None:
        for item in gold:
            self._gold.add(self._name(item), times=gold[item])
        # What the task takes for equal is no error, however it is written.
        if score.correct:
            return
        missed, invented = gold - predicted, predicted - gold
        for tally, items in ((self._missed, missed), (self._invented, invented)):
            for item, times in items.items():
                tally.add(item, row, times)
        for one, other in swapped(missed, invented, by=0 if self._task.type == "json" else 1):
            self._confused.add((*self._name(one), self._name(other)[1]), row)

    def _name(self, item: Item) -> tuple[str, str]:
        """What is confused: of a JSON answer the values of one field, otherwise types."""
        return item if self._task.type == "json" else ("", item[0])

    def document(self) -> dict[str, Any]:
        """What was found; lists without entries are left out.

        ``figure`` is what the slices are measured by and its value on all rows.
        """
        found = {
            "confused": [self._pair(key, entry) for key, entry in self._confused.most(LISTED)],
            "missed": _listed(self._missed),
            "invented": _listed(self._invented),
        }
        figure = {"name": self._slices.figure.name, **self._slices.all.estimate()}
        return {
            **{name: entries for name, entries in found.items() if entries},
            "figure": figure,
            "slices": self._slices.document(),
        }

    def _pair(self, key: tuple[str, ...], entry: _Entry) -> dict[str, Any]:
        label, gold, predicted = key
        of = max(self._gold.count((label, gold)), entry.count)
        named = {"label": label} if label else {}
        return {**named, "gold": gold, "predicted": predicted, "count": entry.count, "of": of, "rows": entry.rows}


def _listed(tally: _Tally) -> list[dict[str, Any]]:
    return [
        {"label": label, "text": text, "count": entry.count, "rows": entry.rows}
        for (label, text), entry in tally.most(LISTED)
    ]


def swapped(missed: Counter[Item], invented: Counter[Item], by: int) -> Iterator[tuple[Item, Item]]:
    """What was missed beside what was given in its place: the one missed and the one invented thing that share a part.

    Args:
        missed: Things of the right answer alone.
        invented: Things of the given answer alone.
        by: The part that is shared: 0 for the label, 1 for the text.
    """
    places: dict[str, tuple[list[Item], list[Item]]] = {}
    for side, items in enumerate((missed, invented)):
        for item in items:
            places.setdefault(item[by], ([], []))[side].append(item)
    yield from ((one[0], other[0]) for one, other in places.values() if len(one) == len(other) == 1)


def things_of(kind: str, answer: Parsed) -> Counter[Item]:
    """The things of an answer as the task counts them; an answer that cannot be read has none."""
    if kind == "json":
        found = leaves(answer.value) if answer.status in READABLE else ()
        return Counter((".".join(path), _cut(_plain(leaf))) for path, leaf in found)
    items = _things(answer.value) if answer.status is Status.OK else ()
    return Counter((label, _cut(text)) for label, text in items)


def _things(value: JsonValue) -> Iterator[Item]:
    """Labels, entities and relations of a parsed answer; relations and the entities beside them are one list."""
    if isinstance(value, dict):
        value = [*value["relations"], *value.get("entities", ())]
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            yield item, ""
        else:
            yield item["type"], item["text"] if "text" in item else f"{item['head']} → {item['tail']}"


def _plain(leaf: str) -> str:
    """A JSON leaf for people: strings without quotes."""
    return str(json.loads(leaf)) if leaf.startswith('"') else leaf


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
