"""The grammar of a task's answers, for decoding that can write nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exactune.tasks.base import Task
from exactune.tasks.classification import ClassificationTask
from exactune.tasks.copying import copied_texts, ends_between_words, mark_copied
from exactune.tasks.entities import TEXT_KEYS, TYPE_KEYS, EntitiesTask, unwrap
from exactune.tasks.items import HEAD_KEYS, RELATION_KEYS, TAIL_KEYS, type_keys
from exactune.tasks.jsontask import JsonTask
from exactune.tasks.layout import Layout, find_layout
from exactune.tasks.rules import MAX_KEYS, UnsupportedSchema, lark
from exactune.tasks.schema import infer_schema
from exactune.tasks.shape import Shape
from exactune.types import JsonValue, Status

__all__ = ["answer_grammar", "copying_grammar"]

STRINGS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}

END_TYPES = tuple(key for end in (*HEAD_KEYS, *TAIL_KEYS) for key in type_keys(end))
"""Keys that may hold the type of an end."""


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
    found = _read(task, answers)
    if found is None:
        return None
    try:
        return lark(found.schema, found.values, found.layout)
    except UnsupportedSchema:
        return _by_schema(found.schema, found.layout)


def copying_grammar(task: Task, answers: Sequence[str], inputs: Sequence[str]) -> dict[str, Any] | None:
    """The same, where texts that training rows copy from their inputs can be nothing else.

    Args:
        task: The task.
        answers: Training answers as they are.
        inputs: What each is the answer to.

    Returns:
        ``{"grammar", "copy": {"words", "escapes"}}``: a grammar whose terminal :data:`~exactune.tasks.copying.COPY` is
        still to be defined for each input, and the arguments of :func:`~exactune.tasks.copying.copy_rule`. ``None``
        where no text is copied, or the schema is beyond :mod:`exactune.tasks.rules`.
    """
    found = _read(task, answers)
    if found is None:
        return None
    sources = [inputs[index] for index in found.rows]
    shape = Shape()
    for value, source in zip(found.values, sources, strict=True):
        shape.add(value, source)
    schema = mark_copied(found.schema, shape)
    copies = [
        (text, source)
        for value, source in zip(found.values, sources, strict=True)
        for text in copied_texts(schema, value)
    ]
    if not copies:
        return None
    try:
        grammar = lark(schema, found.values, found.layout)
    except UnsupportedSchema:
        return None
    return {"grammar": grammar, "copy": {"words": ends_between_words(copies), "escapes": found.layout.escapes}}


@dataclass(frozen=True, slots=True)
class _Read:
    """What training answers show.

    Attributes:
        schema: Of usable answers.
        values: Training answers that have the shape of most.
        rows: Which answers these are.
        layout: How they are written.
    """

    schema: Mapping[str, Any]
    values: Sequence[JsonValue]
    rows: Sequence[int]
    layout: Layout


def _read(task: Task, answers: Sequence[str]) -> _Read | None:
    layout = find_layout(answers)
    rows = [index for index, answer in enumerate(answers) if task.parse(answer).status is Status.OK]
    if layout is None or not rows:
        return None
    values = [json.loads(answers[index]) for index in rows]
    block = task.config()
    if isinstance(task, JsonTask):
        return _Read(task.schema, values, rows, layout)
    if isinstance(task, EntitiesTask):
        schema, values, rows = _entities(task, values, rows)
        return _Read(schema, values, rows, layout)
    if task.type == "relations":
        kinds = block["relation_types"], block.get("entity_types") or ()
        return _Read(_relations(values, *kinds), values, rows, layout)
    if block.get("multi_label"):
        return _Read(_label_list(block["labels"], block.get("field")), values, rows, layout)
    if isinstance(task, ClassificationTask) and task.field is not None:
        return _Read(_closed({task.field: {"enum": list(task.labels)}}), values, rows, layout)
    return None


def _label_list(labels: Sequence[str], field: str | None) -> dict[str, Any]:
    """Any of the labels; each once, where a rule can keep count of so many."""
    schema = {"type": "array", "items": {"enum": list(labels)}, "uniqueItems": len(labels) <= MAX_KEYS}
    return schema if field is None else _closed({field: schema})


def _relations(
    values: Sequence[JsonValue], relation_types: Sequence[str], entity_types: Sequence[str]
) -> dict[str, Any]:
    """Schema of answers that list relations, alone or beside entities: their shape with the types enumerated."""
    schema: dict[str, Any] = _with_types(infer_schema(values, [""] * len(values)), relation_types, entity_types)
    return schema


def _with_types(schema: Any, relation_types: Sequence[str], entity_types: Sequence[str]) -> Any:
    """A schema whose items have the types that are allowed, and free texts."""
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    if "items" in schema:
        made["items"] = _with_types(schema["items"], relation_types, entity_types)
    if "properties" in schema:
        fields = schema["properties"]
        names = dict.fromkeys(RELATION_KEYS, relation_types if _is_relation(fields) else entity_types)
        names |= dict.fromkeys(END_TYPES, entity_types)
        made["properties"] = {
            name: _with_types(item, relation_types, entity_types)
            if not _is_text(item)
            else {"enum": list(names[name])}
            if names.get(name)
            else {"type": "string"}
            for name, item in fields.items()
        }
    return made


def _is_relation(fields: Mapping[str, Any]) -> bool:
    heads, tails = ([fields[key] for key in keys if key in fields] for keys in (HEAD_KEYS, TAIL_KEYS))
    if not heads or not tails:
        return False
    # A span `from` one character `to` another has a text of its own.
    named = any(key in fields for key in TEXT_KEYS)
    return not (named and heads[0].get("type") == tails[0].get("type") == "integer")


def _is_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "string"


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


def _entities(
    task: EntitiesTask, values: Sequence[JsonValue], rows: Sequence[int]
) -> tuple[dict[str, Any], list[JsonValue], list[int]]:
    """Schema of the shape that most answers have, the answers of that shape, and which rows these are of."""
    ((wrapper, kind), _), *_ = Counter(_shape(value, task.entity_types) for value in values).most_common(1)
    fitting = [(row, value) for row, value in zip(rows, values, strict=True) if _fits(value, wrapper, kind)]
    inner = [value if wrapper is None else value[wrapper] for _, value in fitting]
    rows = [row for row, _ in fitting]
    if kind is dict:
        required = [name for name in task.entity_types if all(name in value for value in inner)]
        schema: dict[str, Any] = _closed(dict.fromkeys(task.entity_types, STRINGS), required)
    else:
        schema = infer_schema(inner, [""] * len(inner))
        fields = schema.get("items", {}).get("properties", {})
        for names, allowed in ((TEXT_KEYS, {"type": "string"}), (TYPE_KEYS, {"enum": list(task.entity_types)})):
            fields |= {name: allowed for name in names if name in fields}
    if wrapper is None:
        return schema, inner, rows
    return _closed({wrapper: schema}), [{wrapper: value} for value in inner], rows


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
