"""Named entities: the answer lists spans of the input, each with a type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from exactune.errors import ConfigError
from exactune.language import Text, count, join, say
from exactune.tasks.base import Counts, Parsed, Score, rate
from exactune.tasks.f1 import Tally, macro_f1, micro_f1, tallies
from exactune.tasks.jsontext import READABLE, parse_answer
from exactune.tasks.spans import OFFSET_KEYS, Span, count_invented, count_partial, count_shared, span_of
from exactune.types import JsonValue, Status

__all__ = [
    "OFFSET_KEYS",
    "TEXT_KEYS",
    "TYPE_KEYS",
    "EntitiesTask",
    "entity_items",
    "entity_spans",
    "mapped_spans",
    "unwrap",
]

TEXT_KEYS = ("text", "entity", "span", "word")
"""Keys that may hold the span of an item; the first that is there does."""

TYPE_KEYS = ("type", "label", "category")
"""Keys that may hold the type of an item; the first that is there does."""

SHOWN = 12
"""How many types :meth:`EntitiesTask.describe` lists."""


@dataclass(frozen=True)
class EntitiesTask:
    """Spans with types, as ``{type: [span, …]}`` or as a list of ``{"text", "type"}`` items.

    Compared by exact text and type, and by ``start`` and ``end`` where both sides have them, as multisets: neither
    order nor the way of writing matters. A span of an unknown type or one that is not in the input is a false positive,
    like any other that is not in the right answer.

    Attributes:
        entity_types: The types that the training rows know.
    """

    type: ClassVar[str] = "entities"
    primary: ClassVar[str] = "entity_f1"
    metrics: ClassVar[tuple[str, ...]] = (
        "entity_f1", "entity_macro_f1", "entity_partial_f1", "exact_match", "valid_json", "invented_spans",
    )  # fmt: skip

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
        """The entities as ``[{"type", "text"}, …]`` in the order of the answer, however they were written.

        Items that say where they stand keep their ``start`` and ``end``.
        """
        parsed = parse_answer(text)
        if parsed.status is not Status.OK:
            return parsed
        spans = entity_spans(parsed.value)
        if spans is None:
            return Parsed(None, Status.INVALID_SCHEMA)
        return Parsed([span.to_json() for span in spans], Status.OK)

    def score(self, gold: Parsed, predicted: Parsed, source: str | None = None) -> Score:
        """Counts of spans by type; of those found in part, and of those that stand nowhere."""
        right, given = _spans(gold), _spans(predicted)
        counts = count_shared(right, given)
        both = sum(times for key, times in counts.items() if key[0] == "both")
        correct = gold.status is predicted.status is Status.OK and len(right) == len(given) == both
        # Where one side is all matched, no more can be.
        full = both == min(len(right), len(given))
        counts["partial",] = both if full else count_partial(right, given, source)
        if source is not None:
            counts["spans",] = len(given)
            counts["invented",] = count_invented(
                [span.text for span in given], {span.text for span in right}, source
            )  # fmt: skip
        counts["n",] = 1
        counts["exact_match",] = int(correct)
        counts["valid_json",] = int(predicted.status in READABLE)
        return Score(correct, counts)

    def aggregate(self, totals: Counts) -> dict[str, float]:
        """Pooled and by type.

        ``entity_f1`` pools all spans; ``entity_macro_f1`` is the mean over types that occur on either side;
        ``entity_partial_f1`` takes a span as found where part of it is, see
        :func:`~exactune.tasks.spans.count_partial`. ``invented_spans`` is the share of the spans given that stand
        neither in the input nor in the right answer.
        """
        n, found = totals.get(("n",), 0), tallies(totals)
        return {
            "entity_f1": micro_f1(found),
            "entity_macro_f1": macro_f1(found),
            "entity_partial_f1": Tally(
                sum(tally.gold for tally in found.values()),
                sum(tally.predicted for tally in found.values()),
                totals.get(("partial",), 0),
            ).f1,
            **{name: rate(totals.get((name,), 0), n) for name in ("exact_match", "valid_json")},
            "invented_spans": rate(totals.get(("invented",), 0), totals.get(("spans",), 0)),
        }

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
    spans = entity_spans(value)
    return None if spans is None else [(span.type, span.text) for span in spans]


def entity_spans(value: JsonValue) -> list[Span] | None:
    """The entities of a JSON answer, or ``None`` if it is not written as entities."""
    value = unwrap(value)
    if isinstance(value, dict):
        return mapped_spans(value)
    if not isinstance(value, list):
        return None
    found = [_span(item) for item in value]
    spans = [span for span in found if span is not None]
    return spans if len(spans) == len(found) else None


def mapped_spans(value: Mapping[str, Any]) -> list[Span] | None:
    """The entities of ``{type: [span, …]}``; ``None`` if it is none such."""
    pairs = [(kind, span) for kind, spans in value.items() if isinstance(spans, list) for span in spans]
    usual = all(isinstance(spans, list) for spans in value.values()) and all(isinstance(span, str) for _, span in pairs)
    return [Span(kind, span) for kind, span in pairs] if usual else None


def _span(item: JsonValue) -> Span | None:
    if not isinstance(item, dict):
        return None
    kind = next((item[key] for key in TYPE_KEYS if key in item), None)
    text = next((item[key] for key in TEXT_KEYS if key in item), None)
    return span_of(kind, text, item) if isinstance(kind, str) and isinstance(text, str) else None


def _spans(answer: Parsed) -> list[Span]:
    items = answer.value if answer.status is Status.OK else []
    return [span_of(item["type"], item["text"], item) for item in items]
