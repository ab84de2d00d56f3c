"""Types of entities and relations, and the entities that relations name (D406, D407)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rapidfuzz.distance import OSA

from exactune.checks.dataset import MOSTLY, Dataset
from exactune.checks.variants import same_name
from exactune.data.words import count, excerpt, unique
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule
from exactune.tasks.entities import TEXT_KEYS, entity_items
from exactune.tasks.items import ID_KEYS, Items, has_items, read_items
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.shape import Shape
from exactune.types import Example, JsonValue

__all__ = ["dangling_argument", "type_outside_set"]

SHOWN = 3
EVIDENCE = 20

MOST_TYPES = 100
RECURRING = 5
"""Types are a set if they are at most so many, each seen at least so often on average."""

FREQUENT = 20
"""A type that is seen so many times as often as another that looks like it is the one that was meant."""

LONG_ENOUGH = 4
"""In shorter names one character makes another word: Loc and Log, 買入 and 賣入."""


def type_outside_set(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A type of an entity or a relation that is not one of the set.

    What it does:
        With `task.entity_types`, finds entities of any other type, with `task.relation_types` relations. Without, finds
        types of entities and relations that only eval or test rows have, and rare ones that differ from a frequent one
        in one character. Other ways of writing a type are D303's.

    Why it matters:
        The model cannot give a type that it has never seen, and one that is misspelt in training is learned as another
        type: either way right answers count as wrong.

    Example:
        train.jsonl has COMPANY 4,210 times; train.jsonl:77 has {"text": "台積電", "type": "COMPAMY"}

    Fix:
        Correct the type, or add training rows that have it; if it is meant, list it in `task.entity_types` or
        `task.relation_types`.
    """
    read = _types_of(dataset)
    if read is None:
        return
    seen = _seen(dataset, read)
    declared = {"entity": dataset.declared.entity_types, "relation": dataset.declared.relation_types}
    allowed = _allowed(seen, declared)
    known = all(set(names) <= allowed.get(sort, set(names)) for sort, names in seen.items())
    # In another way of writing, a type is still the same unless the types are listed.
    forms = {sort: {*map(same_name, names)} for sort, names in allowed.items() if not declared[sort]}
    outside = [
        (row, sort, name)
        for _, rows in dataset.named_splits[known:]
        for row in rows
        for sort, name in dict.fromkeys(read(parse_answer(row.answer).value))
        if sort in allowed and name not in allowed[sort] and same_name(name) not in forms.get(sort, ())
    ]
    if outside:
        places = unique(row.location for row, *_ in outside)
        meant = {(sort, name): _meant(name, allowed[sort]) for _, sort, name in outside}
        firsts = {(sort, name): row for row, sort, name in reversed(outside)}
        named = join("; ", (_said(firsts[kind], kind[1], meant[kind]) for kind in list(meant)[:SHOWN]))
        yield rule.finding(
            say(
                "{rows} with a type outside the set: {named}{more}",
                rows=count(len(places), "row"),
                named=named,
                more="; …" if len(meant) > SHOWN else "",
            ),
            locations=places,
            evidence={
                "rows": len(places),
                "types": dict(Counter(name for *_, name in outside).most_common(EVIDENCE)),
                "meant": {name: one for (_, name), one in list(meant.items())[:EVIDENCE] if one is not None},
            },
        )


Kind = tuple[str, str]
"""``entity`` or ``relation``, and the type."""


def _said(row: Example, name: str, meant: str | None) -> Text:
    if meant is None:
        return say("{place} {name!r}", place=row.location, name=excerpt(name))
    return say("{place} {name!r}, likely {meant!r}", place=row.location, name=excerpt(name), meant=excerpt(meant))


def _types_of(dataset: Dataset) -> Callable[[JsonValue], Iterator[Kind]] | None:
    """How to read the types of an answer; ``None`` where answers have none."""
    if dataset.shape is None:
        return None
    if dataset.task is not None and dataset.task.type == "entities":
        return lambda value: (("entity", kind) for kind, _ in entity_items(value) or ())
    return _of_items if has_items(dataset.shape) else None


def _of_items(value: JsonValue) -> Iterator[Kind]:
    items = read_items(value)
    yield from (("entity", one.type) for one in items.entities if one.type)
    yield from (("relation", one.type) for one in items.relations)


def _seen(dataset: Dataset, read: Callable[[JsonValue], Iterator[Kind]]) -> dict[str, Counter[str]]:
    """How often training has each type of entities and of relations."""
    seen: dict[str, Counter[str]] = {"entity": Counter(), "relation": Counter()}
    for row in dataset.splits.train:
        for sort, name in read(parse_answer(row.answer).value):
            seen[sort][name] += 1
    return seen


