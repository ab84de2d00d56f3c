"""Spans of the input: how many two answers share, how many nearly, and how many are invented."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exactune.types import JsonValue

__all__ = ["OFFSET_KEYS", "Span", "count_invented", "count_partial", "count_shared", "span_of"]

OFFSET_KEYS = ("start", "end")
"""Keys that may hold where a span stands, in characters."""

Offsets = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the input with a type.

    Attributes:
        type: What it is.
        text: As it stands in the input.
        offsets: Where, as the answer counts; ``None`` where it does not say.
    """

    type: str
    text: str
    offsets: Offsets | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """``{"type", "text"}``, and ``start`` and ``end`` where they are known."""
        plain: dict[str, JsonValue] = {"type": self.type, "text": self.text}
        return plain if self.offsets is None else {**plain, **dict(zip(OFFSET_KEYS, self.offsets, strict=True))}


def span_of(kind: str, text: str, item: Mapping[str, Any]) -> Span:
    """The span of an item; offsets that are no pair of whole numbers are none."""
    start, end = (item.get(key) for key in OFFSET_KEYS)
    return Span(kind, text, (start, end) if type(start) is int and type(end) is int else None)


def count_shared(gold: Sequence[Span], predicted: Sequence[Span]) -> Counter[tuple[str, ...]]:
    """Counts by type as :mod:`exactune.tasks.f1` has them.

    Two spans are the same if type and text are, and the offsets too where both have them. Each stands for one of the
    other side only, so what stands twice has to be found twice.
    """
    right, given = _grouped(gold), _grouped(predicted)
    counts: Counter[tuple[str, ...]] = Counter(("gold", span.type) for span in gold)
    for kind, texts in right.items():
        if both := sum(_pairs(places, given.get(kind, {}).get(text)) for text, places in texts.items()):
            counts["both", kind] = both
    counts.update(("predicted", span.type) for span in predicted)
    return counts


def _grouped(spans: Sequence[Span]) -> dict[str, dict[str, Counter[Offsets | None]]]:
    """Type -> text -> how often each place stands there."""
    types: defaultdict[str, defaultdict[str, Counter[Offsets | None]]] = defaultdict(lambda: defaultdict(Counter))
    for span in spans:
        types[span.type][span.text][span.offsets] += 1
    return {kind: dict(texts) for kind, texts in types.items()}


def _pairs(gold: Counter[Offsets | None], predicted: Counter[Offsets | None] | None) -> int:
    """The most pairs that can be made of spans with one type and text."""
    if predicted is None:
        return 0
    same = sum(times for place, times in (gold & predicted).items() if place is not None)
    anywhere, given_anywhere = gold[None], predicted[None]
    left = gold.total() - anywhere - same
    given_left = predicted.total() - given_anywhere - same
    # What has other offsets pairs only with what has none: the smallest set that touches every such pair.
    return same + min(left + anywhere, given_left + given_anywhere, anywhere + given_anywhere)


def count_partial(gold: Sequence[Span], predicted: Sequence[Span], source: str | None) -> int:
    """How many spans are found at least in part: pairs of one type whose characters overlap.

    This is what SemEval-2013 Task 9 calls type matching ("some overlap", Segura-Bedmar et al., 2013). Pairs are made
    greedily, equal spans first, then those with the largest share of characters in common (intersection over union);
    no span is in two pairs. A span without offsets may be any of its occurrences in the input, and one that does not
    stand there equals only itself.

    Args:
        gold: The right spans.
        predicted: The spans given.
        source: The input; without it only offsets tell where a span stands.
    """
    right, given = _by_type(gold), _by_type(predicted)
    return sum(_greedy(right[kind], given[kind], source or "") for kind in right.keys() & given.keys())


def _by_type(spans: Sequence[Span]) -> dict[str, list[Span]]:
    types: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        types[span.type].append(span)
    return types


def _greedy(gold: Sequence[Span], predicted: Sequence[Span], source: str) -> int:
    starts = {span: _starts(span, source) for span in {*gold, *predicted}}
    likeness = {(one, other): _likeness(one, other, starts) for one in {*gold} for other in {*predicted}}
    pairs = sorted(
        (
            (likeness[one, other], -row, -column)
            for row, one in enumerate(gold)
            for column, other in enumerate(predicted)
            if likeness[one, other] > (0, 0)
        ),
        reverse=True,
    )
    rows: set[int] = set()
    columns: set[int] = set()
    for _, row, column in pairs:
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
    return len(rows)


def _starts(span: Span, source: str) -> list[int]:
    """Where a span may begin, in order."""
    if span.offsets is not None:
        return [span.offsets[0]]
    starts: list[int] = []
    at = source.find(span.text) if span.text else -1
    while at >= 0:
        starts.append(at)
        at = source.find(span.text, at + 1)
    return starts


def _likeness(one: Span, other: Span, starts: Mapping[Span, Sequence[int]]) -> tuple[float, int]:
    """Intersection over union at the best places; equal spans come before all others, surest first."""
    if one.text == other.text and (one.offsets == other.offsets or None in (one.offsets, other.offsets)):
        return 2.0, (one.offsets is not None) + (other.offsets is not None)
    length, other_length = len(one.text), len(other.text)
    shared = 0
    for start in starts[one]:
        # The nearest occurrence before and the nearest after share most.
        after = bisect_right(starts[other], start)
        for near in starts[other][max(0, after - 1) : after + 1]:
            shared = max(shared, min(start + length, near + other_length) - max(start, near))
    return shared / max(1, length + other_length - shared), 0


def count_invented(texts: Sequence[str], known: Collection[str], source: str) -> int:
    """How many of the texts given stand neither in the input nor in the right answer."""
    return sum(text not in source and text not in known for text in texts)
