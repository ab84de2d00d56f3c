"""Which task a data set is, from its training answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from exactune.config import TaskConfig
from exactune.errors import ConfigError
from exactune.language import say
from exactune.tasks.base import Task
from exactune.tasks.classification import ClassificationTask, read_label
from exactune.tasks.detect import are_lists, containers, detect, holds, single_field
from exactune.tasks.entities import EntitiesTask, entity_items
from exactune.tasks.jsontask import JsonTask
from exactune.tasks.jsontext import parse_answer, quoted
from exactune.tasks.multilabel import MultiLabelTask, read_labels
from exactune.tasks.relations import RelationsTask, relation_value
from exactune.tasks.schema import infer_schema
from exactune.tasks.shape import nearly_all
from exactune.tasks.text import TextTask
from exactune.types import Example, Status

__all__ = ["infer_task"]

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "classification": ("labels", "field", "multi_label"),
    "json": ("schema",),
    "entities": ("entity_types",),
    "relations": ("relation_types", "entity_types"),
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
    kinds = _requested(given)
    if not examples and (len(kinds) == len(OPTIONS) or any(key not in given for key in OPTIONS[kinds[0]][:1])):
        raise ConfigError(say("there are no training rows to tell the task from. Check `data.train`."))
    found = detect(examples) if examples and len(kinds) > 1 else kinds[0]
    return _BUILDERS[found if found in kinds else kinds[0]](config, examples)


def _requested(given: Mapping[str, object]) -> Sequence[str]:
    """The types that may be meant: the one that the user names, or those that have all the keys given."""
    named = str(given["type"])
    keys = [key for key in dict.fromkeys(key for options in OPTIONS.values() for key in options) if key in given]
    kinds = [kind for kind, options in OPTIONS.items() if set(keys) <= set(options)]
    if named != "auto":
        for key in keys:
            if key not in OPTIONS[named]:
                owner = next(kind for kind, options in OPTIONS.items() if key in options)
                raise ConfigError(
                    say(
                        "`task.{key}` belongs to `type: {kind}`, but the type is {named}. Remove one.",
                        key=key,
                        kind=owner,
                        named=named,
                    )
                )
        return [named]
    if not kinds:
        raise ConfigError(say("`task` has keys of several types ({names}). Keep those of one.", names=", ".join(keys)))
    return kinds


def _classification(config: TaskConfig, examples: Sequence[Example]) -> Task:
    field, several = config.field, config.multi_label
    rows = containers(examples)
    if several is None:
        lists = [value[field] for value in rows if holds(value, field, list)] if field else rows
        several = are_lists(lists) or (field is None and single_field(rows, list) is not None)
    if field is None and not (several and are_lists(rows)) and nearly_all(len(rows), len(examples)):
        field = single_field(rows, list if several else str)
        if field is None:
            raise ConfigError(
                say(
                    "`task.type` is classification, but the answers are JSON without a label as their only "
                    "field{first}. Use `type: json`, or name the key with `task.field`.",
                    first=_first(examples),
                )
            )
    found = _labels_of(field, several, examples)
    kind = MultiLabelTask if several else ClassificationTask
    task = kind(tuple(found if config.labels is None else config.labels), field)
    if found and not set(found) & set(task.labels):
        raise ConfigError(
            say(
                "no training answer is one of `task.labels`{first}. Correct the labels or the rows.",
                first=_first(examples),
            )
        )
    return task


def _labels_of(field: str | None, several: bool, examples: Sequence[Example]) -> list[str]:
    """The labels of the training rows in the order in which they come.

    Raises:
        ConfigError: No row has one.
    """
    parsed = ((read_labels if several else read_label)(example.answer, field) for example in examples)
    values = [answer.value for answer in parsed if answer.status is Status.OK]
    found = list(dict.fromkeys([label for labels in values for label in labels] if several else values))
    if examples and not found:
        if several:
            bare, inside = say("a list of labels"), say('an object {{"{field}": ["label", …]}}', field=field)
        else:
            bare, inside = say("a label"), say('an object {{"{field}": "label"}}', field=field)
        raise ConfigError(
            say(
                "`task` is classification, but no training answer is {wanted}{first}.",
                wanted=bare if field is None else inside,
                first=_first(examples),
            )
        )
    return found


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
    answers = [entity_items(value) for value in containers(examples)]
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


def _relations(config: TaskConfig, examples: Sequence[Example]) -> RelationsTask:
    values = [relation_value(value) for value in containers(examples)]
    answers = [value for value in values if value is not None]
    if examples and not any(answer["relations"] for answer in answers):
        raise ConfigError(
            say(
                "`task` is relations, but no training answer has `{{head, type, tail}}` or "
                "`{{subject, relation, object}}` items, alone or beside entities{first}.",
                first=_first(examples),
            )
        )
    relations = [relation for answer in answers for relation in answer["relations"]]
    types = dict.fromkeys(relation["type"] for relation in relations)
    kinds = dict.fromkeys(
        kind
        for answer in answers
        for kind in (
            *(entity["type"] for entity in answer.get("entities", ())),
            *(end[key] for end in answer["relations"] for key in ("head_type", "tail_type") if key in end),
        )
    )
    task = RelationsTask(
        tuple(types if config.relation_types is None else config.relation_types),
        tuple(kinds if config.entity_types is None else config.entity_types),
    )
    for key, found in (("relation_types", types), ("entity_types", kinds)):
        if found and not set(found) & set(getattr(task, key)):
            raise ConfigError(
                say(
                    "no training answer has one of `task.{key}`; found: {names}.",
                    key=key,
                    names=", ".join(list(found)[:10]),
                )
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
    "relations": _relations,
    "text": _text,
}
