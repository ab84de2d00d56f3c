"""A JSON schema as grammar rules that write its values in one layout.

The rules are in the variant of Lark's syntax that llguidance reads
(https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exactune.tasks.copying import COPIED, COPY
from exactune.tasks.layout import Layout, key_order
from exactune.types import JsonValue

__all__ = ["MAX_KEYS", "UnsupportedSchema", "lark"]

SILENT = {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$comment"}
"""Keywords of a schema that forbid nothing."""

KNOWN = {"type", "enum", "const", "properties", "required", "additionalProperties", "items", "uniqueItems", COPIED}

ENOUGH = 100
"""Where training has an optional key so often and never with an empty list or object, it may not have one: leaving the
key out says the same. Elsewhere an empty one may be the only right answer, even if training has none."""

MAX_KEYS = 64
"""A rule's parameter has so many bits, one per key that was written."""

TYPES: Mapping[str, Callable[[JsonValue], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}

HEX = "[0-9a-fA-F]"
PLAIN_STRING = rf'/"([^"\\\x00-\x1f]|\\["\\\/bfnrt]|\\u00[01]{HEX})*"/'
ASCII_STRING = (
    rf'/"([ !#-\[\]-\x7f]|\\["\\\/bfnrt]|\\u([0-9a-cefA-CEF]{HEX}|[dD][0-7]){HEX}{{2}}'
    rf"|\\u[dD][89abAB]{HEX}{{2}}\\u[dD][c-fC-F]{HEX}{{2}})*\"/"
)
"""Half a surrogate pair is no character, so it cannot be written."""
# Without bounds a number could be longer or larger than a float can be.
INTEGER = "/-?(0|[1-9][0-9]{0,199})/"
NUMBER = r"/-?(0|[1-9][0-9]{0,199})(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?/"


class UnsupportedSchema(ValueError):
    """The schema says something that these rules cannot."""


def lark(schema: Mapping[str, Any], values: Sequence[JsonValue], layout: Layout) -> str:
    """The grammar of a schema's values, beginning at ``start``.

    Objects have each key at most once, and the required ones; in the order of the training values where they agree on
    one, else in any. Beyond the schema, the only keys allowed are its own and those that training has.

    Args:
        schema: A JSON schema.
        values: Training values that satisfy it.
        layout: How they are written.

    Raises:
        UnsupportedSchema: It uses keywords beyond types, enumerations, properties and items, or an object has more
            than 64 keys of which some are required.
    """
    rules = _Rules(layout)
    start = rules.node(schema, values, 0)
    string = ASCII_STRING if layout.escapes else PLAIN_STRING
    lines = [f"start: {start}", *(f"{name}: {body}" for body, name in rules.named.items())]
    return "\n".join([*lines, f"STRING: {string}", f"INTEGER: {INTEGER}", f"NUMBER: {NUMBER}", ""])


class _Rules:
    """Rules while they are written: equal ones are the same rule."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.named: dict[str, str] = {}

    def rule(self, body: str) -> str:
        return self.named.setdefault(body, f"r{len(self.named)}")

    def node(self, schema: Any, values: Sequence[JsonValue], depth: int, full: bool = False) -> str:
        """The name of a rule for values at a depth; ``full`` ones are no empty list or object."""
        if schema is True:
            schema = {}
        if not isinstance(schema, Mapping) or (schema.keys() - KNOWN - SILENT):
            raise UnsupportedSchema(schema)
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        if "enum" in schema or "const" in schema:
            allowed = [schema["const"]] if "const" in schema else schema["enum"]
            right = [value for value in allowed if not types or any(TYPES[kind](value) for kind in types)]
            return self.rule(_any_of([_literal(self.layout.dump(value, depth)) for value in right]))
        if not types:
            return self.anything()
        return self.rule(_any_of([self.typed(kind, schema, values, depth, full) for kind in types]))

    def typed(self, kind: str, schema: Mapping[str, Any], values: Sequence[JsonValue], depth: int, full: bool) -> str:
        own = [value for value in values if TYPES[kind](value)]
        if kind == "object":
            return self.mapping(schema, own, depth, empty=not full and not schema.get("required"))
        if kind == "array":
            return self.sequence(schema, own, depth, empty=not full)
        if kind == "string" and schema.get(COPIED):
            return COPY if all(own) else f'{COPY} | "\\"\\""'
        return {"boolean": '"true" | "false"', "null": '"null"'}.get(kind, kind.upper())

    def anything(self) -> str:
        """Any value, which rules of one depth can only write on one line."""
        if self.layout.indent is not None:
            raise UnsupportedSchema({})
        comma, pair = _literal(self.layout.comma), f"STRING {_literal(self.layout.colon)} anything"
        objects, arrays = f'"{{" ({pair} ({comma} {pair})*)? "}}"', f'"[" (anything ({comma} anything)*)? "]"'
        self.named[f'{objects} | {arrays} | STRING | NUMBER | "true" | "false" | "null"'] = "anything"
        return "anything"

    def sequence(self, schema: Mapping[str, Any], lists: Sequence[list[JsonValue]], depth: int, empty: bool) -> str:
        seen = [item for value in lists for item in value]
        if "items" not in schema and lists and not seen:
            return '"[]"'
        if schema.get("uniqueItems"):
            return self.choice(schema, depth, empty)
        item = self.node(schema.get("items", True), seen, depth + 1)
        return self.enclosed("[]", f"{item} ({self.comma(depth)} {item})*", depth, empty)

    def choice(self, schema: Mapping[str, Any], depth: int, empty: bool) -> str:
        """A list of some of the values enumerated, each at most once, in any order."""
        items = schema.get("items", {})
        literals = dict.fromkeys(_literal(self.layout.dump(item, depth + 1)) for item in items.get("enum", []))
        if not 0 < len(literals) <= MAX_KEYS or items.keys() - {"enum"}:
            raise UnsupportedSchema(schema)
        pairs = {literal: literal for literal in literals}
        return self.enclosed("[]", self.selection(pairs, set(), False, depth), depth, empty)

    def mapping(
        self, schema: Mapping[str, Any], objects: Sequence[dict[str, JsonValue]], depth: int, empty: bool
    ) -> str:
        fields, other = dict(schema.get("properties", {})), schema.get("additionalProperties", True)
        if other is not False:
            unlisted = dict.fromkeys(key for value in objects for key in value if key not in fields)
            if not fields:
                node = self.node(other, [item for value in objects for item in value.values()], depth + 1)
                pair = f"STRING {_literal(self.layout.colon)} {node}"
                return self.enclosed("{}", f"{pair} ({self.comma(depth)} {pair})*", depth, empty)
            fields |= dict.fromkeys(unlisted, other)
        order = key_order([list(value) for value in objects], list(fields))
        required = set(schema.get("required", []))
        if not fields or not required <= fields.keys():
            raise UnsupportedSchema(schema)
        pairs = {
            key: f"{_literal(self.layout.dump(key) + self.layout.colon)} "
            + self.field(fields[key], [value[key] for value in objects if key in value], depth + 1, key in required)
            for key in order or fields
        }
        if order and required == set(fields):
            return self.enclosed("{}", f" {self.comma(depth)} ".join(pairs.values()), depth, False)
        if len(pairs) <= MAX_KEYS:
            return self.enclosed("{}", self.selection(pairs, required, order is not None, depth), depth, empty)
        if required:
            raise UnsupportedSchema(schema)
        pair = self.rule(_any_of(list(pairs.values())))
        return self.enclosed("{}", f"{pair} ({self.comma(depth)} {pair})*", depth, empty)

    def field(self, schema: Any, values: Sequence[JsonValue], depth: int, required: bool) -> str:
        return self.node(schema, values, depth, full=not required and len(values) >= ENOUGH and all(
            value for value in values if isinstance(value, list | dict)
        ))  # fmt: skip

    def selection(self, pairs: Mapping[str, str], required: set[str], ordered: bool, depth: int) -> str:
        """Some of the pairs, each at most once, at least one: bit *k* says that pair *k* was written."""
        keys, last, first, more = list(pairs), -1, [], []
        name = f"s{len(self.named)}"
        needed = [f"bit_set({number})" for number, key in enumerate(keys) if key in required]
        for number, key in enumerate(keys):
            pair, conditions = self.rule(pairs[key]), [f"bit_clear({number})"]
            if ordered:
                # Neither it nor a later one yet, and the required one before it, else the end could not be reached.
                conditions = [f"is_zeros([{number}:{len(keys)}])", *([f"bit_set({last})"] if last >= 0 else [])]
            if not ordered or last < 0:
                first.append(f"{pair} {name}::set_bit({number})")
            more.append(f"{self.comma(depth)} {pair} {name}::set_bit({number}) %if {_all_of(conditions)}")
            last = number if key in required else last
        end = f'"" %if {_all_of(needed)}' if needed else '""'
        self.named["\n | ".join([end, *more])] = f"{name}::_"
        self.named["\n | ".join(first)] = f"{name}f::_"
        return f"{name}f::0x0"

    def comma(self, depth: int) -> str:
        return _literal(self.layout.comma + self.layout.line(depth + 1))

    def enclosed(self, brackets: str, inner: str, depth: int, empty: bool) -> str:
        opening = _literal(brackets[0] + self.layout.line(depth + 1))
        full = f"{opening} {inner} {_literal(self.layout.line(depth) + brackets[1])}"
        return f"{_literal(brackets)} | {full}" if empty else full


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _any_of(bodies: Sequence[str]) -> str:
    if not bodies:
        raise UnsupportedSchema("nothing is allowed")
    return "\n | ".join(dict.fromkeys(bodies))


def _all_of(conditions: Sequence[str]) -> str:
    *rest, whole = conditions
    for condition in reversed(rest):
        whole = f"and({condition}, {whole})"
    return whole
