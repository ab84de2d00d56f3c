"""In what a value breaks a JSON schema, in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exactune.data.words import excerpt, kind_of
from exactune.language import Text, join, say
from exactune.tasks.rules import KNOWN, SILENT, TYPES
from exactune.types import JsonValue

__all__ = ["Finder", "Mismatch", "finder", "mismatches", "plain_finder"]

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


_PLAIN: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


@dataclass(frozen=True, slots=True)
class _Form:
    """A schema made ready for a quick look at many values; what is not allowed is ``None``."""

    types: frozenset[type] = frozenset()
    required: frozenset[str] = frozenset()
    fields: Mapping[str, _Form | None] = field(default_factory=dict)
    other: _Form | None = None
    items: _Form | None = None
    free: bool = False

    def fits(self, value: JsonValue) -> bool:
        """Whether a value has no mismatch; a value may be called unfit that :func:`mismatches` then lets pass."""
        kind = type(value)
        if self.free:
            return True
        if self.types and kind not in self.types:
            return False
        if kind is dict:
            return self.required <= value.keys() and all(
                form is not None and form.fits(item)
                for form, item in ((self.fields.get(key, self.other), item) for key, item in value.items())
            )
        if kind is list and self.items is not None:
            fits = self.items.fits
            return all(map(fits, value))
        return True


def _form(schema: Any) -> _Form | None:
    if schema is False:
        return None
    if schema is True or not schema:
        return _Form(free=True)
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else types
    return _Form(
        frozenset(one for name in types for one in _PLAIN[name]),
        frozenset(schema.get("required", ())),
        {key: _form(inner) for key, inner in schema.get("properties", {}).items()},
        _form(schema.get("additionalProperties", True)),
        _form(schema["items"]) if "items" in schema else None,
    )


Finder = Callable[[JsonValue], Iterable[Mismatch]]
"""From a value to its mismatches."""


def finder(schema: Mapping[str, Any]) -> Finder:
    """Finds the mismatches with any schema that refers only within itself."""
    if _is_plain(schema):
        return plain_finder(schema)
    # An explicit registry: the default one fetches remote references.
    # Loaded for schemas that the plain comparison cannot do; most data need none.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]
    from referencing import Registry

    validator = Draft202012Validator(schema, registry=Registry())
    return lambda value: (one for error in validator.iter_errors(value) for one in _of_error(error))


def plain_finder(schema: Mapping[str, Any]) -> Finder:
    """:func:`mismatches` of a schema that it knows all of, quick where there are none."""
    form = _form(schema)
    return lambda value: () if form is not None and form.fits(value) else mismatches(value, schema)


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
    return Mismatch(
        path, "unknown", found, lambda place: say("the key `{place}` is not one of those known", place=place)
    )


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
