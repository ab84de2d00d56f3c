"""Rows scored as they are answered."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest

from exactune.evaluate.evaluation import Evaluation, blocks, point_metrics, read_texts
from exactune.evaluate.gate import failed_gates, judge_gates
from exactune.infer.answers import Answer
from exactune.tasks import ClassificationTask, EntitiesTask, Parsed, Task
from exactune.types import Example, Location, Message

LABELS = ("a", "b", "c")
TASK = ClassificationTask(LABELS)


def rows(count: int) -> list[Example]:
    draw = random.Random(0)
    return [
        Example(
            f"t:{n}", (Message("system", ""), Message("user", f"text {n}")), draw.choice(LABELS), Location("t", n), "c",
        )
        for n in range(count)
    ]  # fmt: skip


def answers(task: Task, examples: Sequence[Example], right: float) -> list[Answer]:
    draw = random.Random(1)
    texts = [row.answer if draw.random() < right else draw.choice([*LABELS, "?"]) for row in examples]
    return [Answer(text, task.parse(text), 0.5) for text in texts]


def always_a(examples: Sequence[Example]) -> list[Parsed]:
    return read_texts(TASK, ["a"] * len(examples))


def some_right(examples: Sequence[Example]) -> list[Parsed | None]:
    return [TASK.parse(row.answer) if int(row.id[2:]) % 4 == 0 else None for row in examples]


def evaluated(size: int, count: int = 120) -> tuple[dict, list]:
    examples = rows(count)
    given = answers(TASK, examples, 0.7)
    evaluation = Evaluation(TASK, "test", {"majority": always_a, "few_shot": some_right})
    lines = []
    for start in range(0, count, size):
        lines += evaluation.add(examples[start : start + size], given[start : start + size])
    return evaluation.document(), lines


def test_blocks_add_up_to_the_whole() -> None:
    assert evaluated(7) == evaluated(120)


def test_blocks_hold_every_row_once() -> None:
    examples = rows(50)
    parts = list(blocks(examples, 1))
    assert [len(part) for part in parts] == [16, 16, 16, 2]
    assert [row for part in parts for row in part] == examples


def test_the_document() -> None:
    document, lines = evaluated(50)
    assert [line["id"] for line in lines] == [f"t:{n}" for n in range(120)]
    assert document["n"] == sum(document["statuses"].values()) == 120
    correct = sum(line["correct"] for line in lines)
    assert document["metrics"]["accuracy"]["value"] == pytest.approx(correct / 120)
    assert document["baseline_rows"] == {"majority": 120, "few_shot": 30}
    assert document["baselines"]["few_shot"]["accuracy"]["value"] == 1
    # The best baseline answered every fourth row, and there is it compared.
    comparison = document["comparison"]
    assert (comparison["baseline"], comparison["rows"], comparison["verdict"]) == ("few_shot", 30, "worse")
    ours = [line["correct"] for line in lines if int(line["id"][2:]) % 4 == 0]
    assert sum(ours) < 30
    assert {"low", "high"} <= document["per_label"]["a"].keys()
    json.dumps(document, allow_nan=False)


def test_a_right_answer_that_cannot_be_read_says_so() -> None:
    task = EntitiesTask(("PER",))
    row = Example("t:1", (Message("system", ""), Message("user", "x")), "{oops", Location("t", 1), "c")
    (line,) = Evaluation(task, "test", {}).add([row], [Answer("{}", task.parse("{}"), 1.0)])
    assert (line["gold"], line["gold_status"], line["correct"]) == (None, "invalid_json", False)


def test_training_sees_the_metric_that_decides_first_and_its_interval() -> None:
    examples = rows(60)
    found = point_metrics(TASK, examples, answers(TASK, examples, 0.7), "accuracy")
    assert next(iter(found)) == "accuracy"
    assert found["low"] < found["accuracy"] < found["high"]
    assert "low" not in point_metrics(TASK, examples, answers(TASK, examples, 0.7), "loss")


def test_gates_look_at_the_value_or_the_end_that_is_less_favourable() -> None:
    metrics = {"macro_f1": {"value": 0.82, "low": 0.78, "high": 0.86}}
    for wanted, on, passed in (
        (0.8, "value", True),
        (0.8, "lower", False),
        (0.78, "lower", True),
        (0.9, "value", False),
    ):
        judged = judge_gates({"macro_f1": wanted}, on, metrics)  # type: ignore[arg-type]
        assert judged["macro_f1"]["passed"] is passed
        assert len(failed_gates(judged)) == (not passed)
    low = judge_gates({"loss": 0.5}, "lower", {"loss": {"value": 0.4, "low": 0.3, "high": 0.6}})["loss"]
    assert (low["found"], low["passed"]) == (0.6, False)
    (line,) = failed_gates(judge_gates({"macro_f1": 0.8}, "lower", metrics))
    assert line == "failed: macro_f1 may be 0.780 (95% interval), wanted 0.8"


def test_scoring_needs_no_torch() -> None:
    script = (
        "import sys\nfrom exactune.evaluate.evaluation import Evaluation\nimport exactune.evaluate.against\n"
        "sys.exit(bool({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
