"""Named entities: the answer lists spans of the input, each with a type."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from exactune.errors import ConfigError
from exactune.language import Text, count, join, say
from exactune.tasks.base import Counts, Parsed, Score, rate
from exactune.tasks.f1 import macro_f1, micro_f1, overlap, tallies
from exactune.tasks.jsontext import READABLE, parse_answer
from exactune.types import JsonValue, Status

__all__ = ["OFFSET_KEYS", "TEXT_KEYS", "TYPE_KEYS", "EntitiesTask", "entity_items", "unwrap"]

TEXT_KEYS = ("text", "entity", "span", "word")
"""Keys that may hold the span of an item; the first that is there does."""

TYPE_KEYS = ("type", "label", "category")
"""Keys that may hold the type of an item; the first that is there does."""

OFFSET_KEYS = ("start", "end")
"""Further keys of an item that say nothing new."""

SHOWN = 12
"""How many types :meth:`EntitiesTask.describe` lists."""


@dataclass(frozen=True)
class EntitiesTask:
    """Spans with types, as ``{type: [span, …]}`` or as a list of ``{"text", "type"}`` items.

    Compared by exact text and type, as multisets: neither order nor the way of writing matters. A span of an unknown
    type is a false positive, like any other that is not in the right answer.

    Attributes:
        entity_types: The types that the training rows know.
    """

    type: ClassVar[str] = "entities"
    primary: ClassVar[str] = "entity_f1"
    metrics: ClassVar[tuple[str, ...]] = ("entity_f1", "entity_macro_f1", "exact_match", "valid_json")

    entity_types: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a list without types, or with one twice.

        Raises:
            ConfigError: ``entity_types`` is such a list.
        """
        if not self.entity_types:
            raise ConfigError(
                say("`task.entity_types` is empty. List the types, or leave it out to take those of the rows.")
            )
        for name, times in Counter(self.entity_types).items():
            if times > 1:
                raise ConfigError(
                    say("`task.entity_types` lists `{name}` {times} times. Keep one.", name=name, times=times)
                )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> EntitiesTask:
        """The task of a complete ``task`` block.

        Raises:
            ConfigError: ``entity_types`` is missing or unusable.
        """
        return cls(tuple(config.get("entity_types") or ()))

    def config(self) -> dict[str, Any]:
        """``type`` and ``entity_types``."""
        return {"type": self.type, "entity_types": list(self.entity_types)}

    def describe(self) -> Text:
        """For example "entities, 3 types: PER, LOC, ORG"."""
        types = self.entity_types
        listed = join(", ", [*types[:SHOWN], *["…"] * (len(types) > SHOWN)])
        return say("{task}, {types}: {listed}", task=say("entities"), types=count(len(types), "type"), listed=listed)

    def parse(self, text: str) -> Parsed:
        """The entities as ``[{"type", "text"}, …]`` in the order of the answer, however they were written."""
        parsed = parse_answer(text)
        if parsed.status is not Status.OK:
            return parsed
        items = entity_items(parsed.value)
        if items is None:
            return Parsed(None, Status.INVALID_SCHEMA)
        return Parsed([{"type": kind, "text": span} for kind, span in items], Status.OK)

    def score(self, gold: Parsed, predicted: Parsed) -> Score:
        """Counts of spans by type."""
        right, given = _by_type(gold), _by_type(predicted)
        correct = gold.status is predicted.status is Status.OK and right == given
        counts = overlap(right, given)
        counts["n",] = 1
        counts["exact_match",] = int(correct)
        counts["valid_json",] = int(predicted.status in READABLE)
        return Score(correct, counts)

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """``entity_f1`` pools all spans; ``entity_macro_f1`` is the mean over types that occur on either side."""
        n, found = totals.get(("n",), 0), tallies(totals)
        shares = {name: rate(totals.get((name,), 0), n) for name in self.metrics[2:]}
        return {"entity_f1": micro_f1(found), "entity_macro_f1": macro_f1(found), **shares}

    def per_label(self, totals: Counts) -> dict[str, dict[str, float]]:
        """Types that occurred, in the order of ``entity_types``, then unknown ones."""
        found = tallies(totals)
        order = dict.fromkeys([*(kind for kind in self.entity_types if kind in found), *found])
        return {kind: found[kind].to_row() for kind in order}

    def confusion(self, totals: Counts) -> None:
        """Meaningless here."""


def unwrap(value: JsonValue) -> JsonValue:
    """The list or mapping of entities inside an object with a single key: ``{"entities": […]}``.

    ``{"person": ["Ann"]}`` is itself the mapping: its list holds spans, not items.
    """
    if isinstance(value, dict) and len(value) == 1:
        (inner,) = value.values()
        if isinstance(inner, dict) or (isinstance(inner, list) and all(isinstance(item, dict) for item in inner)):
            return inner
    return value


def entity_items(value: JsonValue) -> list[tuple[str, str]] | None:
    """``(type, span)`` pairs of a JSON answer, or ``None`` if it is not written as entities."""
    value = unwrap(value)
    if isinstance(value, dict):
        if not all(isinstance(spans, list) for spans in value.values()):
            return None
        pairs = [(kind, span) for kind, spans in value.items() for span in spans]
    elif isinstance(value, list):
        pairs = [_pair(item) for item in value]
    else:
        return None
    return pairs if all(isinstance(kind, str) and isinstance(span, str) for kind, span in pairs) else None


def _pair(item: JsonValue) -> tuple[Any, Any]:
    if not isinstance(item, dict):
        return None, None
    kind = next((item[key] for key in TYPE_KEYS if key in item), None)
    return kind, next((item[key] for key in TEXT_KEYS if key in item), None)


def _by_type(answer: Parsed) -> dict[str, Counter[str]]:
    types: defaultdict[str, Counter[str]] = defaultdict(Counter)
    if answer.status is Status.OK:
        for item in answer.value:
            types[item["type"]][item["text"]] += 1
    return dict(types)
