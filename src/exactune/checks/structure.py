"""Where JSON answers leave the structure of the others (D402)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]
from referencing import Registry

from exactune.checks.dataset import Dataset
from exactune.data.words import count, excerpt, kind_of, unique
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule
from exactune.tasks.jsontask import JsonTask
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.rules import KNOWN, SILENT, TYPES
from exactune.tasks.schema import schema_of
from exactune.types import Example, JsonValue

__all__ = ["schema_mismatch"]

SHOWN = 3
EVIDENCE = 20

_NAMES: Mapping[str, Text] = {
    "object": say("an object"),
    "array": say("a list"),
    "string": say("a text"),
    "boolean": say("true or false"),
    "null": say("null"),
    "integer": say("a whole number"),
    "number": say("a number"),
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing in which a value breaks a schema.

    Attributes:
        path: From the top: keys, and ``[]`` for the items of a list.
        what: ``missing``, ``unknown``, or what else.
        found: The value that stands there; of a missing key, the object around it.
        says: For people, with ``{path}`` in it.
    """

    path: tuple[str, ...]
    what: str
    found: JsonValue
    says: Callable[[str], Text]

    @property
    def place(self) -> str:
        """The path as it is written in messages: ``items[].price``."""
        return ".".join(self.path).replace(".[]", "[]")

    @property
    def sentence(self) -> Text:
        """What is wrong, for people."""
        return self.says(self.place)


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
    rows: list[Example] = []
    shown: list[tuple[Example, list[Mismatch]]] = []
    kinds: Counter[str] = Counter()
    for _, examples in dataset.named_splits:
        for example in examples:
            parsed = parse_answer(example.answer).value
            if not isinstance(parsed, (dict, list)):
                continue
            if found := list(find(parsed)):
                rows.append(example)
                kinds.update({f"{one.what} {one.place}" for one in found})
                if len(shown) < EVIDENCE:
                    shown.append((example, found))
    if rows:
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
                answers=count(len(rows), "answer"),
                named=named,
                more="; …" if len(rows) > SHOWN else "",
            ),
            locations=unique(row.location for row in rows),
            evidence={
                "rows": len(rows),
                "kinds": dict(kinds.most_common(EVIDENCE)),
                "samples": [
                    {"row": str(row.location), "found": [one.sentence for one in found]} for row, found in shown
                ],
            },
        )


def _inferred(dataset: Dataset) -> Callable[[JsonValue], Iterator[Mismatch]] | None:
    if dataset.shape is None:
        return None
    schema = schema_of(dataset.shape, strict=True)
    if dataset.task is None or dataset.task.type != "entities":
        return lambda value: mismatches(value, schema)
    # The keys of a mapping from types to spans are types, which another rule looks at.
    return lambda value: (
        one for one in mismatches(value, schema) if not (one.what == "unknown" and isinstance(one.found, list))
    )


def _declared(dataset: Dataset) -> Callable[[JsonValue], Iterator[Mismatch]] | None:
    task, schema = dataset.task, dataset.declared.json_schema
    if schema is None or not isinstance(task, JsonTask):
        return None
    if _is_plain(schema):
        return lambda value: mismatches(value, schema)
    # An explicit registry: the default one fetches remote references.
    validator = Draft202012Validator(schema, registry=Registry())
    return lambda value: (one for error in validator.iter_errors(value) for one in _of_error(error))


def _is_plain(schema: Any) -> bool:
    """Whether :func:`mismatches` knows all that a schema says."""
    if isinstance(schema, bool):
        return schema
    inner = [*schema.get("properties", {}).values(), schema.get("items", True)]
    other = schema.get("additionalProperties", True)
    known = not (schema.keys() - KNOWN - SILENT)
    return known and all(map(_is_plain, inner)) and (other is False or _is_plain(other))


def mismatches(value: JsonValue, schema: Any) -> Iterator[Mismatch]:
    """Where a value breaks types, keys and items of a schema; its enumerations are left to other rules."""
    if schema is True:
        return
    allowed = schema.get("type", ())
    allowed = (allowed,) if isinstance(allowed, str) else allowed
    if allowed and not any(TYPES[kind](value) for kind in allowed):
        yield _wrong_type((), value, allowed)
    elif isinstance(value, dict):
        yield from _keys(value, schema)
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            for one in mismatches(item, schema["items"]):
                yield _below("[]", one)


def _keys(value: dict[str, JsonValue], schema: Mapping[str, Any]) -> Iterator[Mismatch]:
    fields, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key in schema.get("required", ()):
        if key not in value:
            yield _missing((key,), value)
    for key, item in value.items():
        field = fields.get(key, other)
        if field is False:
            yield _unknown((key,), item)
        elif field is not True:
            for one in mismatches(item, field):
                yield _below(key, one)


def _below(key: str, one: Mismatch) -> Mismatch:
    return Mismatch((key, *one.path), one.what, one.found, one.says)


def _missing(path: tuple[str, ...], found: JsonValue) -> Mismatch:
    return Mismatch(path, "missing", found, lambda place: say("the key `{place}` is missing", place=place))


def _unknown(path: tuple[str, ...], found: JsonValue) -> Mismatch:
    return Mismatch(path, "unknown", found, lambda place: say("`{place}` is a key of no other answer", place=place))


def _wrong_type(path: tuple[str, ...], found: JsonValue, allowed: Any) -> Mismatch:
    names = join(" / ", (_NAMES[kind] for kind in allowed))
    value = excerpt(json.dumps(found, ensure_ascii=False), 30)

    def says(place: str) -> Text:
        if not place:
            return say("the answer is {kind}, not {expected}", kind=kind_of(found), expected=names)
        return say(
            "`{place}` is {kind} ({value}), not {expected}",
            place=place,
            kind=kind_of(found),
            value=value,
            expected=names,
        )

    return Mismatch(path, "type", found, says)


def _of_error(error: Any) -> Iterator[Mismatch]:
    """An error of jsonschema in our words; enumerations are left to other rules."""
    path = tuple("[]" if isinstance(part, int) else part for part in error.absolute_path)
    found, keyword = error.instance, error.validator
    if keyword in ("enum", "const"):
        return
    if keyword == "required":
        yield from (_missing((*path, key), found) for key in error.validator_value if key not in found)
    elif keyword == "additionalProperties" and error.validator_value is False:
        known = error.schema.get("properties", {})
        yield from (_unknown((*path, key), item) for key, item in found.items() if key not in known)
    elif keyword == "type":
        allowed = error.validator_value
        yield _wrong_type(path, found, [allowed] if isinstance(allowed, str) else allowed)
    else:
        value = excerpt(json.dumps(found, ensure_ascii=False), 30)
        yield Mismatch(
            path,
            keyword,
            found,
            lambda place: say("{value} at `{place}` breaks `{keyword}`", value=value, place=place, keyword=keyword),
        )
