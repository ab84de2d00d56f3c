"""What a run's figures are explained by, beside cases made so that the answer is known."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

import numpy as np
import pytest

from exactune.evaluate.doubts import find_doubts
from exactune.evaluate.evaluation import Evaluation
from exactune.evaluate.overlap import find_overlap
from exactune.evaluate.shift import auc, find_shift
from exactune.infer.answers import Answer
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, Parsed
from exactune.types import Example, Location, Message, Status

TASK = ClassificationTask(("food", "money", "sport"))
WORDS = {
    "food": ["soup", "bread", "tasty", "lunch", "menu", "cook", "spicy", "rice", "sweet", "plate"],
    "money": ["loan", "bank", "price", "stock", "credit", "cash", "debt", "fund", "tax", "rate"],
    "sport": ["goal", "team", "match", "coach", "ball", "race", "medal", "score", "league", "win"],
}
COMMON = ["the", "a", "today", "they", "we", "very", "then", "said", "some", "more", "which", "about", "over"]


def row(name: str, text: str, answer: str) -> Example:
    return Example(name, (Message("system", ""), Message("user", text)), answer, Location("t", 1), "chat")


def texts(count: int, seed: int, name: str = "train") -> list[Example]:
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        label = chance.choice(TASK.labels)
        words = [*chance.choices(WORDS[label], k=2), *chance.choices(COMMON, k=5), str(number)]
        rows.append(row(f"{name}:{number}", " ".join(chance.sample(words, len(words))), label))
    return rows


def flipped(rows: Sequence[Example], share: float) -> tuple[list[Example], dict[str, str]]:
    """The rows with some labels changed; which, with the right ones."""
    chance = random.Random(7)
    out, right = [], {}
    for one in rows:
        if chance.random() < share:
            right[one.id] = one.answer
            other = chance.choice([label for label in TASK.labels if label != one.answer])
            one = row(one.id, one.input, other)
        out.append(one)
    return out, right


def said(label: str) -> Answer:
    return Answer(label, Parsed(label, Status.OK), 0.9, label_logprobs=array("f"))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_flipped_labels_are_counted_and_named(share: float) -> None:
    rows, right = flipped(texts(600, 1), share)
    found = find_doubts(TASK, rows, {}, 0)
    assert found is not None
    assert found["rows"] == 600
    assert found["low"] <= share <= found["high"]
    assert found["share"] == pytest.approx(share, abs=0.06)
    named = found["examples"]
    assert len(named) == min(50, round(found["share"] * 600))
    assert sum(right.get(one["id"]) == one["suggested"] for one in named) >= 0.9 * len(named)
    given = {one.id: one.answer for one in rows}
    assert all(one["gold"] == given[one["id"]] for one in named)


def test_a_weak_classifier_is_not_taken_for_wrong_labels() -> None:
    chance = random.Random(3)
    # In half of the rows nothing tells the label: right labels, of which the classifier misses a third of all.
    rows = [
        one if number % 2 else row(one.id, " ".join(chance.choices(COMMON, k=6)) + f" {number}", one.answer)
        for number, one in enumerate(texts(600, 2))
    ]
    found = find_doubts(TASK, rows, {}, 0)
    assert found is not None
    assert found["low"] == 0
    assert found["share"] < 0.05
    assert found["share"] < found["high"]


def test_what_the_model_says_to_doubted_rows_is_told() -> None:
    rows, right = flipped(texts(300, 4), 0.2)
    answers = {one.id: said(right.get(one.id, one.answer)) for one in rows[:200]}
    found = find_doubts(TASK, rows, answers, 0)
    assert found is not None
    assert found["agreed"]["of"] >= found["agreed"]["same"] > 20
    for one in found["examples"]:
        expected = None if one["id"] not in answers else answers[one["id"]].text == one["suggested"]
        assert one.get("agreed") is expected


def test_doubts_need_a_label_to_a_row_and_rows_enough() -> None:
    assert find_doubts(TASK, texts(30, 1), {}, 0) is None
    assert find_doubts(EntitiesTask(("A",)), texts(90, 1), {}, 0) is None
    assert find_doubts(TASK, [row(f"{n}", "！？", "food") for n in range(90)], {}, 0) is None


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    chance = np.random.default_rng(5)
    lower, upper = chance.normal(0, 1, 80).round(1), chance.normal(0.5, 1, 60).round(1)
    figure = auc(lower, upper)
    expected = roc_auc_score([0] * 80 + [1] * 60, np.concatenate([lower, upper]))
    assert figure["value"] == pytest.approx(expected)
    # Hanley and McNeil, 1982: the standard error by hand.
    a = expected
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = ((a * (1 - a) + 59 * (q1 - a * a) + 79 * (q2 - a * a)) / (60 * 80)) ** 0.5
    assert figure["high"] - figure["low"] == pytest.approx(2 * 1.959964 * error, rel=1e-5)
    assert auc(np.zeros(4), np.ones(4)) == {"value": 1, "low": 1, "high": 1}


def test_like_rows_cannot_be_told_apart() -> None:
    shift = find_shift(TASK, texts(300, 1), texts(150, 2, "test"), 0)
    assert shift is not None
    assert shift["rows"] == {"train": 300, "scored": 150}
    assert shift["auc"]["low"] < 0.5 < shift["auc"]["high"]
    assert shift["labels"]["of"] == "label"
    assert shift["labels"]["distance"] < shift["labels"]["chance"] < 0.2
    assert shift["script"]["train"] == {"Latin": 1}
    assert shift == find_shift(TASK, texts(300, 1), texts(150, 2, "test"), 0)


def test_other_words_labels_and_scripts_are_told_apart() -> None:
    scored = [row(f"t:{n}", f"今天的午餐很好吃，第{n}次來", "food") for n in range(60)]
    shift = find_shift(TASK, texts(300, 1), scored, 0)
    assert shift is not None
    assert shift["auc"]["value"] == 1
    assert "Latin" not in shift["script"]["scored"]
    train = [one.answer for one in texts(300, 1)]
    assert shift["labels"]["distance"] == pytest.approx(1 - train.count("food") / 300)
    assert shift["labels"]["scored"] == {"food": 1}
    assert shift["unseen"]["scored"] > 0.8 > shift["unseen"]["expected"]
    assert shift["length"]["scored"] < shift["length"]["train"]


def test_unseen_words_are_counted_by_the_same_training_rows() -> None:
    train = [row(f"r:{n}", f"alpha beta w{n}", "food") for n in range(10)]
    scored = [row(f"s:{n}", f"alpha gamma {'delta' * n}", "food") for n in range(6)]
    shift = find_shift(TASK, train, scored, 0)
    assert shift is not None
    # Of three words of a training row one is its own; of the scored ones, all but alpha.
    assert shift["unseen"] == {"scored": 11 / 17, "expected": pytest.approx(1 / 3)}


def test_of_json_the_field_that_differs_most_is_told() -> None:
    task = JsonTask({"type": "object"})
    train = [row(f"r:{n}", f"order {n}", f'{{"kind": "{"ab"[n % 2]}", "size": "{"ls"[n % 2]}"}}') for n in range(40)]
    scored = [row(f"s:{n}", f"buy {n}", f'{{"kind": "{"ab"[n % 2]}", "size": "s"}}') for n in range(20)]
    shift = find_shift(task, train, scored, 0)
    assert shift is not None
    assert (shift["labels"]["of"], shift["labels"]["distance"]) == ("size", 0.5)


def scored(rows: Sequence[Example], wrong: frozenset[int]) -> Evaluation:
    evaluation = Evaluation(TASK, "test", {})
    given = [{"sport": "food"}.get(one.answer, "sport") if n in wrong else one.answer for n, one in enumerate(rows)]
    evaluation.add(rows, [said(label) for label in given])
    return evaluation


def test_rows_that_were_trained_on_have_a_figure_of_their_own() -> None:
    train, rows = texts(100, 1), texts(40, 2, "test")
    rows[3] = row("test:3", train[8].input.upper() + "!", train[8].answer)
    rows[4] = row("test:4", rows[3].input, rows[3].answer)
    rows[5] = row("test:5", "I want to close my acount with this bank today please", "money")
    train.append(row("train:near", "I want to close my account with this bank today please", "money"))
    evaluation = scored(rows, frozenset(range(10, 20)))
    found = find_overlap(evaluation, train, rows)
    assert found is not None
    assert (found["same"], found["near"], found["of"]) == (2, 1, 40)
    assert found["metric"]["overlapping"]["value"] == 1
    others = [number for number in range(40) if number not in (3, 4, 5)]
    alone = scored([rows[n] for n in others], frozenset(others.index(n) for n in range(10, 20)))
    assert found["metric"]["others"] == alone.document()["metrics"]["macro_f1"]


def test_rows_that_share_nothing_have_no_overlap() -> None:
    rows = texts(40, 2, "test")
    assert find_overlap(scored(rows, frozenset()), texts(100, 1), rows) is None


def test_labels_of_fewer_rows_than_folds_are_looked_at() -> None:
    names = tuple(f"l{number}" for number in range(20))
    rows = [row(f"train:{n}", f"word{n} {names[n % 20]}", names[n % 20]) for n in range(60)]
    found = find_doubts(ClassificationTask(names), rows, {}, 1)
    assert found is not None
    assert found["rows"] == 60
