"""Small wording helpers for messages about rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exactune.types import Location

__all__ = ["count", "excerpt", "kind_of", "places", "unique"]

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


def count(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``2 training rows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def places(locations: Sequence[Location], limit: int = 3) -> str:
    """The first places by name, the others by number."""
    named = ", ".join(str(place) for place in locations[:limit])
    return named if len(locations) <= limit else f"{named} and {len(locations) - limit:,} more"


def unique(locations: Iterable[Location]) -> tuple[Location, ...]:
    """Each place once, in the order of first mention."""
    return tuple(dict.fromkeys(locations))


def excerpt(text: str, limit: int = 40) -> str:
    """The text on one line, cut for a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[:limit] + "…"


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), "a number")
