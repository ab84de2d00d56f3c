"""Answers as most training answers are written: pure functions from an answer to its mended form, or ``None``."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exactune.mend.labels import label_forms, relabelled
from exactune.tasks import Task
from exactune.tasks.jsontext import canonical, parse_answer
from exactune.tasks.layout import LOOKED_AT, NUMBER, Layout, find_layout, key_order
from exactune.types import JsonValue, Status

__all__ = ["Change", "House", "laid_out", "learn_house", "mended_answer", "unescaped", "unfenced"]

MOSTLY = 0.8
"""Share of the training answers that have to be JSON once fences are off, for a fence to be a slip. As in D401."""

_FENCED = re.compile(r"\s*```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_ESCAPE = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\.", re.DOTALL
)

USUAL = 0.5
"""Share of the objects that have to have a key for it to have a place in their order. Rarer ones are often data: the
entity types of {"person": [...], "city": [...]} come in the order of the text."""

Path = tuple[str, ...]
"""Keys down to an object of a JSON value; the items of a list share that of the list."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one mender did to one answer."""

    code: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class House:
    """How most training answers are written.

    Attributes:
        task: What a right answer is.
        is_json: Whether nearly all of them are JSON objects or lists.
        labels: Variant -> the form that is used most.
        layout: Spacing of JSON answers; ``None`` if there is no usual one.
        orders: Keys of the objects at each path, in their usual order.
    """

    task: Task | None
    is_json: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    layout: Layout | None = None
    orders: Mapping[Path, Sequence[str]] = field(default_factory=dict)


def learn_house(task: Task | None, answers: Sequence[str], known: Collection[str] = ()) -> House:
    """The usual forms, from the training answers without fences and escapes.

    Args:
        task: As it is inferred from the rows.
        answers: Of the training rows.
        known: Labels that the config declares; none of them is a variant.
    """
    plain = [unfenced(answer) or answer for answer in answers]
    plain = [unescaped(answer) or answer for answer in plain]
    # Objects and lists are looked at alone: a bare 1.0 is a label, and no JSON to be written otherwise.
    containers = [answer for answer in plain if answer.lstrip()[:1] in ("{", "[")]
    return House(
        task,
        bool(plain) and len(containers) >= MOSTLY * len(plain),
        label_forms(task, plain, known),
        find_layout(containers) if containers else None,
        dict(_orders(containers)),
    )


def mended_answer(answer: str, house: House, codes: Collection[str]) -> list[Change]:
    """What has to be changed in an answer, one step after another; empty if it is as it should be."""
    changes: list[Change] = []
    for code, mender in (
        ("D408", lambda text: unfenced(text) if house.is_json else None),
        ("D403", unescaped),
        ("D303", lambda text: relabelled(text, house.task, house.labels, house.layout)),
        ("D404", lambda text: laid_out(text, house.layout, house.orders)),
    ):
        after = mender(answer) if code in codes else None
        if after is not None and after != answer:
            changes.append(Change(code, answer, after))
            answer = after
    return changes


def unfenced(text: str) -> str | None:
    """The JSON object or list that is all there is within a code fence."""
    found = _FENCED.fullmatch(text)
    inner = found[1].strip() if found else ""
    return inner if isinstance(parse_answer(inner).value, dict | list) else None


def unescaped(text: str) -> str | None:
    r"""The text with ``\uXXXX`` as the characters that they stand for; those without a shape of their own stay."""
    plain = _ESCAPE.sub(_character, text) if "\\u" in text else text
    return plain if plain != text else None


def _character(escape: re.Match[str]) -> str:
    high, low, single = escape.groups()
    if not (high or single):
        return escape[0]
    char = chr(int(single, 16)) if single else (bytes.fromhex(high) + bytes.fromhex(low)).decode("utf-16-be")
    return char if char > "\x7f" and unicodedata.category(char)[0] not in "CZ" else escape[0]


def laid_out(text: str, layout: Layout | None, orders: Mapping[Path, Sequence[str]]) -> str | None:
    """A JSON object or list with the usual spacing and order of keys; its values are the same to the digit."""
    before = parse_answer(text)
    layout = layout or find_layout([text])
    if before.status is not Status.OK or not isinstance(before.value, dict | list) or layout is None:
        return None
    try:
        value = json.loads(text, parse_float=lambda digits: "\0" + digits, object_pairs_hook=_object)
    except ValueError:
        return None
    after = NUMBER.sub(r"\1", layout.dump(_ordered(value, orders)))
    same = canonical(parse_answer(after).value) == canonical(before.value)
    return after if same and after != text else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice: which value is meant cannot be told")
    return value


def _ordered(value: JsonValue, orders: Mapping[Path, Sequence[str]], path: Path = ()) -> JsonValue:
    if isinstance(value, list):
        return [_ordered(item, orders, path) for item in value]
    if not isinstance(value, dict):
        return value
    known = [key for key in orders.get(path, ()) if key in value]
    # Keys that only few answers have stay behind the one they stand behind.
    keys = known if len(known) == len(value) else list(value)
    return {key: _ordered(value[key], orders, (*path, key)) for key in keys}


def _orders(answers: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    rows: dict[Path, list[list[str]]] = {}
    for answer in answers[:: -(-len(answers) // LOOKED_AT) or 1]:
        for path, keys in _keys(parse_answer(answer).value):
            rows.setdefault(path, []).append(keys)
    for path, seen in rows.items():
        times = Counter(key for keys in seen for key in keys)
        order = key_order(seen, [key for key, number in times.items() if number >= USUAL * len(seen)])
        if order:
            yield path, order


def _keys(value: JsonValue, path: Path = ()) -> Iterator[tuple[Path, list[str]]]:
    if isinstance(value, dict):
        yield path, list(value)
        for key, inner in value.items():
            yield from _keys(inner, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item, path)
