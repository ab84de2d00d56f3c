"""Scores beside those of other programs and of plain loops written for this."""

from __future__ import annotations

import itertools
import json
import random
import string
import unicodedata
from collections import Counter
from typing import Any

import pytest
from plain_scores import EXACT, f1, in_part, matches, scored
from shaken import piece

from exactune.tasks import EntitiesTask, JsonTask, MultiLabelTask, TextTask
from exactune.tasks.pairing import shared_leaves
from exactune.tasks.spans import Span, count_partial, count_shared

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
