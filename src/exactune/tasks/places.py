"""Where in a JSON answer each of its parts stands: every field, list item, entity and relation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from exactune.types import JsonValue

__all__ = ["Place", "find_places", "write_path"]

SPACE = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder()
PLAIN_KEY = re.compile(r"[^.\[\]\"\s]+")

Span = tuple[int, int]
"""The first character and the one after the last."""

Path = tuple[str | int, ...]
"""The keys and list places that lead to a value."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of an answer.

    Attributes:
        path: The way to it.
        value: What stands there.
        spans: Its own characters last, those of the keys on the way to it before.
    """

    path: Path
    value: JsonValue
    spans: tuple[Span, ...]


def find_places(text: str, *, whole_items: bool) -> list[Place]:
    """The parts of a JSON text: every value that holds no other, and empty lists and objects.

    A repeated key is found at its last value, as in ``json.loads``.

    Args:
        text: A JSON text.
        whole_items: Whether an object in a list, such as an entity or a relation, is one part.
    """
    return [*_walk(_Scanner(text, whole_items).value(0, (), ())[0])]


_Node = Place | list["_Node"]


def _walk(node: _Node) -> Iterator[Place]:
    if isinstance(node, Place):
        yield node
    else:
        for child in node:
            yield from _walk(child)


class _Scanner:
    """Reads a text that is known to be JSON; every method returns what it read and where it ended."""

    def __init__(self, text: str, whole_items: bool) -> None:
        self.text = text
        self.whole_items = whole_items

    def value(self, start: int, path: Path, keys: tuple[Span, ...]) -> tuple[_Node, int]:
        start = self._skip(start)
        opening = self.text[start]
        is_item = bool(path) and isinstance(path[-1], int)
        if opening not in "{[" or (opening == "{" and self.whole_items and is_item):
            found, end = DECODER.raw_decode(self.text, start)
            return Place(path, found, (*keys, (start, end))), end
        first = self._skip(start + 1)
        if self.text[first] in "}]":
            return Place(path, {} if opening == "{" else [], (*keys, (start, first + 1))), first + 1
        return self._mapping(first, path, keys) if opening == "{" else self._sequence(first, path, keys)

    def _mapping(self, place: int, path: Path, keys: tuple[Span, ...]) -> tuple[_Node, int]:
        fields: dict[str, _Node] = {}
        while True:
            key, end = DECODER.raw_decode(self.text, place)
            colon = self._skip(end)
            fields[key], end = self.value(colon + 1, (*path, key), (*keys, (place, end)))
            end = self._skip(end)
            if self.text[end] == "}":
                return [*fields.values()], end + 1
            place = self._skip(end + 1)

    def _sequence(self, place: int, path: Path, keys: tuple[Span, ...]) -> tuple[_Node, int]:
        items: list[_Node] = []
        while True:
            item, end = self.value(place, (*path, len(items)), keys)
            items.append(item)
            end = self._skip(end)
            if self.text[end] == "]":
                return items, end + 1
            place = end + 1

    def _skip(self, place: int) -> int:
        match = SPACE.match(self.text, place)
        assert match is not None
        return match.end()


def write_path(path: Path) -> str:
    """For example ``slots.artist[0]``; a key that could be misread is quoted: ``slots["a.b"]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text
