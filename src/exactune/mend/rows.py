"""One answer of one row, changed where the row has it; everything else of the row stays as it was written."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from exactune.data.formats import FORMATS
from exactune.data.turns import answer_text
from exactune.types import Example

__all__ = ["answer_slot", "in_json", "in_table", "with_answer"]

Slot = tuple[str | int, ...]
"""Keys and numbers down to the answer in a row."""


def answer_slot(row: Mapping[str, Any], example: Example) -> Slot | None:
    """Where the row has the answer of the example made from it; ``None`` where that is not plain."""
    format = FORMATS.get(example.format)
    keys = (format.keys[-1],) if format else tuple(row)
    slots = [slot for key in keys for slot in _slots(row, key)]
    holding = [slot for slot in slots if answer_text(_at(row, slot)) == example.answer]
    return holding[0] if len(holding) == 1 else None


def _slots(row: Mapping[str, Any], key: str) -> Iterator[Slot]:
    """The value under a key, and the text of its last message if it is a list of messages."""
    value = row.get(key)
    yield (key,)
    last = value[-1] if isinstance(value, list) and value else value
    where: Slot = (key, len(value) - 1) if isinstance(value, list) else (key,)
    if isinstance(last, Mapping):
        yield from ((*where, name) for name in ("content", "value") if name in last)


def _at(row: Mapping[str, Any], slot: Slot) -> Any:
    value: Any = row
    for step in slot:
        value = value[step]
    return value


def with_answer(row: Mapping[str, Any], slot: Slot, answer: str) -> dict[str, Any]:
    """The row with another answer."""
    changed: Any = copy.deepcopy(dict(row))
    inner = changed
    for step in slot[:-1]:
        inner = inner[step]
    inner[slot[-1]] = answer
    return changed  # type: ignore[no-any-return]


def in_json(body: str, row: Mapping[str, Any], slot: Slot, answer: str) -> str:
    """The text of a JSON row with another answer; only where the answer cannot be found in it, written anew."""
    wanted, old = with_answer(row, slot, answer), _at(row, slot)
    # A file that writes its own characters as escapes goes on doing so.
    escapes = body.isascii() and not json.dumps(row, ensure_ascii=False).isascii()
    new = json.dumps(answer, ensure_ascii=escapes)
    for written in dict.fromkeys((json.dumps(old, ensure_ascii=False), json.dumps(old))):
        at = body.rfind(written)
        while at >= 0:
            candidate = body[:at] + new + body[at + len(written) :]
            if _means(candidate, wanted):
                return candidate
            at = body.rfind(written, 0, at)
    inner = body.strip()
    return body.replace(inner, json.dumps(wanted, ensure_ascii=escapes), 1)


def _means(text: str, row: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(text) == row)
    except ValueError:
        return False


def in_table(body: str, row: Mapping[str, Any], slot: Slot, answer: str, delimiter: str) -> str:
    """The record of a table with another answer."""
    fields = [str(value) for value in with_answer(row, slot, answer).values()]
    written = io.StringIO()
    # It quotes what holds a character of the line's end, so that has to be a real one.
    csv.writer(written, delimiter=delimiter, lineterminator="\r\n").writerow(fields)
    return written.getvalue().removesuffix("\r\n") + body[len(body.rstrip("\r\n")) :]
