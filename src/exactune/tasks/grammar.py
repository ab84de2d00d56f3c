"""The grammar of a task's answers, for decoding that can write nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from exactune.tasks.base import Task
from exactune.tasks.classification import ClassificationTask
from exactune.tasks.entities import TEXT_KEYS, TYPE_KEYS, EntitiesTask, unwrap
from exactune.tasks.jsontask import JsonTask
from exactune.tasks.layout import Layout, find_layout
from exactune.tasks.rules import UnsupportedSchema, lark
from exactune.tasks.schema import infer_schema
from exactune.types import JsonValue, Status

__all__ = ["answer_grammar"]

STRINGS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}


def answer_grammar(task: Task, answers: Sequence[str]) -> str | None:
    """What the task calls a usable answer, written as most training answers are written.

    It allows the types, keys and enumerations of the task's schema with the spacing, escapes and key order of the
    training answers. Lengths are free. It need not allow every training answer: a few may be written otherwise, and a
    schema beyond :mod:`exactune.tasks.rules` keeps its own order of keys. ``Grammar.accepts`` in ``infer`` tells.

    Args:
        task: The task.
        answers: Training answers as they are.

    Returns:
        A grammar for llguidance in its variant of Lark's syntax, the same for the same arguments; ``None`` for tasks
        without JSON answers, and where there is no way of writing that most answers share.
    """
    layout = find_layout(answers)
    parsed = [task.parse(answer) for answer in answers]
    texts = [answer for answer, found in zip(answers, parsed, strict=True) if found.status is Status.OK]
    if layout is None or not texts:
        return None
    values = [json.loads(text) for text in texts]
    if isinstance(task, JsonTask):
        schema: Mapping[str, Any] = task.schema
    elif isinstance(task, EntitiesTask):
        schema, values = _entities(task, values)
    elif isinstance(task, ClassificationTask) and task.field is not None:
        schema = _closed({task.field: {"enum": list(task.labels)}})
    else:
        return None
    try:
        return lark(schema, values, layout)
    except UnsupportedSchema:
        return _by_schema(schema, layout)


def _closed(fields: Mapping[str, Any], required: Sequence[str] | None = None) -> dict[str, Any]:
    """An object of these fields, all of them required unless others are said to be."""
    names = list(fields) if required is None else list(required)
    return {"type": "object", "properties": dict(fields), "required": names, "additionalProperties": False}


def _by_schema(schema: Mapping[str, Any], layout: Layout) -> str | None:
    """The grammar as llguidance itself makes it of any schema; its keys come in the order of the schema."""
    if layout.indent is not None or layout.escapes:
        return None
    options = {
        "item_separator": re.escape(layout.comma),
        "key_separator": re.escape(layout.colon),
        "whitespace_flexible": False,
        "json_allowed_escapes": 'nrbtf\\"',
    }
    return f"start: %json {json.dumps({**schema, 'x-guidance': options}, ensure_ascii=False)}\n"


def _entities(task: EntitiesTask, values: Sequence[JsonValue]) -> tuple[dict[str, Any], list[JsonValue]]:
    """Schema of the shape that most answers have, and the answers of that shape."""
    ((wrapper, kind), _), *_ = Counter(_shape(value, task.entity_types) for value in values).most_common(1)
    inner = [value if wrapper is None else value[wrapper] for value in values if _fits(value, wrapper, kind)]
    if kind is dict:
        required = [name for name in task.entity_types if all(name in value for value in inner)]
        schema: dict[str, Any] = _closed(dict.fromkeys(task.entity_types, STRINGS), required)
    else:
        schema = infer_schema(inner, [""] * len(inner))
        fields = schema.get("items", {}).get("properties", {})
        for names, allowed in ((TEXT_KEYS, {"type": "string"}), (TYPE_KEYS, {"enum": list(task.entity_types)})):
            fields |= {name: allowed for name in names if name in fields}
    if wrapper is None:
        return schema, inner
    return _closed({wrapper: schema}), [{wrapper: value} for value in inner]


def _shape(value: JsonValue, types: Sequence[str]) -> tuple[str | None, type]:
    """The key around the entities, if there is one, and whether they are a list or a mapping."""
    inside = unwrap(value)
    if inside is value or (not inside and next(iter(value)) in types):
        return None, type(value)
    return next(iter(value)), type(inside)


def _fits(value: JsonValue, wrapper: str | None, kind: type) -> bool:
    if wrapper is not None:
        return isinstance(value, dict) and list(value) == [wrapper] and isinstance(value[wrapper], kind)
    return isinstance(value, kind)
