"""Where JSON answers leave the structure of the others (D402)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache, partial

from exactune.checks.dataset import Dataset
from exactune.checks.mismatch import Finder, Mismatch, finder, plain_finder
from exactune.checks.slips import is_strict
from exactune.data.words import count, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.tasks.jsontask import JsonTask
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.schema import schema_of
from exactune.tasks.shape import Shape
from exactune.types import Example, Location

__all__ = ["schema_mismatch"]

SHOWN = 3
EVIDENCE = 20


def schema_mismatch(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A JSON answer with other keys or other types than the rest.

    What it does:
        Compares each JSON answer with `task.schema`, or, without one, with what nearly all training answers have in
        common: a key that at least 95% have is missing, a key that almost none has is there, or a value is of another
        type than at least 95% of those in its place. Values outside an enumeration are not looked at here.

    Why it matters:
        A program reads the answer by its keys and types. The model learns the slip with the rest, and in evaluation an
        answer in the right form counts as wrong.

    Example:
        train.jsonl:40 has {"price": "12"}
        all others look like {"price": 12}

    Fix:
        Write the answer like the others, or, if the key or the type is meant, give a `task.schema` that allows it.
    """
    find = _declared(dataset) or _inferred(dataset)
    if find is None:
        return
    mismatches = lru_cache(10_000)(partial(_mismatches, find))  # labels come again and again
    places: list[Location] = []
    shown: list[tuple[Example, list[Mismatch]]] = []
    kinds: Counter[str] = Counter()
    for _, examples in dataset.named_splits:
        for example in examples:
            if found := mismatches(example.answer):
                places.append(example.location)
                kinds.update({f"{one.what} {one.place}" for one in found})
                if len(shown) < EVIDENCE:
                    shown.append((example, found))
    if places:
        named = join(
            "; ",
            (
                say("{place}: {reason}", place=row.location, reason=join(", ", (one.sentence for one in found[:SHOWN])))
                for row, found in shown[:SHOWN]
            ),
        )
        yield rule.finding(
            say(
                "{answers} of another structure: {named}{more}",
                answers=count(len(places), "answer"),
                named=named,
                more="; …" if len(places) > SHOWN else "",
            ),
            locations=unique(places),
            evidence={
                "rows": len(places),
                "kinds": dict(kinds.most_common(EVIDENCE)),
                "samples": [
                    {"row": str(row.location), "found": [one.sentence for one in found]} for row, found in shown
                ],
            },
        )


def _mismatches(find: Finder, answer: str) -> list[Mismatch]:
    """In what an answer departs; nothing where it is no JSON, or has a key twice, as other rules say."""
    value = parse_answer(answer).value
    found = [*find(value)] if isinstance(value, (dict, list)) else []
    return found if found and is_strict(answer) else []


def _inferred(dataset: Dataset) -> Finder | None:
    if dataset.shape is None:
        return None
    find = plain_finder(schema_of(dataset.shape, strict=True))
    if dataset.task is None or dataset.task.type != "entities" or _lists_objects(dataset.shape):
        return find
    # The keys of a mapping from types to spans are types, which another rule looks at.
    return lambda value: (one for one in find(value) if one.what not in ("missing", "unknown"))


def _lists_objects(shape: Shape) -> bool:
    """Whether there are objects in a list, at the top or under a key."""
    lists = (one.items for one in (shape, *shape.fields.values()))
    return any(items is not None and "object" in items.kinds for items in lists)


def _declared(dataset: Dataset) -> Finder | None:
    task, schema = dataset.task, dataset.declared.json_schema
    if schema is None or not isinstance(task, JsonTask):
        return None
    return finder(schema)
