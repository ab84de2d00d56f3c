"""Spans of the answer that should be copied from the input, and are not (D405)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from exactune.checks.dataset import MOSTLY, Dataset
from exactune.checks.nearness import Miss, explain_miss
from exactune.data.words import count, excerpt, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.tasks.entities import OFFSET_KEYS, entity_items, unwrap
from exactune.tasks.items import read_items
from exactune.tasks.jsontext import parse_answer
from exactune.tasks.shape import ENUM_REPEATS, NEARLY_ALL, Shape
from exactune.types import Example, JsonValue

__all__ = ["span_not_in_input"]

SHOWN = 3
EVIDENCE = 20

EXPLAINED = 200
"""So many spans are compared with their input piece by piece; of more, the first tell enough."""

ENOUGH_SPANS = 20
"""Fewer texts in a field do not show that it is always copied."""

CONVENTIONS: Mapping[str, Callable[[str, int, int], str]] = {
    "exclusive": lambda text, start, end: text[start:end],
    "inclusive": lambda text, start, end: text[start : end + 1],
}
"""What offsets may mean: the end is the first character behind the span, or its last."""


def span_not_in_input(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A span that does not stand in the input.

    What it does:
        Looks for every entity in its input; in other JSON answers, for the texts of those fields that are copied from
        the input in at least 95% of the training answers. Says whether case, width, blanks, punctuation or script
        (traditional, simplified) is the reason, or what the input has instead. Where items have offsets that point to
        their span in most rows, it finds those that do not.

    Why it matters:
        The model learns to invent or rewrite spans that it should copy, and scores count every other spelling as wrong.

    Example:
        {"text": "台積電今天大漲", "output": {"company": ["台积电"]}}

    Fix:
        Copy the span from the input, character by character, and count offsets in the same text.
    """
    spans = _reader(dataset)
    if spans is None:
        return
    missing: list[tuple[Example, str, str | None]] = []
    for _, rows in dataset.named_splits:
        for row in rows:
            text = row.input
            for span, why in spans(parse_answer(row.answer).value, text):
                missing.append((row, span, why))
    if missing:
        explained = [
            (row, span, Miss(why) if why else explain_miss(span, row.input)) for row, span, why in missing[:EXPLAINED]
        ]
        places = unique(row.location for row, *_ in missing)
        named = join(
            "; ",
            (
                say("{place} {span!r} ({reason})", place=row.location, span=excerpt(span), reason=miss.sentence)
                for row, span, miss in explained[:SHOWN]
            ),
        )
        yield rule.finding(
            say(
                "{spans} not in the input: {named}{more}",
                spans=count(len(missing), "span"),
                named=named,
                more="; …" if len(missing) > SHOWN else "",
            ),
            locations=places,
            evidence={
                "spans": len(missing),
                "rows": len(places),
                "causes": dict(Counter(miss.why for *_, miss in explained).most_common()),
                "samples": [
                    {"row": str(row.location), "span": span, "why": miss.why, "instead": miss.instead}
                    for row, span, miss in explained[:EVIDENCE]
                ],
            },
        )


Reader = Callable[[JsonValue, str], Iterator[tuple[str, str | None]]]
"""From a value and its input to the spans that are not in it; those that only their offsets miss say so."""


def _reader(dataset: Dataset) -> Reader | None:
    """How to find such spans; ``None`` where answers are labels or free text, or copy nothing."""
    shape, task = dataset.shape, dataset.task
    if shape is None or (task is not None and task.type == "classification"):
        return None
    convention = _convention(dataset) if _has_offsets(shape) else None
    entities = task is not None and task.type == "entities"
    copied = None if entities else _copied(shape)
    if not entities and copied is None and convention is None:
        return None

    def read(value: JsonValue, text: str) -> Iterator[tuple[str, str | None]]:
        spans = (span for _, span in entity_items(value) or ()) if entities else _texts(value, copied)
        yield from ((span, None) for span in dict.fromkeys(spans) if span and span not in text)
        if convention is not None:
            yield from ((span, "offset") for span in _misplaced(value, text, convention))

    return read


def _copied(shape: Shape) -> Any:
    """Which texts are copied: ``True``, or the same for the fields and items; ``None`` where there are none."""
    filled = shape.types["string"] - shape.blank
    recurring = shape.texts is not None and filled >= ENUM_REPEATS * len(shape.texts)
    # A few values that recur are labels, even if the input happens to hold the word.
    if shape.kinds <= {"string", "null"} and filled >= ENOUGH_SPANS and not recurring:
        return True if shape.copied - shape.blank >= NEARLY_ALL * filled else None
    inner = {} if shape.free_keys else {key: _copied(field) for key, field in shape.fields.items()}
    fields = {key: one for key, one in inner.items() if one is not None}
    items = None if shape.items is None else _copied(shape.items)
    return {"fields": fields, "items": items} if fields or items is not None else None


def _texts(value: JsonValue, copied: Any) -> Iterator[str]:
    """The texts in the places that are copied."""
    if copied is True:
        if isinstance(value, str):
            yield value
    elif copied is not None and isinstance(value, dict):
        for key, one in copied["fields"].items():
            if key in value:
                yield from _texts(value[key], one)
    elif copied is not None and isinstance(value, list):
        for item in value:
            yield from _texts(item, copied["items"])


def _has_offsets(shape: Shape) -> bool:
    return any(
        one.items is not None and set(OFFSET_KEYS) <= one.items.fields.keys() for one in (shape, *shape.fields.values())
    )


def _placed(value: JsonValue) -> Iterator[tuple[str, int, int]]:
    """Spans with their offsets."""
    for entity in read_items(unwrap(value)).entities or read_items(value).entities:
        start, end = (entity.item.get(key) for key in OFFSET_KEYS)
        if type(start) is int and type(end) is int:
            yield entity.text, start, end


def _convention(dataset: Dataset) -> str | None:
    """What most offsets mean; ``None`` where they point to the span in neither way."""
    hits: Counter[str] = Counter()
    total = 0
    for row in dataset.splits.train:
        text = row.input
        for span, start, end in _placed(parse_answer(row.answer).value):
            total += 1
            hits.update(name for name, cut in CONVENTIONS.items() if cut(text, start, end) == span)
    return next((name for name, number in hits.most_common(1) if number >= MOSTLY * total), None)


def _misplaced(value: JsonValue, text: str, convention: str) -> Iterator[str]:
    """Spans that are in the text, but not where their offsets say."""
    cut = CONVENTIONS[convention]
    return (span for span, start, end in _placed(value) if span in text and cut(text, start, end) != span)
