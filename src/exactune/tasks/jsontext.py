"""Reading JSON answers strictly, and comparing JSON values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from exactune.tasks.base import Parsed
from exactune.types import JsonValue, Status

__all__ = ["READABLE", "canonical", "leaves", "parse_answer", "parse_json", "quoted"]

READABLE = frozenset({Status.OK, Status.INVALID_SCHEMA, Status.UNKNOWN_LABEL})
"""Statuses of a JSON answer whose text is JSON, whatever it says."""

MAX_DEPTH = 64
"""Deeper values are refused, so that every walk over a value may recurse."""

MAX_DIGITS = 300
"""Longer integers are refused: they would not fit a float."""


def parse_json(text: str) -> JsonValue:
    """The one JSON value that a text consists of.

    Stricter than ``json.loads``: no ``NaN`` or ``Infinity``, no number beyond a float's range, no lone surrogate
    (it could not be written to a file), at most :data:`MAX_DEPTH` levels. A repeated key keeps its last value, as in
    ``json.loads``.

    Raises:
        ValueError: The text is anything else.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=_int)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is out of range")
    return number


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _depth(value: JsonValue) -> int:
    """How many containers stand inside each other; without recursion, since the value may be hostile."""
    depth, level = 0, [value]
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    return depth


def parse_answer(text: str) -> Parsed:
    """The JSON value of an answer: ``OK``, ``EMPTY`` or ``INVALID_JSON``."""
    if not text.strip():
        return Parsed(None, Status.EMPTY)
    try:
        return Parsed(parse_json(text), Status.OK)
    except ValueError:
        return Parsed(None, Status.INVALID_JSON)


def canonical(value: JsonValue) -> str:
    """A text that two values share exactly if they are equal as JSON.

    The order of keys does not matter, the order of items does; ``1`` equals ``1.0`` but not ``true``.
    """
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def leaves(value: JsonValue, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """``(path, canonical value)`` of every leaf.

    The items of a list stand under the path of the list, so their order does not matter. An empty list or object is a
    leaf: ``{"relations": []}`` has the one leaf ``(("relations",), "[]")``.
    """
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, canonical(value)


def quoted(text: str, limit: int = 60) -> str:
    """A text for a message: in backquotes, on one line, cut at ``limit`` characters."""
    line = " ".join(text.split())
    return f"`{line if len(line) <= limit else line[:limit] + '…'}`"
