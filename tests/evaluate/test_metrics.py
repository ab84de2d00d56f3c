"""Intervals."""

import json
import random
import time

import numpy as np
import pytest

from exactune.evaluate import bootstrap
from exactune.evaluate.counted import Counted
from exactune.evaluate.metrics import SHARES, Figure, wilson
from exactune.evaluate.metrics import summarize as summarize_counted
from exactune.tasks import ClassificationTask, EntitiesTask, JsonTask, Score, Task, TextTask


def summarize(task: Task, scores: list[Score], **options: int) -> dict[str, Figure]:
    return summarize_counted(task, Counted.of(scores), **options).metrics


def totals(scores: list[Score]) -> dict[tuple[str, ...], float]:
    return Counted.of(scores).totals()


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


@pytest.mark.parametrize("given", ["a", "?"])
def test_a_few_rows_that_are_all_alike_prove_little(given: str) -> None:
    task = ClassificationTask(("a", "b"))
    scores = [task.score(task.parse("a"), task.parse(given))] * 4
    summary = summarize_counted(task, Counted.of(scores))
    value = float(given == "a")
    for figure in (summary.metrics["macro_f1"], summary.per_label["a"]):
        assert (figure["low"], figure["high"]) == pytest.approx((0.51, 1) if value else (0, 0.49), abs=0.001)
    # What no row has is wrong wherever it is given; its rows say nothing of it.
    stray = summarize_counted(task, Counted.of([task.score(task.parse("a"), task.parse("b"))] * 4)).per_label["b"]
    assert (stray["low"], stray["high"]) == (0, 0)


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
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 1)
    assert summarize(task, scores, resamples=50) == whole


def test_fast_enough_for_banking77() -> None:
    task = ClassificationTask(LABELS)
    counted = Counted.of(scores_of(task, 3080, 0.7))
    start = time.process_time()
    summarize_counted(task, counted, [row % 77 for row in range(3080)])
    assert time.process_time() - start < 3


def test_wilson_agrees_with_scipy() -> None:
    from scipy.stats import binomtest

    for right, rows in ((0, 5), (5, 5), (1, 3), (69, 100), (2931, 3080)):
        found = wilson(right / rows, rows)
        wanted = binomtest(right, rows).proportion_ci(method="wilson")
        assert (found["low"], found["high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
        assert found["low"] <= found["value"] <= found["high"]


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        (ClassificationTask(("a", "b"), "s"), ['{"s": "a"}', '{"s": "b"}', "{"]),
        (EntitiesTask(("PER",)), ['{"PER": ["a"]}', '{"PER": []}', "{"]),
        (JsonTask({"type": "object"}), ['{"a": 1}', "[1]", "{"]),
        (TextTask(), ["a b", "b", ""]),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_what_is_called_a_share_of_the_rows_is_one(task: Task, texts: list[str]) -> None:
    rows = [task.score(task.parse(gold), task.parse(text)) for gold in texts[:2] for text in texts]
    whole = task.aggregate(totals(rows))
    alone = [task.aggregate(totals([row])) for row in rows]
    for name in SHARES & set(task.metrics):
        assert {row[name] for row in alone} <= {0.0, 1.0}
        assert whole[name] == pytest.approx(sum(row[name] for row in alone) / len(rows))


def test_strata_keep_their_rows() -> None:
    """One label is always right, the other never: drawn within labels, accuracy cannot vary; without, it does."""
    task = ClassificationTask(("a", "b"))
    scores = [task.score(task.parse(gold), task.parse("a")) for gold in "ab" * 50]
    counted = Counted.of(scores)
    within = summarize_counted(task, counted, [0, 1] * 50).metrics["micro_f1"]
    across = summarize_counted(task, counted).metrics["micro_f1"]
    assert within == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5})
    assert across["low"] < 0.45 < 0.55 < across["high"]


def test_small_strata_vary_as_they_should() -> None:
    """Labels of three rows each: the spread is that of samples, which drawing three of three would fall short of."""
    task = ClassificationTask(LABELS[:50])
    draw = random.Random(0)
    golds = [label for label in LABELS[:50] for _ in range(3)]
    right = [draw.random() < 0.6 for _ in golds]
    scores = [
        task.score(task.parse(gold), task.parse(gold if fine else "?")) for gold, fine in zip(golds, right, strict=True)
    ]
    strata = [number // 3 for number in range(len(golds))]
    (samples,) = bootstrap.draw(task, [Counted.of(scores)], strata, resamples=4000)
    groups = np.array(right, dtype=float).reshape(50, 3)
    wanted = (groups.var(axis=1, ddof=1) / 3).sum() / 50**2
    assert samples.metrics["accuracy"].var() == pytest.approx(wanted, rel=0.08)


def test_rows_that_stand_alone_are_drawn_from_together() -> None:
    task = ClassificationTask(LABELS[:40])
    scores = scores_of(task, 40, 0.6)
    entry = summarize_counted(task, Counted.of(scores), list(range(40))).metrics["micro_f1"]
    assert entry["low"] < entry["value"] < entry["high"]


def test_labels_have_intervals_from_the_same_resamples() -> None:
    task = ClassificationTask(("a", "b", "c"))
    scores = scores_of(task, 300, 0.7)
    rows = summarize_counted(task, Counted.of(scores)).per_label
    f1 = {label: row["f1"] for label, row in rows.items()}
    generator = np.random.default_rng(3)
    samples = [task.per_label(totals([scores[index] for index in generator.integers(0, 300, 300)])) for _ in range(800)]
    for label, row in rows.items():
        wanted = np.percentile([sample[label]["f1"] for sample in samples], [2.5, 97.5])
        assert [row["low"], row["high"]] == pytest.approx(wanted.tolist(), abs=0.02)
        assert row["low"] < f1[label] < row["high"]


def test_counts_stay_small() -> None:
    """A million rows of few outcomes: a number each."""
    task = ClassificationTask(("a", "b"))
    scores = scores_of(task, 50, 0.5)
    counted = Counted()
    for score in scores * 2000:
        counted.add(score)
    assert len(counted) == counted.answered == 100_000
    assert counted.rows.itemsize * len(counted) < 1_000_000
    assert counted.totals() == {key: 2000 * count for key, count in totals(scores).items()}
    assert counted.matrix().shape[0] <= 6
