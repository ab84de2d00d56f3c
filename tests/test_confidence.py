"""Confidence from training to use: scaled by the eval rows, judged, and where to abstain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_bad_inputs import run

import exactune
from exactune.errors import ConfigError
from exactune.evaluate.calibration import expected_error
from exactune.infer.calibration import Calibration
from exactune.rundir import Run, read_json, read_jsonl

from made import write_task

QUICK = "training: {num_epochs: 2, learning_rate: 1e-3}\n"


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("confident")
    return exactune.train(write_task(folder, base, QUICK), output=str(folder / "run"))


def card(run: Run) -> dict[str, Any]:
    return dict(read_json(run.artifact / "exactune.json"))


def test_the_card_scales_what_the_run_and_its_users_see(finished: Run) -> None:
    scale = card(finished)["calibration"]
    assert (scale["method"], scale["rows"], scale["bias"]) == ("temperature", 9, 0.0)
    document, lines = read_json(finished.metrics), list(read_jsonl(finished.predictions))
    found = document["calibration"]
    assert {key: found[key] for key in scale} == scale
    assert found["figures"] == "held-out"
    correct = [line["correct"] for line in lines]
    assert found["before"] == expected_error([line["raw_confidence"] for line in lines], correct)
    assert found["after"] == expected_error([line["confidence"] for line in lines], correct)
    assert [line["raw_confidence"] for line in lines] != [line["confidence"] for line in lines]
    used = list(exactune.predict(finished.path, [line["input"] for line in lines]))
    for key in ("answer", "confidence", "raw_confidence"):
        assert [row[key] for row in used] == [line[key] for line in lines]


def test_scaling_changes_no_answer(finished: Run, tmp_path: Path) -> None:
    inputs = [line["input"] for line in read_jsonl(finished.predictions)]
    artifact = exactune.load(finished.path)
    loud = artifact.with_calibration(tmp_path, Calibration("temperature", 5.0, 0.0, 9))
    plain = artifact.with_calibration(tmp_path, None)
    assert [row["answer"] for row in loud.predict(inputs)] == [row["answer"] for row in plain.predict(inputs)]
    assert "raw_confidence" not in plain.predict(inputs)[0]
    assert [row["raw_confidence"] for row in loud.predict(inputs)] == [
        row["confidence"] for row in plain.predict(inputs)
    ]


def test_without_test_rows_each_fifth_is_scaled_by_the_others(base: Path, tmp_path: Path) -> None:
    config = write_task(tmp_path, base, QUICK)
    config.write_text(config.read_text(encoding="utf-8").replace(", test: test.jsonl", ""), encoding="utf-8")
    done = exactune.train(config, output=str(tmp_path / "run"))
    assert read_json(done.metrics)["calibration"]["figures"] == "cross-fitted"
    before = done.metrics.read_bytes(), done.predictions.read_bytes()
    document = exactune.evaluate(done.path)
    assert (done.metrics.read_bytes(), done.predictions.read_bytes()) == before
    # Other rows are judged as they are, though they be the same.
    other = exactune.evaluate(done.path, data=tmp_path / "eval.jsonl")
    assert other["calibration"]["figures"] == "held-out"
    assert other["calibration"]["before"] == document["calibration"]["before"]


def test_answers_decoded_freely_are_scaled_by_their_odds(base: Path, tmp_path: Path) -> None:
    done = exactune.train(write_task(tmp_path, base, QUICK + "constrain: false\n"), output=str(tmp_path / "run"))
    scale = card(done)["calibration"]
    assert scale["method"] == "log_odds"
    lines = list(read_jsonl(done.predictions))
    assert all(0 < line["confidence"] < 1 for line in lines)
    assert all("mass" not in line for line in lines)
    if not any(line["correct"] for line in lines):
        assert max(line["confidence"] for line in lines) < 0.5, "nothing was right on the eval rows either"


def test_rows_that_are_not_sure_enough_get_no_prediction(finished: Run, tmp_path: Path) -> None:
    lines = list(read_jsonl(finished.predictions))
    inputs = [line["input"] for line in lines]
    least = sorted(line["confidence"] for line in lines)[6]
    kept = {line["id"]: line for line in lines if line["confidence"] >= least}
    rows = list(exactune.predict(finished.path, inputs, abstain_below=least))
    for row, line in zip(rows, lines, strict=True):
        assert row["abstained"] == (line["id"] not in kept)
        assert row["prediction"] == (None if row["abstained"] else line["prediction"])
        assert (row["answer"], row["status"], row["confidence"]) == (line["answer"], line["status"], line["confidence"])
    # What the coverage curve says of this threshold is what comes out.
    curve = read_json(finished.metrics)["calibration"]["coverage"]
    point = next(one for one in curve if one["threshold"] == least)
    assert point["coverage"] == len(kept) / 12
    assert point["accuracy"] == sum(line["correct"] for line in kept.values()) / len(kept)
    assert "abstained" not in next(iter(exactune.predict(finished.path, inputs)))
    for wrong in (1.5, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="from 0 to 1"):
            next(iter(exactune.predict(finished.path, inputs, abstain_below=wrong)))


def test_the_commands_say_where_to_abstain(finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eval", str(finished.path)) == 0
    said = capsys.readouterr().out
    assert "confidence: off by" in said
    assert "fitted on 9 eval rows" in said
    assert "--abstain-below" in said
    target = tmp_path / "answers.jsonl"
    test = finished.path.parent / "test.jsonl"
    assert run("predict", str(finished.path), str(test), "-o", str(target), "--abstain-below", "1") == 0
    assert all(row["abstained"] and row["prediction"] is None for row in read_jsonl(target))
    assert run("predict", str(finished.path), str(test), "--abstain-below", "2") == 2


def test_runs_without_a_scaling_work_as_they_did(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for path in finished.artifact.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    old = {key: value for key, value in card(finished).items() if key != "calibration"}
    (folder / "exactune.json").write_text(json.dumps(old), encoding="utf-8")
    (row,) = exactune.load(folder).predict(["第1號公司股價大漲"])
    assert "raw_confidence" not in row
