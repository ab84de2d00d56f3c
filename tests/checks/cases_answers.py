"""Form and spans of JSON answers (D402 to D409)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cases import Case, Pairs, dataset, ready

NAMES = [
    f"{first} {last}" for first in ("Ann", "Bob", "Cleo", "Dag", "Ela") for last in ("Falk", "Grau", "Holm", "Iven")
]
TOWNS = ["Rome", "Bern", "Oslo", "Lima", "Baku"]

Answer = Callable[[int], Any]


def texts(number: int = 40) -> list[str]:
    return [f"{NAMES[n % 20]} number {n} moved to {TOWNS[n % 5]}." for n in range(number)]


def answered(make: Answer, number: int = 40) -> list[tuple[str, str]]:
    """Rows whose answers are the JSON of what is made from their number."""
    return [(text, json.dumps(make(n), ensure_ascii=False)) for n, text in enumerate(texts(number))]


def replaced(rows: Pairs, line: int, answer: Any) -> list[tuple[str, str]]:
    """The rows with another answer in one line; what is no text is written as JSON."""
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return [(question, text if number == line else old) for number, (question, old) in enumerate(rows, 1)]


def record(n: int) -> dict[str, Any]:
    return {"name": NAMES[n % 20], "town": TOWNS[n % 5], "age": 20 + n}


def entities(n: int) -> dict[str, list[str]]:
    return {"PERSON": [NAMES[n % 20]], "CITY": [TOWNS[n % 5]]} if n % 3 else {"PERSON": [NAMES[n % 20]]}


def joint(n: int) -> dict[str, Any]:
    name, town = NAMES[n % 20], TOWNS[n % 5]
    return {
        "entities": [{"text": name, "type": "PERSON"}, {"text": town, "type": "CITY"}],
        "relations": [{"head": name, "type": "lives_in", "tail": town}],
    }


RECORDS, ENTITIES, JOINT = answered(record), answered(entities), answered(joint)
TURNED = {"age": 22, "name": NAMES[2], "town": TOWNS[2]}


def case(rows: Pairs, answer: Any) -> Case:
    """One wrong answer in line 3."""
    return Case(ready(dataset(replaced(rows, 3, answer))), [3], ready(dataset(rows)))


CASES = {
    "D402": case(RECORDS, record(2) | {"age": "22"}),
    "D403": case(RECORDS, json.dumps(record(2)).replace("Rome", "R\\u00f8me").replace("Oslo", "\\u00d8slo")),
    "D404": case(RECORDS, TURNED),
    "D405": case(ENTITIES, {"PERSON": ["Anne Holme"]}),
    "D406": case(ENTITIES, entities(2) | {"CITYS": ["Oslo"]}),
    "D407": case(JOINT, joint(2) | {"relations": [{"head": NAMES[2], "type": "lives_in", "tail": "number"}]}),
    "D408": case(RECORDS, f"Here it is: {json.dumps(record(2))}"),
    "D409": case(RECORDS, f"<think>Who?</think>{json.dumps(record(2))}"),
}
