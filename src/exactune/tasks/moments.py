"""Dates and times in JSON values, which the same moment can be written in several ways for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from exactune.types import JsonValue

__all__ = ["FORMATS", "with_moments"]

Lookup = Callable[[str], Any]
"""What a reference in a schema refers to."""

_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?"


def _date(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _time(text: str) -> str:
    moment = time.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.isoformat()
    # Some day: midnight may lie between the zones.
    return datetime.combine(date(2000, 1, 2), moment).astimezone(UTC).time().isoformat() + "Z"


def _date_time(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()


FORMATS: Mapping[str, tuple[re.Pattern[str], Callable[[str], str]]] = {
    "date": (re.compile(_DATE), _date),
    "time": (re.compile(_TIME), _time),
    "date-time": (re.compile(rf"{_DATE}[T ]{_TIME}"), _date_time),
}
"""``format`` of a schema -> how its texts look (RFC 3339; zone and seconds may be missing), and one way to write them
all. A moment with a zone and one without are never the same."""


def with_moments(value: JsonValue, schema: JsonValue, lookup: Lookup) -> JsonValue:
    """The value with each text that its schema calls a date or a time written in one way.

    A text of another form stays as it is, and so does one for which the schema has no ``format``.

    Args:
        value: A JSON value; it need not satisfy the schema.
        schema: A JSON schema.
        lookup: Finds what its references refer to.
    """
    return _written(value, [schema], lookup)


def _written(value: JsonValue, schemas: Iterable[JsonValue], lookup: Lookup) -> JsonValue:
    schemas = list(_applied(schemas, lookup))
    if isinstance(value, dict):
        return {key: _written(item, _of_key(schemas, key), lookup) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item, _of_place(schemas, place), lookup) for place, item in enumerate(value)]
    if isinstance(value, str):
        for schema in schemas:
            if isinstance(name := schema.get("format"), str) and name in FORMATS:
                return _moment(value, name)
    return value


def _moment(text: str, name: str) -> str:
    form, write = FORMATS[name]
    upper = text.upper()
    if not form.fullmatch(upper):
        return text
    try:
        return write(upper)
    except (ValueError, OverflowError):  # the 30th of February, or a zone before the year 1
        return text


def _applied(schemas: Iterable[JsonValue], lookup: Lookup) -> Iterator[Mapping[str, Any]]:
    """The schemas, and those that they include or offer; each once, since references may lead back."""
    queue, seen = list(schemas), set()
    while queue:
        schema = queue.pop(0)
        if not isinstance(schema, Mapping) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        queue += [lookup(schema[key]) for key in ("$ref", "$dynamicRef") if isinstance(schema.get(key), str)]
        queue += [one for key in ("allOf", "anyOf", "oneOf") for one in schema.get(key, [])]
        queue += [schema[key] for key in ("if", "then", "else") if key in schema]


def _of_key(schemas: Iterable[Mapping[str, Any]], key: str) -> Iterator[JsonValue]:
    for schema in schemas:
        named = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        patterns = schema.get("patternProperties", {})
        named += [inner for pattern, inner in patterns.items() if re.search(pattern, key)]
        yield from named or [schema.get("additionalProperties")]


def _of_place(schemas: Iterable[Mapping[str, Any]], place: int) -> Iterator[JsonValue]:
    for schema in schemas:
        first = schema.get("prefixItems", [])
        yield first[place] if place < len(first) else schema.get("items")
