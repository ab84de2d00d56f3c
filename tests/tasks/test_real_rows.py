"""Scores of perturbed answers to real rows, beside plain loops that cross items off."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import Any

import pytest
from plain_scores import EXACT, f1, in_part, loaded, matches, scored
from shaken import JUNK, misspelt, piece, public, shaken

from exactune.tasks import EntitiesTask, RelationsTask


def test_cluener_by_crossing_off() -> None:
    rows = public("cluener", "test")
    types = sorted({kind for _, answer in rows for kind in json.loads(answer)})
    draw = random.Random(7)

    def worse(text: str, answer: str) -> str:
        if draw.random() < 0.05:
            return draw.choice(JUNK)
        items = [(kind, span) for kind, spans in json.loads(answer).items() for span in spans]
        items = shaken(
            items,
            lambda: (draw.choice([*types, "odd"]), piece(text, draw)),
            lambda item: draw.choice([(draw.choice(types), item[1]), (item[0], misspelt(item[1], draw))]),
            draw,
        )
        if draw.random() < 0.5:
            return json.dumps([{"text": span, "type": kind} for kind, span in items], ensure_ascii=False)
        given: defaultdict[str, list[str]] = defaultdict(list)
        for kind, span in items:
            given[kind].append(span)
        return json.dumps(given, ensure_ascii=False)

    triples = [(answer, worse(text, answer), text) for text, answer in rows]
    values, totals = scored(EntitiesTask(tuple(types)), triples)

    by_type: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    exact = valid = partial = invented = 0
    for gold, given, text in triples:
        right, answer = (_pairs(loaded(side, lambda value: isinstance(value, dict | list))) for side in (gold, given))
        readable = loaded(given, lambda value: True) is not None or given == "null"
        valid += readable
        usable = answer is not None
        answer = answer or []
        for place, items in enumerate((matches(right, answer), right, answer)):
            for kind, _ in items:
                by_type[kind][place] += 1
        partial += in_part(right, answer, text)
        invented += sum(span not in text for _, span in answer)
        exact += usable and sorted(right) == sorted(answer)
    both, gold_spans, given_spans = (sum(column) for column in zip(*by_type.values(), strict=True))
    expected = {
        "entity_f1": f1(both, gold_spans, given_spans),
        "entity_macro_f1": sum(f1(*counts) for counts in by_type.values()) / len(by_type),
        "entity_partial_f1": f1(partial, gold_spans, given_spans),
        "exact_match": exact / len(rows),
        "valid_json": valid / len(rows),
        "invented_spans": invented / given_spans,
    }
    assert values == pytest.approx(expected, abs=EXACT)
    assert 0.3 < values["entity_f1"] < values["entity_partial_f1"] < 0.97
    assert set(EntitiesTask(tuple(types)).per_label(totals)) == set(by_type)


def _pairs(value: Any) -> list[tuple[str, str]] | None:
    if isinstance(value, dict):
        return [(kind, span) for kind, spans in value.items() for span in spans]
    return None if value is None else [(item["type"], item["text"]) for item in value if isinstance(item, dict)]


def test_conll04_by_crossing_off() -> None:
    rows = public("conll04", "test")
    draw = random.Random(11)
    values_of = [json.loads(answer) for _, answer in rows]
    relations = sorted({one["type"] for value in values_of for one in value["relations"]})
    types = sorted({one["type"] for value in values_of for one in value["entities"]})

    def worse(text: str, value: dict[str, Any]) -> str:
        if draw.random() < 0.05:
            return draw.choice(JUNK)
        entities = shaken(
            value["entities"],
            lambda: {"text": piece(text, draw), "type": draw.choice(types)},
            lambda one: one | draw.choice([{"type": draw.choice(types)}, {"text": misspelt(one["text"], draw)}]),
            draw,
        )
        triples = shaken(
            value["relations"],
            lambda: {"head": piece(text, draw), "type": draw.choice(relations), "tail": piece(text, draw)},
            lambda one: draw.choice([
                one | {"type": draw.choice([*relations, "odd"])},
                one | {"head": one["tail"], "tail": one["head"]},
                one | {"head": misspelt(one["head"], draw)},
            ]),
            draw,
        )  # fmt: skip
        return json.dumps(draw.choice([{"entities": entities, "relations": triples}, {"relations": triples}]))

    triples = [(answer, worse(text, json.loads(answer)), text) for text, answer in rows]
    task = RelationsTask(tuple(relations), tuple(types))
    values, totals = scored(task, triples)

    by_type: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    exact = valid = typed = invented = spans = 0
    entity_counts = [0, 0, 0]
    for gold, given, text in triples:
        right = json.loads(gold)
        answer = loaded(given, lambda value: isinstance(value, dict)) or {}
        valid += loaded(given, lambda value: True) is not None or given == "null"
        sides = [_triples(right), _triples(answer)]
        for place, items in enumerate((matches(*sides), *sides)):
            for _, kind, _ in items:
                by_type[kind][place] += 1
        ends = [
            [(*triple, *_types_of(value, triple)) for triple in side]
            for value, side in zip((right, answer), sides, strict=True)
        ]
        typed += len(matches(*ends))
        listed = [[(one["text"], one["type"]) for one in value.get("entities", [])] for value in (right, answer)]
        for place, items in enumerate((matches(*listed), *listed)):
            entity_counts[place] += len(items)
        known = {text for text, _ in listed[0]} | {end for head, _, tail in sides[0] for end in (head, tail)}
        said = [span for span, _ in listed[1]]
        said += sorted({end for head, _, tail in sides[1] for end in (head, tail)} - set(said))
        spans += len(said)
        invented += sum(span not in text and span not in known for span in said)
        exact += bool(answer) and sorted(ends[0]) == sorted(ends[1]) and sorted(listed[0]) == sorted(listed[1])
    both, gold_triples, given_triples = (sum(column) for column in zip(*by_type.values(), strict=True))
    expected = {
        "triple_f1": f1(both, gold_triples, given_triples),
        "typed_triple_f1": f1(typed, gold_triples, given_triples),
        "entity_f1": f1(*entity_counts),
        "triple_macro_f1": sum(f1(*counts) for counts in by_type.values()) / len(by_type),
        "exact_match": exact / len(rows),
        "valid_json": valid / len(rows),
        "invented_spans": invented / spans,
    }
    assert values == pytest.approx(expected, abs=EXACT)
    assert 0.1 < values["typed_triple_f1"] < values["triple_f1"] < 0.97
    for kind, (found, of, out_of) in by_type.items():
        row = {"precision": found / out_of if out_of else 0, "recall": found / of if of else 0, "support": of}
        assert task.per_label(totals)[kind] == pytest.approx(row | {"f1": f1(found, of, out_of)}, abs=EXACT)


def _triples(value: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["head"], one["type"], one["tail"]) for one in value.get("relations", [])]


def _types_of(value: dict[str, Any], triple: tuple[str, str, str]) -> list[list[str]]:
    entities = value.get("entities", [])
    return [sorted({one["type"] for one in entities if one["text"] == end}) for end in (triple[0], triple[2])]
