"""Labels and entity types that are written in more than one way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from exactune.checks.variants import same_name
from exactune.tasks import ClassificationTask, EntitiesTask, MultiLabelTask, Task
from exactune.tasks.classification import read_label
from exactune.tasks.entities import TYPE_KEYS, entity_items, unwrap
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.layout import NUMBER, Layout, find_layout
from exactune.tasks.multilabel import read_labels
from exactune.types import JsonValue

__all__ = ["label_forms", "relabelled"]


def label_forms(task: Task | None, answers: Iterable[str], known: Collection[str] = ()) -> dict[str, str]:
    """Variant -> the form that most answers have; of two that are equally frequent, the one seen first."""
    counts = Counter(label for answer in answers for label in _labels(task, answer))
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(same_name(label), []).append(label)
    forms: dict[str, str] = {}
    for group in groups.values():
        best = max(group, key=lambda label: (label in known, counts[label]))
        forms |= {label: best for label in group if label != best and label not in known}
    return forms


def _labels(task: Task | None, answer: str) -> Iterator[str]:
    if isinstance(task, ClassificationTask):
        # A bare label with blanks around it is a form of its own.
        label = answer if task.field is None else read_label(answer, task.field).value
        yield from [label] if isinstance(label, str) and label.strip() else []
    elif isinstance(task, MultiLabelTask):
        yield from read_labels(answer, task.field).value or ()
    elif isinstance(task, EntitiesTask):
        yield from (kind for kind, _ in entity_items(parse_answer(answer).value) or ())


def relabelled(text: str, task: Task | None, forms: Mapping[str, str], usual: Layout | None) -> str | None:
    """The answer with the usual form of each label, otherwise written as it was."""
    if not forms or not any(label in forms for label in _labels(task, text)):
        return None
    if isinstance(task, ClassificationTask) and task.field is None:
        return forms[text]
    layout = find_layout([text]) or usual or Layout()
    value = json.loads(text, parse_float=lambda digits: "\0" + digits)
    return NUMBER.sub(r"\1", layout.dump(_renamed(value, task, lambda label: forms.get(label, label))))


def _renamed(value: JsonValue, task: Task | None, form: Callable[[str], str]) -> JsonValue:
    if isinstance(task, ClassificationTask):
        return {key: form(label) for key, label in value.items()}
    if isinstance(task, MultiLabelTask):
        if isinstance(value, dict):
            return {key: _renamed(labels, task, form) for key, labels in value.items()}
        return list(dict.fromkeys(form(label) for label in value))
    inner = unwrap(value)
    renamed = _renamed_items(inner, form) if isinstance(inner, list) else _renamed_keys(inner, form)
    return renamed if inner is value else dict.fromkeys(value, renamed)


def _renamed_items(items: Sequence[Mapping[str, str]], form: Callable[[str], str]) -> list[dict[str, str]]:
    kinds = [next(key for key in TYPE_KEYS if key in item) for item in items]
    return [{**item, kind: form(item[kind])} for item, kind in zip(items, kinds, strict=True)]


def _renamed_keys(spans: Mapping[str, list[str]], form: Callable[[str], str]) -> dict[str, list[str]]:
    merged: dict[str, list[str]] = {}
    for kind, found in spans.items():
        merged.setdefault(form(kind), []).extend(found)
    return merged
