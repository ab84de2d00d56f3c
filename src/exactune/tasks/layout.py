"""How JSON answers are written: spacing, indentation, order of keys, and whether characters are escaped."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import combinations

from exactune.tasks.jsontext import parse_answer
from exactune.types import JsonValue, Status

__all__ = ["Layout", "find_layout", "key_order"]

LOOKED_AT = 1000
"""So many answers, spread evenly, tell the layout."""

ORDERED = 0.95
"""Share of the objects that have to follow one order of keys for there to be one."""

NUMBER = re.compile(r'"\\u0000([^"]*)"')


@dataclass(frozen=True, slots=True)
class Layout:
    """A way of writing JSON values.

    Attributes:
        comma: What stands between items; where items have lines of their own, without the line's end.
        colon: What stands between a key and its value.
        escapes: Whether characters beyond ASCII are written ``\\uXXXX``.
        indent: By how much each level is indented; ``None`` keeps a value on one line.
    """

    comma: str = ", "
    colon: str = ": "
    escapes: bool = False
    indent: str | None = None

    def line(self, depth: int) -> str:
        """What stands before an item in a container at a depth, and, one depth less, before its closing bracket."""
        return "" if self.indent is None else "\n" + self.indent * depth

    def dump(self, value: JsonValue, depth: int = 0) -> str:
        """A value in this layout, as it stands at a depth."""
        text = json.dumps(
            value, ensure_ascii=self.escapes, separators=(self.comma, self.colon), indent=self.indent
        )  # fmt: skip
        return text.replace("\n", self.line(depth)) if self.indent is not None else text


LAYOUTS = tuple(
    Layout(comma, colon, escapes, indent)
    for comma, colon, indent in (
        (", ", ": ", None), (",", ":", None), (",", ": ", None), (", ", ":", None),
        (",", ": ", "  "), (",", ": ", "    "), (",", ": ", "\t"),
    )
    for escapes in (False, True)
)  # fmt: skip
"""The layouts that are known; of two that explain the answers equally well, the first is taken."""

LAYOUTS_OF_ONE_LINE = tuple(layout for layout in LAYOUTS if layout.indent is None)


def find_layout(answers: Sequence[str]) -> Layout | None:
    """The layout of most JSON answers; ``None`` if no known one is that of more than half."""
    spread = answers[:: -(-len(answers) // LOOKED_AT) or 1]
    texts = [text for text in spread if parse_answer(text).status is Status.OK]
    hits: Counter[Layout] = Counter()
    for text, times in Counter(texts).items():  # labels come again and again
        hits.update(dict.fromkeys(_layouts_of(text), times))
    best = max(LAYOUTS, key=lambda layout: hits[layout])
    return best if hits[best] * 2 > len(texts) else None


def _layouts_of(text: str) -> Iterable[Layout]:
    # The digits of a float are kept as they were written: behind a character that no unescaped text can have.
    value = json.loads(text, parse_float=lambda digits: "\0" + digits)
    # Lines of their own show, unless there is nothing to put on them; indented values take long to write.
    possible = LAYOUTS if "\n" in text or not value else LAYOUTS_OF_ONE_LINE
    return (layout for layout in possible if NUMBER.sub(r"\1", layout.dump(value)) == text)


def key_order(rows: Sequence[list[str]], keys: list[str]) -> list[str] | None:
    """The order of ``keys`` that nearly all rows of keys follow; ``None`` if there is none."""
    before: Counter[tuple[str, str]] = Counter(pair for row in rows for pair in combinations(row, 2))
    graph: dict[str, list[str]] = {key: [] for key in keys}
    for (early, late), times in before.items():
        if early in graph and late in graph and times >= before[late, early]:
            graph[late].append(early)
    try:
        order = {key: place for place, key in enumerate(TopologicalSorter(graph).static_order())}
    except CycleError:
        return None
    places = [[order[key] for key in row if key in order] for row in rows]
    return list(order) if sum(row == sorted(row) for row in places) >= ORDERED * len(rows) else None
