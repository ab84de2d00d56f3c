"""Entities and relations inside a JSON answer, however they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exactune.tasks.entities import TEXT_KEYS, TYPE_KEYS, mapped_spans
from exactune.tasks.shape import Shape
from exactune.types import JsonValue

__all__ = ["HEAD_KEYS", "ID_KEYS", "RELATION_KEYS", "TAIL_KEYS", "Entity", "Items", "Relation", "has_items",
           "read_items", "read_nothing_else", "type_keys"]  # fmt: skip

HEAD_KEYS = ("head", "subject", "subj", "source", "from", "arg1")
TAIL_KEYS = ("tail", "object", "obj", "target", "to", "arg2")
"""Keys that may hold the two arguments of a relation."""

RELATION_KEYS = ("relation", "predicate", "rel", *TYPE_KEYS)
"""Keys that may hold the type of a relation; the first that is there does."""

ID_KEYS = ("id", "index")
"""Keys by which a relation may name an entity."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A span with its type, empty if it has none; ``item`` is the object it was written as."""

    text: str
    type: str
    item: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation with its two arguments as they were written, and their types where it says them, else empty."""

    type: str
    arguments: tuple[JsonValue, JsonValue]
    types: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Items:
    """What an answer lists.

    Attributes:
        entities: In the order of the answer.
        relations: The same.
    """

    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]


def has_items(shape: Shape) -> bool:
    """Whether answers of this shape list entities or relations."""
    lists = [shape, *shape.fields.values()]
    records = [one.items for one in lists if one.items is not None]
    return any(_first(TEXT_KEYS, one.fields) and _first(TYPE_KEYS, one.fields) for one in records) or any(
        _first(HEAD_KEYS, one.fields) and _first(TAIL_KEYS, one.fields) for one in records
    )


def read_items(value: JsonValue) -> Items:
    """The entities and relations in the lists of an answer, one level deep; others are passed over."""
    entities: list[Entity] = []
    relations: list[Relation] = []
    for part in _parts(value):
        if isinstance(part, Mapping):
            entities += _of_mapping(part)
            continue
        for item in part:
            if isinstance(item, Mapping):
                relation = _relation(item)
                if relation is not None:
                    relations.append(relation)
                elif (entity := _entity(item)) is not None:
                    entities.append(entity)
    return Items(tuple(entities), tuple(relations))


def read_nothing_else(value: JsonValue) -> Items | None:
    """The same of an answer that consists of relations and of entities with their types; ``None`` for any other."""
    if isinstance(value, dict) and (relation := _relation(value)) is not None:
        return Items((), (relation,))
    entities: list[Entity] = []
    relations: list[Relation] = []
    for part in value.values() if isinstance(value, dict) else [value]:
        if isinstance(part, dict):
            spans = mapped_spans(part)
            if spans is None:
                return None
            entities += [Entity(span.text, span.type) for span in spans]
        elif isinstance(part, list):
            for item in part:
                one = (_relation(item) or _entity(item)) if isinstance(item, dict) else None
                if isinstance(one, Relation):
                    relations.append(one)
                elif one is not None and one.type:
                    entities.append(one)
                else:
                    return None
        else:
            return None
    return Items(tuple(entities), tuple(relations))


def _parts(value: JsonValue) -> Iterator[Any]:
    """Lists, and mappings from types to spans that stand beside a list."""
    if isinstance(value, list):
        yield value
    elif isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list)]
        yield from lists
        yield from (part for part in value.values() if isinstance(part, dict) and lists)


def _of_mapping(part: Mapping[str, Any]) -> list[Entity]:
    spans = [(kind, span) for kind, spans in part.items() if isinstance(spans, list) for span in spans]
    return [Entity(span, kind) for kind, span in spans if isinstance(span, str)]


def _first(keys: tuple[str, ...], item: Mapping[str, Any]) -> str | None:
    return next((key for key in keys if key in item), None)


def _relation(item: Mapping[str, Any]) -> Relation | None:
    head, tail, kind = _first(HEAD_KEYS, item), _first(TAIL_KEYS, item), _first(RELATION_KEYS, item)
    if head is None or tail is None or kind is None or not isinstance(item[kind], str):
        return None
    if _first(TEXT_KEYS, item) and type(item[head]) is type(item[tail]) is int:
        return None  # a span `from` one character `to` another
    return Relation(item[kind], (item[head], item[tail]), (_type_of(head, item), _type_of(tail, item)))


def type_keys(end: str) -> tuple[str, ...]:
    """Keys that may hold the type of an argument beside it: ``head_type``, ``head_label``, …"""
    return tuple(f"{end}_{key}" for key in TYPE_KEYS)


def _type_of(end: str, item: Mapping[str, Any]) -> str:
    key = _first(type_keys(end), item)
    return item[key] if key is not None and isinstance(item[key], str) else ""


def _entity(item: Mapping[str, Any]) -> Entity | None:
    text, kind = _first(TEXT_KEYS, item), _first(TYPE_KEYS, item)
    if text is None or not isinstance(item[text], str):
        return None
    return Entity(item[text], item[kind] if kind is not None and isinstance(item[kind], str) else "", item)
