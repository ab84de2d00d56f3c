"""The names that answers are made of: labels, entity types, and the values of JSON fields that recur like labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, MultiLabelTask, RelationsTask, Task
from exactune.tasks.classification import read_label
from exactune.tasks.entities import entity_items
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.multilabel import read_labels
from exactune.types import Example, JsonValue, Location

__all__ = ["LABEL", "TYPE", "Rows", "find_names", "strings"]

LABEL, TYPE = "label", "entity type"
"""What names of a classification and of entities are names of; those of JSON are named by their path."""

Rows = Mapping[str, Sequence[Location]]
"""Name -> where the answers are that have it, in file order; places, since rows would keep all texts in memory."""

MAX_NAMES = 200
"""A field with more different values than this holds texts, not names; so memory stays bounded."""
MAX_PATHS = 200
"""Fields looked at; objects with free keys can have any number."""
REPEATS = 5
"""Names come back: each at least so often on average, as in enumerations of an inferred schema."""
COPIED = 0.5
"""From this share on, values are copied from the input and written as they stand there."""


def find_names(task: Task | None, splits: Iterable[tuple[str, Sequence[Example]]]) -> Mapping[str, Mapping[str, Rows]]:
    """What is named -> split -> name -> rows.

    Args:
        task: What the answers are.
        splits: Name and rows of each; the first, training, decides which JSON fields hold names.
    """
    if isinstance(task, (JsonTask, RelationsTask)):
        return _fields(dict(splits))
    if not isinstance(task, (ClassificationTask, MultiLabelTask, EntitiesTask)):
        return {}
    kind = TYPE if isinstance(task, EntitiesTask) else LABEL
    found: dict[str, dict[str, list[Location]]] = {}
    for split, examples in splits:
        names = found.setdefault(split, {})
        for example in examples:
            for name in _named(task, example.answer):
                names.setdefault(name, []).append(example.location)
    return {kind: found}


def _named(task: ClassificationTask | MultiLabelTask | EntitiesTask, answer: str) -> Iterable[str]:
    """The label, or each label or type once; nothing where the answer cannot be read."""
    if isinstance(task, EntitiesTask):
        return dict.fromkeys(kind for kind, _ in entity_items(parse_answer(answer).value) or ())
    if isinstance(task, MultiLabelTask):
        return read_labels(answer, task.field).value or ()
    label = read_label(answer, task.field).value
    return () if label is None else (label,)


@dataclass
class _Field:
    """The values of one JSON field while they are collected."""

    rows: dict[str, list[Location]] = field(default_factory=dict)
    seen: int = 0
    copied: int = 0

    def holds_names(self) -> bool:
        few = 0 < len(self.rows) <= MAX_NAMES and self.seen >= REPEATS * len(self.rows)
        return few and self.copied < COPIED * self.seen


def _fields(splits: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Rows]]:
    (train, rows), *others = splits.items()
    closed = {path: one for path, one in _collect(rows).items() if one.holds_names()}
    found: dict[str, dict[str, Rows]] = {path: {train: one.rows} for path, one in closed.items()}
    for split, examples in others:
        for path, names in _collect(examples, set(closed)).items():
            found[path][split] = names.rows
    return found


def _collect(examples: Sequence[Example], wanted: set[str] | None = None) -> dict[str, _Field]:
    fields: dict[str, _Field] = {}
    before = ""
    for example in examples:
        text = example.input
        for path, value in dict.fromkeys(strings(parse_answer(example.answer).value)):
            if path not in fields and (len(fields) == MAX_PATHS or (wanted is not None and path not in wanted)):
                continue
            one = fields.setdefault(path, _Field())
            one.seen += 1
            # What also stands in the row before is part of an instruction that lists the names.
            one.copied += value in text and value not in before
            if wanted is not None or value in one.rows or len(one.rows) <= MAX_NAMES:
                one.rows.setdefault(value, []).append(example.location)
        before = text
    return fields


def strings(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of every text in a JSON value; the items of a list stand under the path of the list."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, f"{path}.{key}" if path else key)
