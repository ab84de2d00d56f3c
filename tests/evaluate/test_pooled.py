"""Figures and differences over rows and seeds."""

from __future__ import annotations

import pytest

from exactune.evaluate.counted import Counted
from exactune.evaluate.pooled import compare_seeds, summarize_seeds
from exactune.tasks import ClassificationTask

TASK = ClassificationTask(("a", "b"))
GOLDS = ["a", "b"] * 50
STRATA = [0, 1] * 50


def answered(wrong: int) -> Counted:
    """The first rows wrong."""
    texts = [("b" if gold == "a" else "a") if number < wrong else gold for number, gold in enumerate(GOLDS)]
    return Counted.of([TASK.score(TASK.parse(gold), TASK.parse(text)) for gold, text in zip(GOLDS, texts, strict=True)])


def test_a_figure_is_the_mean_over_the_seeds() -> None:
    found = summarize_seeds(TASK, {1: answered(10), 2: answered(30)}, STRATA)["accuracy"]
    assert found["value"] == pytest.approx(0.8)
    assert found["low"] < 0.7 < 0.9 < found["high"], "one of two seeds is drawn at a time"
    assert summarize_seeds(TASK, {1: answered(0)}, STRATA)["accuracy"]["low"] == pytest.approx(0.963, abs=1e-3)


def test_a_difference_that_every_seed_shows_is_real() -> None:
    ours, theirs = {1: answered(5), 2: answered(7)}, {1: answered(30), 2: answered(32), 3: answered(99)}
    found = compare_seeds(TASK, ours, theirs, STRATA)["accuracy"]
    assert (found["verdict"], found["seeds"]) == ("better", 2)
    assert found["value"] == pytest.approx(0.25)
    assert compare_seeds(TASK, theirs, ours, STRATA)["accuracy"]["verdict"] == "worse"


def test_seeds_that_disagree_prove_nothing() -> None:
    """By rows alone each of the seeds is a real difference."""
    ours, theirs = {1: answered(5), 2: answered(40), 3: answered(5)}, {1: answered(30), 2: answered(5), 3: answered(30)}
    found = compare_seeds(TASK, ours, theirs, STRATA)["accuracy"]
    assert found["verdict"] == "level"
    assert compare_seeds(TASK, {1: ours[1]}, theirs, STRATA)["accuracy"]["verdict"] == "better"
    with pytest.raises(ValueError, match="no seed in common"):
        compare_seeds(TASK, {4: ours[1]}, theirs, STRATA)
