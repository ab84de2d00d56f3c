"""What JSON values have in common: the types, keys and texts at each place, counted in one pass."""

from __future__ import annotations

from collections import Counter
from functools import cached_property

from exactune.types import JsonValue

__all__ = ["NEARLY_ALL", "Shape", "nearly_all"]

NEARLY_ALL = 0.95
"""Share of the rows that has to fit a form; the rest are mistakes for the checks to report."""

ENUM_VALUES = 20
"""An enumeration has at most so many values,"""
ENUM_REPEATS = 5
"""each seen at least so often on average,"""
ENUM_LENGTH = 80
"""none longer than so many characters."""

OPEN_KEYS = 20
"""An object type with more distinct keys than this, half of them seen once, is a mapping with free keys;"""
MOST_KEYS = 1000
"""so is one with more than this: its values are counted together, so that memory stays bounded."""

SIGNATURES = 1000
"""So many different rows of keys are told apart at one place; where there are more, the keys come and go freely."""

FIRM_ROWS = 100
FIRM = 0.99
"""In so many objects or more, a key that all but 1 % have is one that the others have forgotten; in fewer, a single
row more or less would decide."""

RARE = 0.01
RARE_ROWS = 20
"""A key that at most 1 % of the objects have (or one object of 20 or more) is rare; those with a name for a note or an
exception are the reason to look at what else the object has before it is called a mistake."""

_TYPES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def nearly_all(hits: int, rows: int) -> bool:
    """At least 95 %, where one mistake is allowed from ten rows on; never of nothing."""
    return hits > 0 and (hits >= NEARLY_ALL * rows or (hits == rows - 1 and rows >= 10))


class Shape:
    """What stood at one place of the values added, for example under one key.

    The values are not kept, but for the few texts that could be an enumeration. Judgements are asked for when all
    values are there.

    Attributes:
        types: JSON type -> how often.
        signatures: Row of keys, as they were written -> objects that have it.
        fields: Key -> what stood under it.
        others: What stood under keys beyond :data:`MOST_KEYS`.
        items: What stood in lists.
        texts: Text -> how often; ``None`` where they are too many or too long for an enumeration.
        copied: Texts that stand in the input word for word, empty ones among them.
        blank: Empty texts.
    """

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.signatures: Counter[tuple[str, ...]] = Counter()
        self.fields: dict[str, Shape] = {}
        self.others: Shape | None = None
        self.items: Shape | None = None
        self.texts: Counter[str] | None = Counter()
        self.copied = 0
        self.blank = 0

    @property
    def count(self) -> int:
        """How many values stood here."""
        return sum(self.types.values())

    def add(self, value: JsonValue, text: str) -> None:
        """Count one more value.

        Args:
            value: A JSON value.
            text: What it was the answer to.
        """
        kind = _TYPES[type(value)]
        self.types[kind] += 1
        if kind == "string":
            self.copied += value in text
            self.blank += not value
            self._add_text(value, 1)
        elif kind == "object":
            self._add_signature(tuple(value), 1)
            for key, item in value.items():
                self._field(key).add(item, text)
        elif kind == "array":
            for item in value:
                self._items().add(item, text)

    def merge(self, other: Shape) -> None:
        """Count what another shape has counted."""
        self.types += other.types
        self.copied += other.copied
        self.blank += other.blank
        if other.texts is None:
            self.texts = None
        for text, times in (other.texts or {}).items():
            self._add_text(text, times)
        for signature, times in other.signatures.items():
            self._add_signature(signature, times)
        for key, field in other.fields.items():
            self._field(key).merge(field)
        if other.items is not None:
            self._items().merge(other.items)

    def _add_text(self, text: str, times: int) -> None:
        if self.texts is None:
            return
        self.texts[text] += times
        if len(self.texts) > ENUM_VALUES or len(text) > ENUM_LENGTH or "\n" in text:
            self.texts = None

    def _add_signature(self, keys: tuple[str, ...], times: int) -> None:
        if keys in self.signatures or len(self.signatures) < SIGNATURES:
            self.signatures[keys] += times

    def _field(self, key: str) -> Shape:
        field = self.fields.get(key)
        if field is None and len(self.fields) < MOST_KEYS:
            field = self.fields[key] = Shape()
        if field is None:
            field = self.others = self.others or Shape()
        return field

    def _items(self) -> Shape:
        self.items = self.items or Shape()
        return self.items

    @property
    def kinds(self) -> set[str]:
        """The JSON types that belong here: without those of stray values, where nearly all have another."""
        known = Counter(self.types)
        if "number" in known:
            known["number"] += known.pop("integer", 0)
        filled = Counter({kind: times for kind, times in known.items() if kind != "null"})
        for kind, times in filled.most_common(1):
            if nearly_all(times, filled.total()):
                return {kind} | ({"null"} & set(known))
        return set(known)

    @property
    def free_keys(self) -> bool:
        """Whether the objects are mappings with free keys rather than records."""
        once = sum(field.count == 1 for field in self.fields.values())
        return self.others is not None or (len(self.fields) > OPEN_KEYS and once * 2 >= len(self.fields))

    def pooled(self) -> Shape:
        """What stood under any key."""
        pool = Shape()
        for field in (*self.fields.values(), *([self.others] if self.others else [])):
            pool.merge(field)
        return pool

    @cached_property
    def firm_keys(self) -> tuple[str, ...]:
        """Keys that nearly all objects here have."""
        return tuple(key for key, field in self.fields.items() if nearly_all(field.count, self.types["object"]))

    @cached_property
    def required_keys(self) -> tuple[str, ...]:
        """Keys that every object here has, or would have but for a slip."""
        objects = self.types["object"]
        least = FIRM * objects if objects >= FIRM_ROWS else objects
        return tuple(key for key, field in self.fields.items() if field.count >= least)

    @cached_property
    def misnamed_keys(self) -> frozenset[str]:
        """Rare keys of objects that all lack another which nearly all have, so they are likely that one misspelt."""
        firm = set(self.firm_keys)
        if len(self.signatures) == SIGNATURES:
            return frozenset()
        whole = {key for signature in self.signatures if firm <= set(signature) for key in signature}
        return frozenset(key for key in self.rare_keys if key not in whole)

    @property
    def rare_keys(self) -> frozenset[str]:
        """Keys that almost none of the objects here has."""
        objects = self.types["object"]
        most = max(1, RARE * objects)
        few = objects >= RARE_ROWS
        return frozenset(key for key, field in self.fields.items() if few and field.count <= most)

    @property
    def stray_keys(self) -> frozenset[str]:
        """Misnamed keys, and where all others are in nearly all objects, every rare one."""
        rare = self.rare_keys
        rigid = bool(self.firm_keys) and rare | set(self.firm_keys) == set(self.fields)
        return rare if rigid else self.misnamed_keys

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The firm keys as most objects write them; empty if no order is that of more than half."""
        firm = set(self.firm_keys)
        orders: Counter[tuple[str, ...]] = Counter()
        for signature, times in self.signatures.items():
            if firm <= set(signature):
                orders[tuple(key for key in signature if key in firm)] += times
        return next((keys for keys, times in orders.most_common(1) if times * 2 > orders.total()), ())

    @property
    def labels(self) -> list[str]:
        """The texts, where they are few and recur."""
        return list(self.texts) if self.texts and self.types["string"] >= ENUM_REPEATS * len(self.texts) else []