def _allowed(seen: Mapping[str, Counter[str]], declared: Mapping[str, Iterable[str] | None]) -> dict[str, set[str]]:
    """The types of entities and of relations: those declared, or the training rows' where they are a set."""
    allowed = {
        sort: {name for name in names if not _is_slip(name, names)}
        for sort, names in seen.items()
        if names and len(names) <= MOST_TYPES and names.total() >= RECURRING * len(names)
    }
    return allowed | {sort: set(names) for sort, names in declared.items() if names is not None}


def _is_slip(name: str, names: Counter[str]) -> bool:
    """Whether a rare type is a frequent one misspelt."""
    return any(often >= FREQUENT * names[name] and _alike(name, other) for other, often in names.items())


def _meant(name: str, allowed: Iterable[str]) -> str | None:
    """The type that a name outside the set is a misspelling of."""
    return next((other for other in allowed if _alike(name, other)), None)


def _alike(name: str, other: str) -> bool:
    if name == other:
        return False
    if same_name(name) == same_name(other):
        return True
    # Type1 and Type2 are two types.
    numbered = re.sub(r"\d", "", name) == re.sub(r"\d", "", other)
    short = min(len(name), len(other)) < LONG_ENOUGH
    return not numbered and not short and OSA.distance(name, other, score_cutoff=1) <= 1


def dangling_argument(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A relation with an argument that is no listed entity.

    What it does:
        In answers with a list of entities and one of relations, compares the arguments of each relation (head and tail,
        subject and object) with the entities of the same answer, by text, id or place in the list. Fires where at least
        80% of the training relations name listed entities.

    Why it matters:
        The two halves of such an answer contradict each other. The model learns to do so, and a program that looks the
        entity up does not find it.

    Example:
        {"entities": [{"text": "Ann", "type": "PER"}],
         "relations": [{"head": "Ann", "type": "lives_in", "tail": "Rome"}]}

    Fix:
        Add the entity to the list, or write the argument as it stands there.
    """
    if dataset.shape is None or not has_items(dataset.shape):
        return
    shape = dataset.shape
    arguments = dangling = 0
    for row in dataset.splits.train:
        items = _listed(row, shape)
        arguments += 2 * len(items.relations)
        dangling += len(_dangling(items))
    if arguments - dangling < MOSTLY * arguments:
        return
    found = [
        (row, argument)
        for _, rows in dataset.named_splits[not dangling :]
        for row in rows
        for argument in _dangling(_listed(row, shape))
    ]
    if found:
        places = unique(row.location for row, _ in found)
        named = join(
            "; ", (say("{place} {name!r}", place=row.location, name=excerpt(one)) for row, one in found[:SHOWN])
        )
        yield rule.finding(
            say(
                "{rows} with relations whose arguments are no listed entity: {named}{more}",
                rows=count(len(places), "row"),
                named=named,
                more="; …" if len(found) > SHOWN else "",
            ),
            locations=places,
            evidence={
                "rows": len(places),
                "samples": [{"row": str(row.location), "argument": one} for row, one in found[:EVIDENCE]],
            },
        )


def _listed(example: Example, shape: Shape) -> Items:
    """What an answer lists; nothing where one of the lists that nearly all have is missing, as another rule says."""
    value = parse_answer(example.answer).value
    lists = [key for key in shape.firm_keys if shape.fields[key].kinds == {"array"}]
    if isinstance(value, dict) and not all(isinstance(value.get(key), list) for key in lists):
        return Items((), ())
    return read_items(value)


def _dangling(items: Items) -> list[str]:
    """Arguments that name no entity of the same answer; those in a form not known here are passed over."""
    if not items.relations:
        return []
    known: set[Any] = {entity.text for entity in items.entities}
    known |= {entity.item[key] for entity in items.entities for key in ID_KEYS if key in entity.item}
    arguments = (_name(argument) for relation in items.relations for argument in relation.arguments)
    return [
        str(name)
        for name in arguments
        if name is not None and name not in known and not (isinstance(name, int) and name < len(items.entities))
    ]


def _name(argument: JsonValue) -> str | int | None:
    """What an argument is known by: its text, an id, a place in the list."""
    if isinstance(argument, dict):
        return next(
            (argument[key] for key in (*TEXT_KEYS, *ID_KEYS) if isinstance(argument.get(key), (str, int))), None
        )
    return argument if isinstance(argument, (str, int)) else None
