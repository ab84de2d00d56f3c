"""Scores beside those of other programs and of plain loops written for this."""

from __future__ import annotations

import itertools
import json
import random
import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from shaken import JUNK, misspelt, piece, public, shaken

from exactune.tasks import EntitiesTask, JsonTask, MultiLabelTask, RelationsTask, Task, TextTask
from exactune.tasks.pairing import shared_leaves
from exactune.tasks.spans import Span, count_partial, count_shared

EXACT = 1e-9


def scored(task: Task, rows: Iterable[tuple[str, str, str]]) -> tuple[dict[str, float], Counter]:
    totals: Counter = Counter()
    for gold, given, text in rows:
        totals.update(task.score(task.parse(gold), task.parse(given), text).counts)
    return task.aggregate(totals), totals


def f1(both: float, gold: float, given: float) -> float:
    """From precision and recall, as the textbooks have it."""
    if not gold and not given:
        return 1.0
    precision, recall = both / given if given else 0.0, both / gold if gold else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def matches(gold: list[Any], given: list[Any]) -> list[Any]:
    """Items found, by crossing them off."""
    left, found = list(gold), []
    for item in given:
        if item in left:
            left.remove(item)
            found.append(item)
    return found


def loaded(text: str, usable: Callable[[Any], bool]) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if usable(value) else None


# Labels


@pytest.mark.parametrize("seed", range(10))
def test_several_labels_as_in_sklearn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    from sklearn.preprocessing import MultiLabelBinarizer

    draw = random.Random(seed)
    labels = tuple("abcde")
    gold = [draw.sample(labels, draw.randint(0, 3)) for _ in range(40)]
    given = [draw.sample([*labels, "zzz"], draw.randint(0, 3)) if draw.random() < 0.6 else right for right in gold]
    rows = [
        (json.dumps(right), json.dumps([*answer, *answer[:1]]), "") for right, answer in zip(gold, given, strict=True)
    ]
    task = MultiLabelTask(labels)
    values, totals = scored(task, rows)

    marks = MultiLabelBinarizer(classes=[*labels, "zzz"])
    right, answered = marks.fit_transform(gold), marks.transform(given)
    occurring = [place for place in range(5) if right[:, place].any() or answered[:, place].any()]
    expected = {
        "macro_f1": metrics.f1_score(right, answered, labels=occurring, average="macro", zero_division=0),
        "micro_f1": metrics.f1_score(right, answered, average="micro", zero_division=0),
        "exact_match": metrics.accuracy_score(right, answered),
        "valid_json": 1.0,
    }
    assert values == pytest.approx(expected, abs=EXACT)
    table = metrics.precision_recall_fscore_support(right, answered, zero_division=0)
    for place in occurring:
        row = dict(zip(("precision", "recall", "f1", "support"), (column[place] for column in table), strict=True))
        assert task.per_label(totals)[labels[place]] == pytest.approx(row, abs=EXACT)


# Entities


def tagged(words: int, draw: random.Random) -> dict[tuple[int, int], str]:
    """Spans of words, none within another."""
    spans, start = {}, 0
    while start < words:
        length = draw.randint(1, 3)
        if draw.random() < 0.4 and start + length <= words:
            spans[start, start + length] = draw.choice(["PER", "LOC", "ORG"])
        start += length
    return spans


