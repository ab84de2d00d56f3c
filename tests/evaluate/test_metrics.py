"""Intervals."""

import json
import random
import time

import numpy as np
import pytest

from exactune.evaluate import metrics
from exactune.evaluate.metrics import summarize, totals
from exactune.tasks import ClassificationTask, EntitiesTask, Score, Task, TextTask

LABELS = tuple(f"label_{number}" for number in range(77))


def scores_of(task: Task, rows: int, right: float, seed: int = 0) -> list[Score]:
    draw = random.Random(seed)
    labels = task.config()["labels"]
    scores = []
    for _ in range(rows):
        gold = draw.choice(labels)
        given = gold if draw.random() < right else draw.choice([*labels, "?"])
        scores.append(task.score(task.parse(gold), task.parse(given)))
    return scores


def test_totals_are_sums() -> None:
    task = EntitiesTask(("PER",))
    score = task.score(task.parse('{"PER": ["a", "b"]}'), task.parse('{"PER": ["a"]}'))
    assert totals([score, score]) == {
        ("gold", "PER"): 4,
        ("both", "PER"): 2,
        ("predicted", "PER"): 2,
        ("partial",): 2,
        ("n",): 2,
        ("exact_match",): 0,
        ("valid_json",): 2,
    }


def test_value_is_that_of_all_rows_and_lies_inside() -> None:
    task = ClassificationTask(LABELS)
    for rows in (1, 5, 400):
        scores = scores_of(task, rows, 0.7)
        summary = summarize(task, scores, resamples=200)
        assert {name: entry["value"] for name, entry in summary.items()} == task.aggregate(totals(scores))
        assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in summary.values())


def test_an_interval_holds_its_value_where_resamples_are_biased() -> None:
    """Fifty types that were each made up once: a resample has fewer, so its macro F1 is higher."""
    task = EntitiesTask(("PER",))
    gold = task.parse('{"PER": ["a"]}')
    given = [task.parse(json.dumps({"PER": ["a"], f"type{number}": ["b"]})) for number in range(50)]
    entry = summarize(task, [task.score(gold, answer) for answer in given])["entity_macro_f1"]
    assert entry["low"] == entry["value"] == pytest.approx(1 / 51)
    assert entry["high"] > 1.3 * entry["value"]


def test_deterministic() -> None:
    task = ClassificationTask(LABELS[:5])
    scores = scores_of(task, 100, 0.7)
    assert summarize(task, scores, seed=3) == summarize(task, scores, seed=3)
    assert summarize(task, scores, seed=3) != summarize(task, scores, seed=4)


def test_matches_resampling_row_by_row() -> None:
    """The bootstrap of patterns has the distribution of the plain one."""
    task = ClassificationTask(LABELS[:4])
    scores = scores_of(task, 150, 0.6)
    generator = np.random.default_rng(1)
    samples = [
        task.aggregate(totals([scores[index] for index in generator.integers(0, 150, 150)]))["macro_f1"]
        for _ in range(2000)
    ]
    expected = np.percentile(samples, [2.5, 97.5])
    entry = summarize(task, scores, resamples=2000)["macro_f1"]
    assert [entry["low"], entry["high"]] == pytest.approx(expected.tolist(), abs=0.015)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    """Accuracy 0.7 in the population, 100 rows, 150 data sets: a 95 % interval misses it seldom, but it does."""
    task = ClassificationTask(("right", "wrong"))
    good, bad = (task.score(task.parse("right"), task.parse(text)) for text in ("right", "wrong"))
    draw = random.Random(0)
    hits = 0
    for seed in range(150):
        scores = [good if draw.random() < 0.7 else bad for _ in range(100)]
        entry = summarize(task, scores, resamples=300, seed=seed)["accuracy"]
        hits += entry["low"] <= 0.7 <= entry["high"]
    assert 0.88 <= hits / 150 < 1


def test_certainty_has_no_width() -> None:
    task = TextTask()
    score = task.score(task.parse("a b"), task.parse("a"))
    assert summarize(task, [score] * 20)["token_f1"] == pytest.approx({"value": 2 / 3, "low": 2 / 3, "high": 2 / 3})


def test_json_able() -> None:
    task = ClassificationTask(("a", "b"))
    summary = summarize(task, scores_of(task, 10, 0.5))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_no_scores() -> None:
    with pytest.raises(ValueError, match="no scores"):
        summarize(TextTask(), [])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = ClassificationTask(LABELS[:5])
    scores = scores_of(task, 100, 0.7)
    whole = summarize(task, scores, resamples=50)
    monkeypatch.setattr(metrics, "CHUNK_BYTES", 1)
    assert summarize(task, scores, resamples=50) == whole


def test_fast_enough_for_banking77() -> None:
    task = ClassificationTask(LABELS)
    scores = scores_of(task, 3080, 0.7)
    start = time.process_time()
    summarize(task, scores)
    assert time.process_time() - start < 3
