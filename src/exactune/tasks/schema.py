"""A JSON schema inferred from values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from exactune.types import JsonValue

__all__ = ["infer_schema"]

ENUM_VALUES = 20
"""An enumeration has at most so many values,"""
ENUM_REPEATS = 5
"""each seen at least so often on average,"""
ENUM_LENGTH = 80
"""none longer than so many characters,"""
ENUM_COPIED = 0.9
"""and fewer than this share of them are copied from the input."""

OPEN_KEYS = 20
"""An object type with more distinct keys than this, half of them seen once, is a mapping with free keys."""

_TYPES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def infer_schema(values: Sequence[JsonValue], inputs: Sequence[str]) -> dict[str, Any]:
    """The schema that all values satisfy and that leaves little room for others.

    Objects allow the keys seen and no more; keys present in every one are required. Strings that recur become an
    enumeration unless they are copied from the input.

    Args:
        values: JSON values, one per row.
        inputs: What each was the answer to.
    """
    return _merge(list(zip(values, inputs, strict=True)))


def _merge(rows: Sequence[tuple[JsonValue, str]]) -> dict[str, Any]:
    types = Counter(_TYPES[type(value)] for value, _ in rows)
    if "number" in types:
        types["number"] += types.pop("integer", 0)
    schema: dict[str, Any] = {"type": next(iter(types)) if len(types) == 1 else sorted(types)}
    if objects := [(value, text) for value, text in rows if isinstance(value, dict)]:
        schema |= _object(objects)
    if items := [(item, text) for value, text in rows if isinstance(value, list) for item in value]:
        schema["items"] = _merge(items)
    if set(types) == {"string"} and (labels := _enumeration(rows)):
        schema["enum"] = labels
    return schema


def _object(rows: Sequence[tuple[dict[str, JsonValue], str]]) -> dict[str, Any]:
    fields: dict[str, list[tuple[JsonValue, str]]] = {}
    for value, text in rows:
        for key, item in value.items():
            fields.setdefault(key, []).append((item, text))
    once = sum(len(found) == 1 for found in fields.values())
    if len(fields) > OPEN_KEYS and once * 2 >= len(fields):
        return {"additionalProperties": _merge([pair for found in fields.values() for pair in found])}
    required = [key for key, found in fields.items() if len(found) == len(rows)]
    properties = {key: _merge(found) for key, found in fields.items()}
    return {"properties": properties, "required": required, "additionalProperties": False}


def _enumeration(rows: Sequence[tuple[str, str]]) -> list[str]:
    seen = Counter(value for value, _ in rows)
    if len(seen) > ENUM_VALUES or len(rows) < ENUM_REPEATS * len(seen):
        return []
    if any(len(value) > ENUM_LENGTH or "\n" in value for value in seen):
        return []
    copied = sum(value in text for value, text in rows)
    return list(seen) if copied < ENUM_COPIED * len(rows) else []
