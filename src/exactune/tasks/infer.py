"""Which task a data set is, from its training answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from exactune.config import TaskConfig
from exactune.errors import ConfigError
from exactune.language import say
from exactune.tasks.base import Task
from exactune.tasks.classification import ClassificationTask, read_label
from exactune.tasks.entities import OFFSET_KEYS, TEXT_KEYS, TYPE_KEYS, EntitiesTask, entity_items, unwrap
from exactune.tasks.jsontask import JsonTask
from exactune.tasks.jsontext import parse_answer, quoted
from exactune.tasks.schema import infer_schema
from exactune.tasks.shape import nearly_all
from exactune.tasks.text import TextTask
from exactune.types import Example, JsonValue, Status

__all__ = ["infer_task"]

LABEL_LENGTH = 80
"""A label is one line of at most so many characters."""

RECURRING = 0.75
"""Share of the rows whose answer has to stand in another row too, for answers to be labels."""

DISTINCT = 0.4
"""At most so many labels per row; rows written in two wordings each are still free text."""

COPIED = 0.9
"""Share of the spans that has to stand in the input word for word, for a mapping to be entities."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "classification": ("labels", "field"),
    "json": ("schema",),
    "entities": ("entity_types",),
    "text": (),
}
"""Task type -> the keys of a ``task`` block that belong to it; the first can stand in for training rows."""


def infer_task(config: TaskConfig, examples: Sequence[Example]) -> Task:
    """The task of a config, with what the user left out taken from the training answers.

    Args:
        config: With ``type: auto``, a key that only one type has (``labels``) decides, else the answers do.
        examples: The training rows.

    Raises:
        ConfigError: The rows contradict the config, or there is nothing to infer from.
    """
    given = {key: value for key, value in config.model_dump(by_alias=True).items() if value is not None}
    kind = _requested(given)
    if not examples and (kind is None or any(key not in given for key in OPTIONS[kind][:1])):
        raise ConfigError(say("there are no training rows to tell the task from. Check `data.train`."))
    return _BUILDERS[kind or _detect(examples)](config, examples)


def _requested(given: Mapping[str, object]) -> str | None:
    """The type that the user names, or implies by a key that only one type has."""
    owners = {key: kind for kind, keys in OPTIONS.items() for key in keys if key in given}
    named = str(given["type"])
    kinds = list(dict.fromkeys(owners.values()))
    if named != "auto":
        for key, kind in owners.items():
            if kind != named:
                raise ConfigError(
                    say(
                        "`task.{key}` belongs to `type: {kind}`, but the type is {named}. Remove one.",
                        key=key,
                        kind=kind,
                        named=named,
                    )
                )
        return named
    if len(kinds) > 1:
        raise ConfigError(
            say("`task` has keys of several types ({names}). Keep those of one.", names=", ".join(owners))
        )
    return kinds[0] if kinds else None


def _detect(examples: Sequence[Example]) -> str:
    values = _containers(examples)
    if not nearly_all(len(values), len(examples)):
        return "classification" if _are_labels([example.answer.strip() for example in examples]) else "text"
    field = _single_field(values)
    if field is not None and _are_labels([value[field] for value in values if _holds_label(value, field)]):
        return "classification"
    return "entities" if _are_entities(examples, values) else "json"


def _containers(examples: Sequence[Example]) -> list[JsonValue]:
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


def _single_field(values: Sequence[JsonValue]) -> str | None:
    """The key of ``{key: "text"}`` if nearly all values are such objects with the same key."""
    keys: Counter[str] = Counter(next(iter(value)) for value in values if isinstance(value, dict) and len(value) == 1)
    for key, _ in keys.most_common(1):
        if nearly_all(sum(_holds_label(value, key) for value in values), len(values)):
            return key
    return None


def _holds_label(value: JsonValue, field: str) -> bool:
    return isinstance(value, dict) and list(value) == [field] and isinstance(value[field], str)


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


def _classification(config: TaskConfig, examples: Sequence[Example]) -> ClassificationTask:
    field = config.field
    rows = _containers(examples)
    if field is None and nearly_all(len(rows), len(examples)):
        field = _single_field(rows)
        if field is None:
            raise ConfigError(
                say(
                    "`task.type` is classification, but the answers are JSON without a label as their only "
                    "field{first}. Use `type: json`, or name the key with `task.field`.",
                    first=_first(examples),
                )
            )
    parsed = (read_label(example.answer, field) for example in examples)
    found = dict.fromkeys(answer.value for answer in parsed if answer.status is Status.OK)
    if examples and not found:
        wanted = say("a label") if field is None else say('an object {{"{field}": "label"}}', field=field)
        raise ConfigError(
            say(
                "`task` is classification, but no training answer is {wanted}{first}.",
                wanted=wanted,
                first=_first(examples),
            )
        )
    task = ClassificationTask(tuple(found if config.labels is None else config.labels), field)
    if found and not set(found) & set(task.labels):
        raise ConfigError(
            say(
                "no training answer is one of `task.labels`{first}. Correct the labels or the rows.",
                first=_first(examples),
            )
        )
    return task


def _json(config: TaskConfig, examples: Sequence[Example]) -> JsonTask:
    parsed = ((example.input, parse_answer(example.answer)) for example in examples)
    rows = [(text, answer.value) for text, answer in parsed if answer.status is Status.OK]
    if examples and not rows:
        raise ConfigError(
            say("`task` is json, but no training answer is JSON{first}. Use `type: auto`.", first=_first(examples))
        )
    if config.json_schema is None:
        # Stray rows of another kind are mistakes; a schema that allows them would allow anything.
        kind, hits = Counter(type(value) for _, value in rows).most_common(1)[0]
        if nearly_all(hits, len(rows)):
            rows = [(text, value) for text, value in rows if type(value) is kind]
        return JsonTask(infer_schema([value for _, value in rows], [text for text, _ in rows]))
    task = JsonTask(config.json_schema)
    if rows and not any(task.parse(example.answer).status is Status.OK for example in examples):
        raise ConfigError(
            say(
                "no training answer satisfies `task.schema`{first}. Correct the schema or the rows.",
                first=_first(examples),
            )
        )
    return task


def _entities(config: TaskConfig, examples: Sequence[Example]) -> EntitiesTask:
    answers = [entity_items(value) for value in _containers(examples)]
    found = dict.fromkeys(kind for items in answers if items is not None for kind, _ in items)
    if examples and all(items is None for items in answers):
        raise ConfigError(
            say(
                "`task` is entities, but no training answer is `{{type: [span, …]}}` or a list of "
                "`{{text, type}}` items{first}.",
                first=_first(examples),
            )
        )
    if config.entity_types is None and not found:
        raise ConfigError(say("no training answer has an entity. List the types as `task.entity_types`."))
    task = EntitiesTask(tuple(found if config.entity_types is None else config.entity_types))
    if found and not set(found) & set(task.entity_types):
        raise ConfigError(
            say("no training entity has one of `task.entity_types`; found: {names}.", names=", ".join(list(found)[:10]))
        )
    return task


def _text(config: TaskConfig, examples: Sequence[Example]) -> TextTask:
    return TextTask()


def _first(examples: Sequence[Example]) -> str:
    """Where to look: the first row and its answer."""
    return say(" (the first, {place}: {answer})", place=examples[0].location, answer=quoted(examples[0].answer))


_BUILDERS: Mapping[str, Callable[[TaskConfig, Sequence[Example]], Task]] = {
    "classification": _classification,
    "json": _json,
    "entities": _entities,
    "text": _text,
}