def tags(spans: dict[tuple[int, int], str], words: int) -> list[str]:
    line = ["O"] * words
    for (start, end), kind in spans.items():
        line[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return line


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_entities_as_in_seqeval(seed: int, offsets: bool) -> None:
    metrics = pytest.importorskip("seqeval.metrics")
    from seqeval.scheme import IOB2

    draw = random.Random(seed)
    gold, given, rows = [], [], []
    for _ in range(60):
        # With offsets all words are the same, so that only these tell spans apart.
        words = ["word" if offsets else f"word{number}" for number in range(draw.randint(1, 15))]
        right, answer = tagged(len(words), draw), tagged(len(words), draw)
        answer |= {span: kind for span, kind in right.items() if draw.random() < 0.6}
        answer = {span: kind for span, kind in answer.items() if not any(_cross(span, other) for other in answer)}
        gold.append(tags(right, len(words)))
        given.append(tags(answer, len(words)))
        rows.append((*(json.dumps(_items(spans, words, offsets)) for spans in (right, answer)), " ".join(words)))
    task = EntitiesTask(("PER", "LOC", "ORG"))
    values, totals = scored(task, rows)
    options = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    assert values["entity_f1"] == pytest.approx(metrics.f1_score(gold, given, average="micro", **options), abs=EXACT)
    assert values["entity_macro_f1"] == pytest.approx(
        metrics.f1_score(gold, given, average="macro", **options), abs=EXACT
    )
    report = metrics.classification_report(gold, given, output_dict=True, **options)
    for kind, row in task.per_label(totals).items():
        names = ("precision", "recall", "f1-score", "support")
        assert list(row.values()) == pytest.approx([report[kind][name] for name in names], abs=EXACT)


def _cross(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one != other and one[0] < other[1] and other[0] < one[1]


def _items(spans: dict[tuple[int, int], str], words: list[str], offsets: bool) -> list[dict[str, Any]]:
    before = [len(" ".join(words[:place])) + bool(place) for place in range(len(words) + 1)]
    items = []
    for (start, end), kind in spans.items():
        item: dict[str, Any] = {"text": " ".join(words[start:end]), "type": kind}
        items.append(item | ({"start": before[start], "end": before[end] - 1} if offsets else {}))
    return items


def in_part(gold: list[tuple[str, str]], given: list[tuple[str, str]], text: str) -> int:
    """By sets of characters: all places of a span in the input, every pair of places."""

    def places(span: str) -> list[set[int]]:
        return [
            set(range(start, start + len(span))) for start in range(len(text)) if span and text.startswith(span, start)
        ]

    pairs = []
    for (row, (kind, span)), (column, (other_kind, other)) in itertools.product(enumerate(gold), enumerate(given)):
        if kind == other_kind:
            best = max((len(a & b) / len(a | b) for a in places(span) for b in places(other)), default=0)
            best = 2 if span == other else best
            if best:
                pairs.append((-best, row, column))
    rows, columns = set(), set()
    for _, row, column in sorted(pairs):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
    return len(rows)


@pytest.mark.parametrize("seed", range(40))
def test_parts_of_spans_by_sets_of_characters(seed: int) -> None:
    draw = random.Random(seed)
    text = "".join(draw.choices("abc", k=draw.randint(3, 14)))
    gold, given = (
        [(draw.choice("XY"), draw.choice([piece(text, draw), "ccc", "q"])) for _ in range(draw.randint(0, 5))]
        for _ in range(2)
    )
    found = count_partial([Span(*pair) for pair in gold], [Span(*pair) for pair in given], text)
    assert found == in_part(gold, given, text)
    assert found >= len(matches(gold, given))


def test_what_is_found_whole_is_found_in_part_wherever_some_say_where() -> None:
    for seed in range(400):
        draw = random.Random(seed)
        text = "".join(draw.choices("ab", k=4))
        sides = []
        for _ in range(2):
            places = [draw.randrange(4) for _ in range(draw.randint(1, 4))]
            sides.append([Span("X", text[at], (at, at + 1) if draw.random() < 0.5 else None) for at in places])
        shared = count_shared(*sides).get(("both", "X"), 0)
        assert shared == most_pairs(*sides)
        assert shared <= count_partial(*sides, text)


def most_pairs(gold: list[Span], given: list[Span]) -> int:
    """By trying every order."""

    def same(one: Span, other: Span | None) -> bool:
        if other is None or one.text != other.text:
            return False
        return one.offsets is None or other.offsets is None or one.offsets == other.offsets

    padded = [*given, *[None] * len(gold)]
    return max(sum(map(same, gold, order)) for order in {*itertools.permutations(padded, len(gold))})


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


# Relations


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


# JSON


def best_of_all_orders(gold: list[dict[str, int]], given: list[dict[str, int]]) -> int:
    size = max(len(gold), len(given))
    one, other = gold + [{}] * (size - len(gold)), given + [{}] * (size - len(given))
    return max(
        sum(len(a.items() & b.items()) for a, b in zip(one, order, strict=True))
        for order in itertools.permutations(other)
    )


@pytest.mark.parametrize("seed", range(30))
def test_objects_in_lists_are_paired_as_the_best_of_all_orders(seed: int) -> None:
    draw = random.Random(seed)
    sides = [
        [{key: draw.randint(0, 2) for key in "abc" if draw.random() < 0.8} for _ in range(draw.randint(0, 5))]
        for _ in range(2)
    ]
    gold, given = ([item for item in side if item] for side in sides)
    assert shared_leaves({"x": gold}, {"x": given}).total() == (best_of_all_orders(gold, given) or int(gold == given))
    task = JsonTask({})
    values, _ = scored(task, [(json.dumps({"x": gold}), json.dumps({"x": given}), "")])
    leaves = [sum(map(len, side)) or 1 for side in (gold, given)]
    assert values["field_f1"] == pytest.approx(f1(shared_leaves(gold, given).total(), *leaves), abs=EXACT)


# Text


def words_of(text: str) -> list[str]:
    """Character by character."""
    words, word = [], ""
    for character in [*text.lower(), " "]:
        name = unicodedata.name(character, "")
        alone = name.startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA LETTER"))
        if alone or character.isspace():
            words += [word, character] if alone else [word]
            word = ""
        else:
            word += character
    return [bare for word in words if (bare := word.strip().strip("。，.!-"))]


@pytest.mark.parametrize("seed", range(10))
def test_words_in_common(seed: int) -> None:
    draw = random.Random(seed)
    alphabet = string.ascii_letters[:6] + "  臺北的カタ。，.!-1"
    rows = []
    expected = 0.0
    for _ in range(30):
        gold = "".join(draw.choices(alphabet, k=draw.randint(1, 12))) + "k"
        given = "".join(draw.choices(alphabet, k=draw.randint(0, 12)))
        right, answer = words_of(gold), words_of(given)
        common = sum((Counter(right) & Counter(answer)).values())
        expected += f1(common, len(right), len(answer)) if given.strip() else 0
        rows.append((gold, given, ""))
    values, _ = scored(TextTask(), rows)
    assert values["token_f1"] == pytest.approx(expected / len(rows), abs=EXACT)
