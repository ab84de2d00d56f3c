"""Entities and relations without a model: the spans of the training rows, looked up in the input."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exactune.evaluate.evaluation import Baseline, read_texts
from exactune.tasks import Task
from exactune.types import Example, JsonValue

__all__ = ["gazetteer"]

SURE = 0.5
"""A span is known if in at least this share of the places where training inputs have it, it is one."""

Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    """Spans to look for.

    Attributes:
        types: Span -> its most frequent type.
        lengths: First character -> lengths of the spans that begin with it, longest first.
    """

    types: Mapping[str, str]
    lengths: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, types: Mapping[str, str]) -> _Known:
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for span in types:
            lengths[span[0]].add(len(span))
        return cls(types, {first: tuple(sorted(known, reverse=True)) for first, known in lengths.items()})

    def find(self, text: str) -> Iterator[tuple[int, str]]:
        """Places and spans from left to right, the longest at each place, none within another."""
        start = 0
        while start < len(text):
            for length in self.lengths.get(text[start], ()):
                if text[start : start + length] in self.types and _is_whole(text, start, start + length):
                    yield start, text[start : start + length]
                    start += length
                    break
            else:
                start += 1


def gazetteer(task: Task, train: Sequence[Example]) -> Baseline:
    """Known spans and known triples of spans.

    Every known span that stands in the input is an entity, with the type it has most often; the longest one at each
    place. Every triple of the training answers whose two ends stand in the input is a relation.

    Args:
        task: Reads the answers: entities, or relations with or without entities.
        train: The training rows.
    """
    entities: defaultdict[str, Counter[str]] = defaultdict(Counter)
    triples: dict[Triple, None] = {}
    lists_entities = has_relations = placed = False
    for row in train:
        value = task.parse(row.answer).value
        has_relations |= isinstance(value, dict)
        lists_entities |= isinstance(value, dict) and "entities" in value
        for item in _entities(value):
            placed |= "start" in item
            if item["text"]:
                entities[item["text"]][item["type"]] += 1
        triples.update(dict.fromkeys((item["head"], item["type"], item["tail"]) for item in _relations(value)))
    known = _Known.of({span: types.most_common(1)[0][0] for span, types in entities.items()})
    known, repeats = _trusted(task, train, known)
    by_head: defaultdict[str, list[Triple]] = defaultdict(list)
    for triple in triples:
        by_head[triple[0]].append(triple)
    ends = _Known.of(dict.fromkeys((end for head, _, tail in triples for end in (head, tail) if end), ""))

    def answer(row: Example) -> str:
        found = list(known.find(row.input))
        items = [
            {"text": span, "type": known.types[span], **({"start": start, "end": start + len(span)} if placed else {})}
            for start, span in (found if repeats or placed else _first(found))
        ]
        if not has_relations:
            return json.dumps(items, ensure_ascii=False)
        there = {span for _, span in ends.find(row.input)} | {span for _, span in found}
        matched = [triple for head in sorted(there) for triple in by_head[head] if triple[2] in there]
        relations = [{"head": head, "type": kind, "tail": tail} for head, kind, tail in matched]
        whole = {"relations": relations, "entities": items} if lists_entities else {"relations": relations}
        return json.dumps(whole, ensure_ascii=False)

    return lambda rows: read_texts(task, [answer(row) for row in rows])


def _trusted(task: Task, train: Sequence[Example], known: _Known) -> tuple[_Known, bool]:
    """The spans that mostly are entities where they stand, and whether answers list one each time it stands there."""
    seen: Counter[str] = Counter()
    right: Counter[str] = Counter()
    several = repeated = 0
    for row in train:
        golds = Counter(item["text"] for item in _entities(task.parse(row.answer).value))
        times = Counter(span for _, span in known.find(row.input))
        for span, count in times.items():
            seen[span] += 1
            right[span] += span in golds
            if count > 1 and span in golds:
                several += 1
                repeated += golds[span] > 1
    kept = {span: kind for span, kind in known.types.items() if right[span] >= SURE * max(seen[span], 1)}
    return _Known.of(kept), 2 * repeated > several


def _first(found: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    places: dict[str, int] = {}
    for start, span in found:
        places.setdefault(span, start)
    return [(start, span) for span, start in places.items()]


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a span ends where words do; those of scripts without spaces may stand anywhere."""
    cuts = ((text[start - 1 : start], text[start : start + 1]), (text[end - 1 : end], text[end : end + 1]))
    return not any(one and other and _is_spaced(one) and _is_spaced(other) for one, other in cuts)


def _is_spaced(character: str) -> bool:
    # Latin, Greek, Cyrillic and the like; Han characters and kana have no words to be cut.
    return character.isalnum() and ord(character) < 0x2E80


def _entities(value: JsonValue) -> list[dict[str, str]]:
    found = value.get("entities", []) if isinstance(value, dict) else value
    return found if isinstance(found, list) else []


def _relations(value: JsonValue) -> list[dict[str, str]]:
    return value.get("relations", []) if isinstance(value, dict) else []
