"""What training answers look like: labels, entities, relations, other JSON, or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from exactune.tasks.entities import OFFSET_KEYS, TEXT_KEYS, TYPE_KEYS, entity_items, unwrap
from exactune.tasks.items import HEAD_KEYS, ID_KEYS, RELATION_KEYS, TAIL_KEYS, Items, read_nothing_else, type_keys
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.multilabel import read_labels
from exactune.tasks.relations import relation_value
from exactune.tasks.shape import nearly_all
from exactune.types import Example, JsonValue

__all__ = ["are_lists", "containers", "detect", "holds", "single_field"]

LABEL_LENGTH = 80
"""A label is one line of at most so many characters."""

RECURRING = 0.75
"""Share of the rows whose answer has to stand in another row too, for answers to be labels."""

DISTINCT = 0.4
"""At most so many labels per row; rows written in two wordings each are still free text."""

COPIED = 0.9
"""Share of the spans that has to stand in the input word for word, for a mapping to be entities."""

FOUND = 0.5
"""From this share on, texts are copied from the input and no labels."""

KNOWN = frozenset((
    *HEAD_KEYS, *TAIL_KEYS, *RELATION_KEYS, *TEXT_KEYS, *TYPE_KEYS, *OFFSET_KEYS, *ID_KEYS,
    *(key for end in (*HEAD_KEYS, *TAIL_KEYS) for key in type_keys(end)),
))  # fmt: skip
"""Keys of relations and entities; an item with others says more than a triple."""


def detect(examples: Sequence[Example]) -> str:
    """The type of task whose answers look most like these."""
    values = containers(examples)
    if not nearly_all(len(values), len(examples)):
        return "classification" if _are_labels([example.answer.strip() for example in examples]) else "text"
    field = single_field(values, str)
    if field is not None and _are_labels([value[field] for value in values if holds(value, field, str)]):
        return "classification"
    if _are_label_lists(examples, values):
        return "classification"
    if _are_relations(values):
        return "relations"
    return "entities" if _are_entities(examples, values) else "json"


def containers(examples: Sequence[Example]) -> list[JsonValue]:
    """The answers that are JSON objects or arrays; the same answer again is the same object."""
    parse = lru_cache(10_000)(parse_answer)
    values = (parse(example.answer).value for example in examples)
    return [value for value in values if isinstance(value, dict | list)]


def _are_labels(answers: Sequence[str]) -> bool:
    """Whether answers are short and recur often enough to be labels rather than free text."""
    rows, seen = len(answers), Counter(answers)
    short = sum(0 < len(answer) <= LABEL_LENGTH and "\n" not in answer for answer in answers)
    recurring = sum(count for count in seen.values() if count > 1)
    return nearly_all(short, rows) and recurring >= RECURRING * rows and len(seen) <= max(1, DISTINCT * rows)


def single_field(values: Sequence[JsonValue], kind: type) -> str | None:
    """The key of ``{key: "text"}`` (or of lists) if nearly all values are such objects with the same key."""
    keys: Counter[str] = Counter(next(iter(value)) for value in values if isinstance(value, dict) and len(value) == 1)
    for key, _ in keys.most_common(1):
        if nearly_all(sum(holds(value, key, kind) for value in values), len(values)):
            return key
    return None


def holds(value: JsonValue, field: str, kind: type) -> bool:
    """Whether a value is an object with this key alone, and under it a text or a list."""
    return isinstance(value, dict) and list(value) == [field] and isinstance(value[field], kind)


def are_lists(values: Sequence[JsonValue]) -> bool:
    """Whether nearly all values are lists."""
    return nearly_all(sum(isinstance(value, list) for value in values), len(values))


def _are_label_lists(examples: Sequence[Example], values: Sequence[JsonValue]) -> bool:
    """Whether answers are lists, bare or under one key, of labels that are not copied from the input."""
    field = single_field(values, list)
    if field is None and not are_lists(values):
        return False
    # The same answer again is read once; only what is copied depends on the row.
    read = lru_cache(10_000)(read_labels)
    answers = [(read(example.answer, field).value, example.input) for example in examples]
    lists = [(labels, text) for labels, text in answers if labels is not None]
    labels = [label for found, _ in lists for label in found]
    copied = sum(label in text for found, text in lists for label in found)
    return nearly_all(len(lists), len(examples)) and _are_labels(labels) and copied < FOUND * len(labels)


def _are_relations(values: Sequence[JsonValue]) -> bool:
    """Whether answers are lists of relations whose types recur, alone or beside one of entities."""
    lists = [items for value in values if (items := _listed(value)) is not None]
    if not nearly_all(len(lists), len(values)):
        return False
    kinds = Counter(relation.type for items in lists for relation in items.relations)
    return bool(kinds) and len(kinds) <= max(1, DISTINCT * kinds.total())


def _listed(value: JsonValue) -> Items | None:
    """What a list or an object of lists holds, if that is relations and entities of known keys and nothing else."""
    parts = value.values() if isinstance(value, dict) else [value]
    items = read_nothing_else(value)
    if items is None or relation_value(value) is None or not all(isinstance(part, list | dict) for part in parts):
        return None
    records = [item for part in parts if isinstance(part, list) for item in part]
    return items if all(KNOWN.issuperset(record) for record in records) else None


def _are_entities(examples: Sequence[Example], values: Sequence[JsonValue]) -> bool:
    """Whether answers are items with text and type, or mappings from types to spans of the input."""
    found = [unwrap(value) for value in values if entity_items(value) is not None]
    if not nearly_all(len(found), len(values)):
        return False
    items = [item for inner in found if isinstance(inner, list) for item in inner]
    if items:
        known = {*TEXT_KEYS, *TYPE_KEYS, *OFFSET_KEYS}
        return all(known.issuperset(item) for item in items)
    # One key, or the same keys in nearly every row, is a fixed structure: its lists are fields, not types.
    keys = Counter(frozenset(inner) for inner in found if isinstance(inner, dict) and inner)
    fixed = any(nearly_all(times, keys.total()) for times in keys.values())
    return len(frozenset().union(*keys)) >= 2 and not fixed and _are_copied(examples)


def _are_copied(examples: Sequence[Example]) -> bool:
    """Whether the spans of answers that map types to them stand in the inputs."""
    spans = copied = 0
    for example in examples:
        value = parse_answer(example.answer).value
        if not isinstance(value, dict | list) or entity_items(value) is None:
            continue
        inner = unwrap(value)
        for span in (span for own in inner.values() for span in own) if isinstance(inner, dict) else ():
            spans += 1
            copied += span in example.input
    return bool(spans) and copied >= COPIED * spans
