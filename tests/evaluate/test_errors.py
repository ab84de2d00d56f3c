"""What goes wrong most, and where."""

from __future__ import annotations

import importlib
import json
import pickle
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from exactune.evaluate.errors import KEPT, LISTED, Errors
from exactune.evaluate.slices import BINS, LEAST, MOST_ROWS, MOST_VALUES, Figure, Slices, Sums, figure_of
from exactune.tasks import (
    ClassificationTask,
    EntitiesTask,
    JsonTask,
    MultiLabelTask,
    Parsed,
    RelationsTask,
    Score,
    Task,
    TextTask,
)
from exactune.types import Example, Location, Message, Status

LABELS = ClassificationTask(("a", "b", "c"))
SPANS = EntitiesTask(("PER", "LOC"))
CONTACT = JsonTask({"type": "object"})


def example(number: int, answer: str, text: str = "hello", file: str = "test.jsonl") -> Example:
    prompt = (Message("system", ""), Message("user", text))
    return Example(f"{file}:{number}", prompt, answer, Location(file, number), "chat")


def errors_of(task: Task, rows: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Rows are gold, answer and perhaps the input and the file."""
    errors = Errors(task)
    for number, (gold, answer, *rest) in enumerate(rows, 1):
        right, given = task.parse(gold), task.parse(answer)
        errors.add(example(number, gold, *rest), right, given, task.score(right, given))
    found = errors.document()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def ids(*numbers: int) -> list[str]:
    return [f"test.jsonl:{number}" for number in numbers]


def test_confused_labels() -> None:
    rows = [("a", "b"), ("a", "a"), ("b", "a"), ("a", "b"), ("c", "no idea"), ("c", ""), ("b", "b")]
    found = errors_of(LABELS, rows)
    assert found["confused"] == [
        {"gold": "a", "predicted": "b", "count": 2, "of": 3, "rows": ids(1, 4)},
        {"gold": "c", "predicted": "(none)", "count": 2, "of": 2, "rows": ids(5, 6)},
        {"gold": "b", "predicted": "a", "count": 1, "of": 2, "rows": ids(3)},
    ]
    assert not {"missed", "invented"} & set(found)
    assert found["figure"]["name"] == "accuracy"
    assert found["figure"]["value"] == pytest.approx(2 / 7)


def spans(*pairs: tuple[str, str]) -> str:
    return json.dumps([{"type": kind, "text": text} for kind, text in pairs])


def test_missed_and_invented_entities() -> None:
    ann, rome, bob = ("PER", "Ann"), ("LOC", "Rome"), ("PER", "Bob")
    found = errors_of(
        SPANS,
        [
            (spans(ann, rome), spans(ann)),
            (spans(ann, ann, rome), spans(ann, bob)),  # one Ann of two, no Rome, a Bob
            (spans(rome), spans(("PER", "Rome"))),  # of another type: missed, invented and confused
            (spans(bob), "nonsense"),
            (spans(ann), spans(ann)),
        ],
    )
    assert found["missed"] == [
        {"label": "LOC", "text": "Rome", "count": 3, "rows": ids(1, 2, 3)},
        {"label": "PER", "text": "Ann", "count": 1, "rows": ids(2)},
        {"label": "PER", "text": "Bob", "count": 1, "rows": ids(4)},
    ]
    assert found["invented"] == [
        {"label": "PER", "text": "Bob", "count": 1, "rows": ids(2)},
        {"label": "PER", "text": "Rome", "count": 1, "rows": ids(3)},
    ]
    # 3 Romes stand in the right answers.
    assert found["confused"] == [{"gold": "LOC", "predicted": "PER", "count": 1, "of": 3, "rows": ids(3)}]
    # 3 spans are right; the right answers have 8, the given ones 5.
    assert found["figure"]["value"] == pytest.approx(2 * 3 / (8 + 5))


def test_fields_of_json_answers() -> None:
    rows = [
        ({"city": "Rome", "tags": ["x", "y"], "who": {"age": 3}}, {"city": "Pisa", "tags": ["y"], "who": {"age": 3}}),
        ({"city": "Rome", "tags": []}, {"city": "Pisa", "tags": [], "zip": "1"}),
        ({"city": "Rome", "n": 1}, {"n": 1.0, "city": "Rome"}),
    ]
    found = errors_of(CONTACT, [(json.dumps(gold), json.dumps(given)) for gold, given in rows])
    assert found["missed"] == [
        {"label": "city", "text": "Rome", "count": 2, "rows": ids(1, 2)},
        {"label": "tags", "text": "x", "count": 1, "rows": ids(1)},
    ]
    assert found["invented"] == [
        {"label": "city", "text": "Pisa", "count": 2, "rows": ids(1, 2)},
        {"label": "zip", "text": "1", "count": 1, "rows": ids(2)},
    ]
    assert found["confused"] == [
        {"label": "city", "gold": "Rome", "predicted": "Pisa", "count": 2, "of": 3, "rows": ids(1, 2)}
    ]


def test_relations_and_sets_of_labels() -> None:
    triple = {"head": "Ann", "type": "lives_in", "tail": "Rome"}
    joint = {"entities": [{"text": "Ann", "type": "PER"}], "relations": [triple | {"type": "born_in"}]}
    task = RelationsTask(("lives_in", "works_in", "born_in"), ("PER",))
    found = errors_of(task, [
        (json.dumps([triple]), json.dumps([triple | {"type": "works_in"}])),
        (json.dumps(joint), '{"entities": [], "relations": []}'),
    ])  # fmt: skip
    assert [(one["label"], one["text"]) for one in found["missed"]] == [
        ("lives_in", "Ann → Rome"), ("born_in", "Ann → Rome"), ("PER", "Ann"),
    ]  # fmt: skip
    assert [(one["gold"], one["predicted"], one["of"]) for one in found["confused"]] == [("lives_in", "works_in", 1)]
    found = errors_of(MultiLabelTask(("sport", "news", "art")), [('["sport", "news"]', '["news", "art"]')])
    assert [(one["label"], one["text"]) for one in found["missed"] + found["invented"]] == [("sport", ""), ("art", "")]
    assert [(one["gold"], one["predicted"]) for one in found["confused"]] == [("sport", "art")]
    assert found["figure"]["name"] == "exact_match", "no metric of the task is called accuracy"


ANSWERS: dict[str, tuple[Task, list[str]]] = {
    "labels": (LABELS, ["a", "b", "c", "", "d"]),
    "spans": (SPANS, [spans(), spans(("PER", "x")), spans(("PER", "x"), ("LOC", "y"), ("LOC", "y")), "?"]),
    "sets": (MultiLabelTask(("a", "b")), ['["a"]', '["a", "b"]', "[]", "?"]),
    "json": (CONTACT, ['{"a": 1}', '{"a": 1, "b": [1, 2]}', '{"b": [2, 1, 3]}', "{}", "["]),
    "text": (TextTask(), ["a b c", "a b", "c", ""]),
}


def pairs_of(name: str, rows: int, seed: int = 3) -> tuple[Task, list[tuple[Parsed, Parsed, Score]]]:
    task, answers = ANSWERS[name]
    chance, made = random.Random(seed), []
    for _ in range(rows):
        gold = task.parse(chance.choice(answers[:3]))
        given = gold if chance.random() < 0.6 else task.parse(chance.choice(answers))
        made.append((gold, given, task.score(gold, given)))
    return task, made


def summed(task: Task, scores: Iterable[Score]) -> Sums:
    figure, sums = figure_of(task.metrics), Sums()
    for score in scores:
        sums.add(*figure.terms(score), None)
    return sums


def totals(scores: Iterable[Score]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for score in scores:
        for key, count in score.counts.items():
            found[key] = found.get(key, 0) + count
    return found


@pytest.mark.parametrize("name", ANSWERS)
def test_the_figure_of_all_rows_is_the_tasks_own(name: str) -> None:
    task, made = pairs_of(name, 300)
    scores = [score for *_, score in made]
    figure = figure_of(task.metrics)
    assert summed(task, scores).value == pytest.approx(task.aggregate(totals(scores))[figure.name], abs=1e-12)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_interval_agrees_with_the_bootstrap(name: str) -> None:
    task, made = pairs_of(name, 250)
    scores = [score for *_, score in made]
    terms = np.array([figure_of(task.metrics).terms(score) for score in scores])
    sums = terms[np.random.default_rng(1).integers(len(scores), size=(2000, len(scores)))].sum(1)
    drawn = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    estimate = summed(task, scores).estimate()
    assert estimate["low"] == pytest.approx(drawn[0], abs=0.01)
    assert estimate["high"] == pytest.approx(drawn[1], abs=0.01)


@pytest.mark.parametrize(("right", "rows"), [(0, 1), (1, 1), (0, 12), (12, 12), (7, 12), (93, 100), (1, 400)])
def test_the_interval_of_a_share_is_wilsons(right: int, rows: int) -> None:
    from scipy.stats import binomtest

    sums = Sums()
    for number in range(rows):
        sums.add(float(number < right), 1.0, None)
    wanted = binomtest(right, rows).proportion_ci(method="wilson")
    assert sums.estimate() == pytest.approx({"value": right / rows, "low": wanted.low, "high": wanted.high})


def test_rows_that_are_alike_do_not_make_a_figure_certain() -> None:
    sums = Sums()
    for _ in range(2):
        sums.add(2.0, 4.0, None)  # half of the two spans asked and given, each time
    assert sums.estimate()["low"] < 0.2
    assert sums.estimate()["high"] > 0.8
    empty = Sums()
    empty.add(0.0, 0.0, None)
    assert empty.estimate() == {"value": 1.0, "low": 0.0, "high": 1.0}, "nothing was asked and nothing given"


def slice_of(found: dict[str, Any], by: str, value: str) -> dict[str, Any]:
    (one,) = [one for one in found["slices"] if (one["by"], one["value"]) == (by, value)]
    return one


def test_slices_that_are_surely_worse_come_first() -> None:
    rows = [("a", "a" if number % 10 else "b", "short", "new.jsonl") for number in range(60)]
    rows += [("b", "b" if number % 3 else "a", "很長的一句話，這個說來話長", "old.jsonl") for number in range(30)]
    rows += [("c", "nothing", "short", "new.jsonl") for _ in range(LEAST - 1)]
    found = errors_of(LABELS, rows)
    # 54 + 20 of 99 are right; of the 30 Chinese ones 20, of the 9 with status unknown_label none.
    assert found["figure"]["value"] == pytest.approx(74 / 99)
    # By file, length and script they are the same 30 rows; 20 of 30 has 0.488 to 0.808, so is not surely below 0.747.
    chinese = slice_of(found, "language", "Chinese, traditional")
    assert (chinese["n"], chinese["metric"]["value"]) == (30, pytest.approx(2 / 3))
    assert (
        chinese["metric"] == slice_of(found, "file", "old.jsonl")["metric"] == slice_of(found, "length", "13")["metric"]
    )
    assert not chinese["worse"]
    assert chinese["rows"] == [f"old.jsonl:{number}" for number in range(61, 91, 3)]
    # Nine wrong of nine, but nine rows are too few to say so.
    assert not slice_of(found, "label", "c")["worse"]
    assert slice_of(found, "status", "unknown_label")["n"] == 9
    found = errors_of(LABELS, [*rows, ("c", "nothing", "short", "new.jsonl")])
    worse = [one["worse"] for one in found["slices"]]
    assert [(one["by"], one["value"]) for one in found["slices"]][:2] == [("label", "c"), ("status", "unknown_label")]
    assert worse == [True, True] + [False] * (len(worse) - 2)


def test_a_slice_of_every_row_is_none() -> None:
    found = errors_of(LABELS, [("a", "a"), ("b", "c")])
    assert {one["by"] for one in found["slices"]} == {"label"}, "one file, one length, one script, one status"


def test_lengths_fall_into_bins_of_as_many_rows() -> None:
    slices = Slices(Figure("accuracy", pooled=False))
    lengths = [number % 50 for number in range(500)] + [12_345] * 100
    for number, length in enumerate(lengths):
        slices.add(example(number, "a", "x" * length), Status.OK, Score(length < 1000, {}))
    found = {one["value"]: one for one in slices.document() if one["by"] == "length"}
    assert list(found) == ["48-12300", "0-11", "12-23", "24-35", "36-47"], "the longest are worse"
    assert [one["n"] for one in found.values()] == [600 // BINS] * BINS
    assert found["48-12300"]["rows"] == ids(*range(500, 500 + MOST_ROWS))


def test_what_is_past_the_caps_is_pooled_or_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("exactune.evaluate.errors"), "KEPT", KEPT // 10)
    slices = Slices(Figure("accuracy", pooled=False))
    for number in range(2 * MOST_VALUES):
        slices.add(example(1, "a", file=f"{number}.jsonl"), Status.OK, Score(True, {}))
    files = {value: sums.n for by, value, sums in slices._each() if by == "file"}
    assert len(files) == MOST_VALUES + 1
    assert files["…"] == MOST_VALUES
    errors = Errors(SPANS)
    for number in range(KEPT):
        text = "often" if number % 50 == 0 else f"rare {number}"
        right, given = SPANS.parse(spans(("PER", text))), SPANS.parse(spans())
        errors.add(example(number, "x"), right, given, SPANS.score(right, given))
    missed = errors.document()["missed"]
    assert len(missed) == LISTED
    assert (missed[0]["text"], missed[0]["count"], len(missed[0]["rows"])) == ("often", KEPT // 50, MOST_ROWS)


def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("exactune.evaluate.errors"), "KEPT", 50)
    errors, chance, sizes = Errors(SPANS), random.Random(0), []
    for number in range(1, 4001):
        right, given = (SPANS.parse(spans(("PER", f"{chance.random():.9f}"))) for _ in range(2))
        errors.add(example(number, "x", "x" * (number % 10)), right, given, SPANS.score(right, given))
        if number % 100 == 0:
            sizes.append(len(pickle.dumps(errors)))
    assert max(sizes[10:]) < 1.1 * max(sizes[:10])


def test_the_order_of_equal_things_is_that_of_the_rows() -> None:
    rows = [("a", "b"), ("b", "a"), ("a", "c"), ("b", "c")]
    assert [(one["gold"], one["predicted"]) for one in errors_of(LABELS, rows)["confused"]] == rows
