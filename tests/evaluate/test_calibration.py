"""Confidences beside independent computations and miscalibrations that are known."""

from __future__ import annotations

import json
import math
from array import array

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from exactune.evaluate.calibration import BINS, Confidences, coverage, expected_error
from exactune.infer.answers import Answer
from exactune.infer.calibration import Calibration, log_odds
from exactune.tasks import Parsed
from exactune.types import Status


def of_labels(logprobs: np.ndarray) -> Answer:
    weights = np.exp(logprobs - logprobs.max())
    return Answer(
        "x", Parsed("x", Status.OK), float(1 / weights.sum()),
        logprob=float(logprobs.max()), label_logprobs=array("f", logprobs.tolist()),
    )  # fmt: skip


def of_sequence(logprob: float) -> Answer:
    return Answer("x", Parsed("x", Status.OK), math.exp(logprob), logprob=logprob)


def gathered(answers: list[Answer], correct: list[bool]) -> Confidences:
    found = Confidences()
    found.add(answers, correct)
    return found


def too_sure(rows: int, times: float, seed: int = 0, labels: int = 5) -> tuple[list[Answer], list[bool], np.ndarray]:
    """Labels drawn from a softmax, and answers by the same logits multiplied."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, labels)) * 2
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gold = np.array([draw.choice(labels, p=row) for row in true])
    loud = logits * times
    loud -= np.log(np.exp(loud).sum(1, keepdims=True))
    return [of_labels(row) for row in loud], (loud.argmax(1) == gold).tolist(), true.max(1)


@pytest.mark.parametrize("times", [3.0, 0.5])
def test_multiplied_logits_are_divided_again(times: float) -> None:
    answers, correct, true = too_sure(2500, times)
    fitted = gathered(answers, correct).fit()
    assert fitted is not None
    assert (fitted.method, fitted.bias, fitted.rows) == ("temperature", 0.0, 2500)
    assert fitted.temperature == pytest.approx(times, rel=0.08)
    scaled = [fitted.apply(answer) for answer in answers]
    assert [one.confidence for one in scaled] == pytest.approx(true.tolist(), abs=0.03)
    assert [one.raw_confidence for one in scaled] == [one.confidence for one in answers]
    assert [one.text for one in scaled] == [one.text for one in answers]
    before, after = (expected_error([one.confidence for one in some], correct)["ece"] for some in (answers, scaled))
    assert after < 0.03 < before


def test_the_temperature_is_where_an_independent_search_finds_it() -> None:
    answers, correct, _ = too_sure(300, 2.0, seed=3)
    logprobs = np.array([list(answer.label_logprobs) for answer in answers])
    right, wrong = sum(correct), len(correct) - sum(correct)

    def loss(log_t: float) -> float:
        scaled = np.exp(logprobs / np.exp(log_t))
        best = (scaled / scaled.sum(1, keepdims=True)).max(1)
        target = [(right + 1) / (right + 2) if ok else 1 / (wrong + 2) for ok in correct]
        return float(-np.sum(target * np.log(best) + np.subtract(1, target) * np.log(1 - best)) + log_t**2 / 2)

    fitted = gathered(answers, correct).fit()
    assert fitted is not None
    assert math.log(fitted.temperature) == pytest.approx(minimize_scalar(loss).x, abs=1e-3)


def test_sequences_get_the_odds_that_their_answers_had() -> None:
    draw = np.random.default_rng(1)
    logprobs = -draw.exponential(2.0, size=2500)
    odds = np.array([log_odds(value) for value in logprobs])
    true = 1 / (1 + np.exp(-(odds / 2.5 - 0.7)))
    fitted = gathered([of_sequence(value) for value in logprobs], (draw.random(2500) < true).tolist()).fit()
    assert fitted is not None
    assert fitted.method == "log_odds"
    assert (fitted.temperature, fitted.bias) == (pytest.approx(2.5, rel=0.12), pytest.approx(-0.7, abs=0.15))
    assert [fitted.confidence(value, ()) for value in logprobs] == pytest.approx(true.tolist(), abs=0.04)


def test_log_odds_are_those_of_the_probability() -> None:
    for probability in (1e-12, 0.2, 0.5, 0.999):
        assert log_odds(math.log(probability)) == pytest.approx(math.log(probability / (1 - probability)), rel=1e-9)
    assert log_odds(-800.0) == pytest.approx(-800)
    assert log_odds(0.0) == pytest.approx(math.log(1e6), rel=1e-3)
    unscaled = Calibration("log_odds", 1.0, 0.0, 9)
    assert unscaled.confidence(math.log(0.3), ()) == pytest.approx(0.3)
    assert unscaled.confidence(-800.0, ()) == pytest.approx(math.exp(-800.0))


def test_the_error_is_that_of_a_computation_row_by_row() -> None:
    draw = np.random.default_rng(2)
    for rows in (1, 7, 500):
        sure = draw.random(rows).round(3)
        sure[0] = draw.choice([0.0, 1.0, 0.2])
        right = draw.random(rows) < sure
        # Guo et al.: (low, high]; numpy's digitize, right=True, puts a value on a border below it.
        which = np.maximum(np.digitize(sure, np.arange(1, BINS + 1) / BINS, right=True), 0)
        expected = sum(
            abs(sum(right[i] - sure[i] for i in range(rows) if which[i] == index)) for index in range(BINS)
        )  # fmt: skip
        found = expected_error(sure.tolist(), right.tolist())
        assert found["ece"] == pytest.approx(expected / rows, abs=1e-12)
        assert sum(one["n"] for one in found["bins"]) == rows
        assert all(one["low"] <= one["confidence"] <= one["high"] for one in found["bins"])


def test_the_curve_says_how_right_the_surest_are() -> None:
    sure = [0.9, 0.8, 0.8, 0.3, 0.2, 0.1]
    right = [True, True, False, True, False, False]
    curve = coverage(sure, right)
    assert curve[0] == {"coverage": 1.0, "accuracy": 0.5, "threshold": 0.1}
    assert {"coverage": 0.5, "accuracy": pytest.approx(2 / 3), "threshold": 0.8} in curve
    assert curve[-1] == {"coverage": pytest.approx(1 / 6), "accuracy": 1.0, "threshold": 0.9}
    for point in curve:
        kept = [ok for value, ok in zip(sure, right, strict=True) if not value < point["threshold"]]
        assert (len(kept) / 6, sum(kept) / len(kept)) == (point["coverage"], point["accuracy"])


@pytest.mark.parametrize("make", ["labels", "sequences"])
@pytest.mark.parametrize("rows", [1, 2, 40])
@pytest.mark.parametrize("right", ["all", "none", "first"])
def test_whatever_the_rows_confidences_stay_confidences(make: str, rows: int, right: str) -> None:
    draw = np.random.default_rng(4)
    answers = (
        too_sure(rows, 1.0)[0] if make == "labels" else [of_sequence(value) for value in -draw.exponential(size=rows)]
    )
    correct = [right == "all" or (right == "first" and row == 0) for row in range(rows)]
    fitted = gathered(answers, correct).fit()
    assert fitted is not None
    scaled = [fitted.apply(answer) for answer in answers]
    assert all(0 < one.confidence < 1 for one in scaled)
    block = gathered(scaled, correct).block(fitted, fitted_on_these=True)
    assert block is not None
    json.dumps(block, allow_nan=False)
    assert block["figures"] == "cross-fitted"
    if rows == 1:
        assert block["after"] == block["before"], "nothing else to scale it by"
        assert abs(scaled[0].confidence - answers[0].confidence) < 0.45
    if rows == 40 and right != "first":
        before, after = block["before"]["ece"], block["after"]["ece"]
        assert after < before


def test_no_rows_or_answers_of_two_kinds_are_not_scaled() -> None:
    assert Confidences().fit() is None
    assert Confidences().block(Calibration("temperature", 2.0, 0.0, 5), fitted_on_these=False) is None
    both = [of_sequence(-1.0), *too_sure(3, 1.0)[0]]
    assert gathered(both, [True] * 4).fit() is None
    # Answers that came about otherwise than those a scaling was fitted on stay as they are.
    assert Calibration("temperature", 2.0, 0.0, 5).apply(both[0]) == both[0]
    assert Calibration("log_odds", 2.0, 0.0, 5).apply(both[1]) == both[1]
    assert gathered(both, [True] * 4).block(Calibration("log_odds", 2.0, 0.0, 5), fitted_on_these=False) is None


def test_a_crossed_error_is_of_scalings_that_had_not_seen_the_row() -> None:
    """On noise, a fit to the rows themselves looks better than it is."""
    draw = np.random.default_rng(5)
    answers = [of_sequence(value) for value in -draw.exponential(size=30)]
    correct = (draw.random(30) < 0.5).tolist()
    fitted = gathered(answers, correct).fit()
    assert fitted is not None
    scaled = gathered([fitted.apply(answer) for answer in answers], correct)
    crossed, same = (scaled.block(fitted, fitted_on_these=kind) for kind in (True, False))
    assert crossed is not None
    assert same is not None
    assert crossed["before"] == same["before"]
    assert crossed["coverage"] == same["coverage"]
    assert crossed["after"]["ece"] != same["after"]["ece"]
    assert same["figures"] == "held-out"


def test_a_card_keeps_a_scaling_exactly() -> None:
    scale = Calibration("log_odds", 1.234567890123, -0.1, 77)
    assert Calibration.from_card({"calibration": json.loads(json.dumps(scale.to_card()))}) == scale
    assert Calibration.from_card({}) is None
    assert Calibration.from_card({"calibration": None}) is None
