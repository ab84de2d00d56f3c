"""The wrong answers, from ``eval/predictions.jsonl``."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exactune.report.files import number, text

__all__ = [
    "Clipped",
    "Difference",
    "Mistake",
    "Mistakes",
    "as_text",
    "clip",
    "differences",
    "read_mistake",
    "read_mistakes",
]

MOST = 50
"""How many wrong answers a report shows; the file has them all."""

LONGEST = 1500
"""Characters of an input or an answer that are shown."""


@dataclass(frozen=True, slots=True)
class Clipped:
    """A text for showing, and how many characters were left out."""

    text: str
    left_out: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Where gold and prediction part; ``path`` is empty for the whole answer, ``None`` means nothing there."""

    path: str
    gold: str | None
    predicted: str | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer; without ``differences`` it was right in content and wrong by its status."""

    id: str
    status: str
    confidence: float | None
    gold: Clipped
    differences: tuple[Difference, ...]
    answer: Clipped
    input: Clipped


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The wrong answers given with most confidence, and how many there are in all."""

    worst: tuple[Mistake, ...]
    wrong: int
    rows: int


def read_mistakes(lines: Iterable[Mapping[str, Any]]) -> Mistakes:
    """The worst mistakes, holding no more than :data:`MOST` rows in memory."""
    rows = wrong = 0
    worst: list[tuple[float, int, Mapping[str, Any]]] = []
    for line in lines:
        rows += 1
        if line.get("correct"):
            continue
        wrong += 1
        confidence = number(line.get("confidence"))
        # The running number keeps file order among equals and spares the heap from comparing rows.
        entry = (-1.0 if confidence is None else confidence, -wrong, line)
        (heapq.heappush if len(worst) < MOST else heapq.heappushpop)(worst, entry)
    ordered = sorted(worst, key=lambda entry: entry[:2], reverse=True)
    return Mistakes(tuple(read_mistake(line) for *_, line in ordered), wrong, rows)


def read_mistake(line: Mapping[str, Any], longest: int = LONGEST) -> Mistake:
    """One line of ``eval/predictions.jsonl``, its texts cut at ``longest`` characters."""
    return Mistake(
        id=text(line.get("id")),
        status=text(line.get("status")),
        confidence=number(line.get("confidence")),
        gold=clip(as_text(line.get("gold")), longest),
        differences=tuple(differences(line.get("gold"), line.get("prediction"))),
        answer=clip(text(line.get("answer")), longest),
        input=clip(text(line.get("input")), longest),
    )


def clip(whole: str, longest: int = LONGEST) -> Clipped:
    """The beginning of a text; one that is barely too long is shown whole."""
    if len(whole) <= longest * 1.1:
        return Clipped(whole, 0)
    return Clipped(whole[:longest], len(whole) - longest)


def as_text(value: Any) -> str:
    """A parsed answer in words: strings as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def differences(gold: Any, predicted: Any, path: str = "") -> Iterator[Difference]:
    """Where two parsed answers part: fields of objects, items of lists, otherwise the whole."""
    if isinstance(gold, Mapping) and isinstance(predicted, Mapping):
        for key in dict.fromkeys((*gold, *predicted)):
            where = f"{path}.{key}" if path else str(key)
            if key in gold and key in predicted:
                yield from differences(gold[key], predicted[key], where)
            else:
                missing = (_short(gold[key]), None) if key in gold else (None, _short(predicted[key]))
                yield Difference(where, *missing)
    elif isinstance(gold, list) and isinstance(predicted, list):
        yield from _items(gold, predicted, path)
    elif gold != predicted or type(gold) is not type(predicted):
        yield Difference(path, _shown(gold, path), _shown(predicted, path))


def _items(gold: list[Any], predicted: list[Any], path: str) -> Iterator[Difference]:
    """Items that only one side has, and the whole lists where only their order differs."""
    extra, missed = list(predicted), []
    for item in gold:
        if item in extra:
            extra.remove(item)
        else:
            missed.append(item)
    yield from (Difference(path, _item(item), None) for item in missed)
    yield from (Difference(path, None, _item(item)) for item in extra)
    if not missed and not extra and gold != predicted:
        yield Difference(path, _short(gold), _short(predicted))


def _shown(value: Any, path: str) -> str | None:
    """``None`` is no answer at the top and ``null`` inside one."""
    return None if value is None and not path else _short(value)


def _item(value: Any) -> str:
    """One item of a list; entities read better as ``text (type)``."""
    is_entity = isinstance(value, Mapping) and set(value) == {"text", "type"}
    return clip(f"{value['text']} ({value['type']})", 300).text if is_entity else _short(value)


def _short(value: Any) -> str:
    return clip(as_text(value), 300).text
