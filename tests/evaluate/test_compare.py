"""Two systems on the same rows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from exactune.errors import RunError
from exactune.evaluate.against import compare_runs
from exactune.evaluate.compare import compare
from exactune.evaluate.counted import Counted
from exactune.rundir import Run
from exactune.tasks import ClassificationTask, TextTask
from exactune.verdicts import against_baseline, against_run

LABELS = tuple("abc")
TASK = ClassificationTask(LABELS)


def simulated(seed: int, rows: int, ours: float, theirs: float) -> tuple[Counted, Counted, list[int]]:
    """Two systems of a given accuracy; what is hard for one tends to be hard for the other."""
    draw = random.Random(seed)
    scores = {
        (gold, given): TASK.score(TASK.parse(gold), TASK.parse(given)) for gold in LABELS for given in LABELS
    }  # fmt: skip
    pair, strata = (Counted(), Counted()), []
    for _ in range(rows):
        gold, hardness = draw.choice(LABELS), draw.random()
        strata.append(LABELS.index(gold))
        for counted, accuracy in zip(pair, (ours, theirs), strict=True):
            own = hardness if draw.random() < 0.5 else draw.random()
            given = gold if own < accuracy else draw.choice([label for label in LABELS if label != gold])
            counted.add(scores[gold, given])
    return *pair, strata


def verdicts(rows: int, ours: float, theirs: float, pairs: int) -> list[str]:
    found = []
    for seed in range(pairs):
        one, other, strata = simulated(seed, rows, ours, theirs)
        found.append(compare(TASK, one, other, strata, resamples=200)["macro_f1"]["verdict"])
    return found


def test_noise_is_seldom_called_real() -> None:
    """Five percent of 200 are 10; three standard deviations more are 19."""
    assert 200 - verdicts(300, 0.7, 0.7, 200).count("level") <= 19


def test_ten_points_are_called_real() -> None:
    found = verdicts(500, 0.8, 0.7, 40)
    assert found.count("better") >= 32
    assert "worse" not in found
    assert verdicts(500, 0.7, 0.8, 5).count("worse") >= 3


def test_the_difference_is_that_of_the_metrics() -> None:
    one, other, strata = simulated(0, 200, 0.8, 0.6)
    found = compare(TASK, one, other, strata)
    for name, entry in found.items():
        assert entry["ours"] == TASK.aggregate(one.totals())[name]
        assert entry["difference"]["value"] == pytest.approx(entry["ours"] - entry["theirs"])
        assert entry["difference"]["low"] <= entry["difference"]["value"] <= entry["difference"]["high"]
        assert entry["rows"] == 200


def test_pairing_counts() -> None:
    """Two systems that differ in eight rows of 400, always in favour of the first: real; unpaired it would be noise."""
    task = TextTask()
    right, wrong = (task.score(task.parse("x"), task.parse(text)) for text in ("x", "y"))
    one = Counted.of([right] * 284 + [wrong] * 116)
    other = Counted.of([right] * 276 + [wrong] * 124)
    assert compare(task, one, other)["exact_match"]["verdict"] == "better"


def test_rows_needed_is_what_a_mean_needs() -> None:
    """By hand: 30 rows for one, 20 for the other, 350 alike; variance of a row 50/400 - 0.025², difference 0.025."""
    task = TextTask()
    right, wrong = (task.score(task.parse("x"), task.parse(text)) for text in ("x", "y"))
    one = Counted.of([right] * 30 + [wrong] * 20 + [right] * 350)
    other = Counted.of([wrong] * 30 + [right] * 20 + [right] * 350)
    found = compare(task, one, other, resamples=4000)["exact_match"]
    assert found["verdict"] == "level"
    wanted = (1.959964 + 0.841621) ** 2 * (50 / 400 - 0.025**2) / 0.025**2
    assert found["rows_needed"] == pytest.approx(wanted, rel=0.08)


def test_equal_systems_differ_by_nothing() -> None:
    one, _, strata = simulated(0, 50, 0.7, 0.7)
    found = compare(TASK, one, one, strata)["macro_f1"]
    assert found["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert (found["verdict"], found["rows_needed"]) == ("level", None)


def test_only_rows_that_both_answered_count() -> None:
    task = TextTask()
    right, wrong = (task.score(task.parse("x"), task.parse(text)) for text in ("x", "y"))
    found = compare(task, Counted.of([right, wrong, right, right]), Counted.of([None, wrong, right, None]))
    assert (found["exact_match"]["rows"], found["exact_match"]["ours"]) == (2, 0.5)
    with pytest.raises(ValueError, match="no scores"):
        compare(task, Counted.of([right, None]), Counted.of([None, right]))


@pytest.mark.parametrize(("verdict", "words"), [("better", "better than"), ("worse", "worse than")])
def test_words(verdict: str, words: str) -> None:
    comparison = {
        "baseline": "linear", "metric": "macro_f1", "rows": 80, "verdict": verdict, "rows_needed": 50,
        "difference": {"value": 0.1, "low": 0.02, "high": 0.2},
    }  # fmt: skip
    assert against_baseline(comparison) == f"{words} a linear model: macro_f1 +0.100 (+0.020 to +0.200) on 80 rows"
    level = against_baseline({**comparison, "verdict": "level", "rows_needed": 1234})
    assert level.startswith("not better than a linear model: ")
    assert "1,234 rows would tell" in level
    assert "is the same" in against_baseline({**comparison, "verdict": "level", "rows_needed": None})


def written(folder: Path, answers: dict[str, tuple[str, str]], task: str = "") -> Run:
    """A run folder with what a comparison reads: id -> right answer and prediction."""
    folder.mkdir()
    (folder / "config.yaml").write_text(
        task or f"task: {{type: classification, labels: {json.dumps(list(LABELS))}}}\n", encoding="utf-8"
    )
    lines: list[dict[str, Any]] = [
        {"id": name, "gold": gold, "prediction": given, "status": "ok", "input": f"text of {gold}"}
        for name, (gold, given) in answers.items()
    ]
    (folder / "eval").mkdir()
    (folder / "eval" / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Run(folder)


def test_two_runs_are_paired_by_id(tmp_path: Path) -> None:
    draw = random.Random(1)
    golds = {f"test.jsonl:{number}": draw.choice(LABELS) for number in range(400)}
    good = {name: (gold, gold if draw.random() < 0.9 else "a") for name, gold in golds.items()}
    poor = {name: (gold, gold if draw.random() < 0.7 else "a") for name, gold in golds.items()}
    one = written(tmp_path / "one", good)
    other = written(tmp_path / "other", dict(reversed([*poor.items()][:300])))
    found = compare_runs(one, other)
    assert (found["rows"], found["only_run"], found["only_against"]) == (300, 100, 0)
    assert found["metrics"]["accuracy"]["verdict"] == "better"
    names = [*golds][:300]
    accuracy = [sum(part[name][0] == part[name][1] for name in names) / 300 for part in (good, poor)]
    assert [found["metrics"]["accuracy"][side] for side in ("ours", "theirs")] == pytest.approx(accuracy)
    assert against_run(found).startswith(f"better than {tmp_path / 'other'}: macro_f1 +")
    assert compare_runs(one, one)["metrics"]["macro_f1"]["verdict"] == "level"
    json.dumps(found, allow_nan=False)


def test_runs_that_share_no_rows_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "one", {"t:1": ("a", "a"), "t:2": ("b", "a")})
    with pytest.raises(RunError, match="not scored on the same rows, so they cannot"):
        compare_runs(one, written(tmp_path / "other", {"s:1": ("a", "a")}))
    with pytest.raises(RunError, match="same names with different contents"):
        compare_runs(one, written(tmp_path / "changed", {"t:1": ("c", "a")}))
    with pytest.raises(RunError, match="not of one kind"):
        compare_runs(one, written(tmp_path / "text", {"t:1": ("a", "a")}, "task: {type: text}\n"))
    several = f"task: {{type: classification, labels: {json.dumps(list(LABELS))}, multi_label: true}}\n"
    with pytest.raises(RunError, match="not of one kind"):
        compare_runs(one, written(tmp_path / "several", {"t:1": (["a"], ["a"])}, several))  # type: ignore[dict-item]
    (one.predictions).unlink()
    with pytest.raises(RunError, match="score that run first"):
        compare_runs(one, one)
