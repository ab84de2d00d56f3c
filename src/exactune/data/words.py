"""Small wording helpers for messages about rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exactune.language import Text, count, join, say
from exactune.types import Location

__all__ = ["around_difference", "count", "excerpt", "kind_of", "places", "unique"]

_KINDS = {
    dict: say("an object"),
    list: say("a list"),
    str: say("a text"),
    bool: say("true or false"),
    type(None): say("null"),
}


def places(locations: Sequence[Location], limit: int = 3) -> Text:
    """The first places by name, the others by number."""
    named = join(", ", map(str, locations[:limit]))
    more = len(locations) - limit
    return say("{named} and {more:,} more", named=named, more=more) if more > 0 else named


def unique(locations: Iterable[Location]) -> tuple[Location, ...]:
    """Each place once, in the order of first mention."""
    return tuple(dict.fromkeys(locations))


def excerpt(text: str, limit: int = 40) -> str:
    """The text on one line, cut for a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[:limit] + "…"


def around_difference(text: str, other: str, limit: int = 80) -> tuple[str, str]:
    """Both texts on one line, cut to where they first differ; their beginnings if they do not."""
    flat = (" ".join(text.split()), " ".join(other.split()))
    first = next((at for at, (one, two) in enumerate(zip(*flat, strict=False)) if one != two), min(map(len, flat)))
    start = 0 if first == max(map(len, flat)) else max(0, first - limit // 2)
    one, two = ("…" * (start > 0) + excerpt(one[start:], limit) for one in flat)
    return one, two


def kind_of(value: Any) -> Text:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), say("a number"))
