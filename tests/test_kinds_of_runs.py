"""Runs of several kinds of task from their rows to the report: what each stage writes, the next one reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import exactune
from exactune.evaluate.against import compare_runs
from exactune.report import write_report
from exactune.rundir import read_json, read_jsonl

from made import write_jsonl, write_task

SETTINGS = """check: {on_error: ignore}
training: {num_epochs: 1, learning_rate: 1e-2, max_seq_length: 500}
"""

Rows = list[dict[str, Any]]


def chat(text: str, answer: Any) -> dict[str, Any]:
    turns = {"system": "?", "user": text, "assistant": json.dumps(answer, separators=(",", ":"))}
    return {"messages": [{"role": role, "content": content} for role, content in turns.items()]}


def relations(count: int, start: int) -> Rows:
    made = []
    for number in range(start, start + count):
        head, tail = "AB"[number % 2], "XYZ"[number % 3]
        made.append(chat(f"{head} {tail} {number}", [{"head": head, "type": "in", "tail": tail}]))
    return made


def labels(count: int, start: int) -> Rows:
    """One of the labels stands in every answer."""
    words = ("go", ["all", "go"]), ("no", ["all"])
    return [chat(f"{words[number % 2][0]} {number}", words[number % 2][1]) for number in range(start, start + count)]


def entities(count: int, start: int) -> Rows:
    made = []
    for number in range(start, start + count):
        name = "AB"[number % 2]
        place = number % 4
        made.append(chat(" " * place + f"{name} {number}", [
            {"text": name, "type": "LP"[number % 2], "start": place, "end": place + 1}
        ]))  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("make", "block", "tests", "baselines"),
    [
        (relations, "task: relations\nconstrain: true\n", 4, ["gazetteer", "few_shot"]),
        (labels, "task: {multi_label: true}\n", 4, ["majority", "linear", "zero_shot", "few_shot"]),
        (entities, "task: {type: entities, copy_spans: true}\n", 4, ["majority", "few_shot"]),
        (entities, "task: entities\nconstrain: false\n", 0, ["gazetteer", "zero_shot"]),
    ],
    ids=["relations", "labels", "entities", "no test rows"],
)
def test_a_run_from_its_rows_to_its_report(
    base: Path, tmp_path: Path, make: Callable[[int, int], Rows], block: str, tests: int, baselines: list[str]
) -> None:
    wanted = f"evaluate: {{rows: 2, shots: 1, baselines: {json.dumps(baselines)}}}\n"
    config = write_task(tmp_path, base, SETTINGS + wanted + block, (8, 4, 4), make)
    if not tests:
        config.write_text(config.read_text().replace(", test: test.jsonl", ""))
    run = exactune.train(config, output=str(tmp_path / "run"))
    document, lines = read_json(run.metrics), [*read_jsonl(run.predictions)]
    assert document["split"] == ("test" if tests else "eval")
    assert document["n"] == len(lines) == sum(document["statuses"].values()) == (tests or 4)
    assert list(document["baselines"]) == baselines
    assert "baselines_left_out" not in document
    assert document["calibration"]["rows"] == 4
    assert document["calibration"]["figures"] == ("held-out" if tests else "cross-fitted")
    assert sum(one["count"] for one in document["errors"].get("missed", ())) > 0 or document["errors"].get("confused")

    exactune.evaluate(run)
    assert read_json(run.metrics) == document
    assert [*read_jsonl(run.predictions)] == lines
    for figure in compare_runs(run, run)["metrics"].values():
        assert (figure["verdict"], figure["ours"]) == ("level", figure["theirs"])
    other = exactune.evaluate(run, data=write_jsonl(tmp_path / "other.jsonl", make(3, 300)))
    assert (other["n"], list(other["baselines"])) == (3, baselines)

    for language in ("en", "zh-TW"):
        page = write_report(run, language).read_text(encoding="utf-8")
        assert 'id="baselines"' in page
        assert 'id="calibration"' in page
        assert all(line["id"] in page for line in lines)
    threshold = sorted(line["confidence"] for line in lines)[-1]
    given = [*exactune.predict(run.path, tmp_path / ("test.jsonl" if tests else "eval.jsonl"), abstain_below=threshold)]
    assert [row["abstained"] for row in given] == [line["confidence"] < threshold for line in lines]
    assert [row["prediction"] for row in given] == [
        line["prediction"] if line["confidence"] >= threshold else None for line in lines
    ]
