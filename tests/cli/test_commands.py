from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_bad_inputs import run

from exactune.rundir import Run, read_json, read_jsonl


def test_the_main_job_then_eval_predict_report_and_gate(
    task: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = task()
    assert run("train", str(config)) == 0
    printed = capsys.readouterr()
    assert "task    classification, 3 labels under `sentiment`" in printed.out
    assert "recipe  24 training rows: bracket < 500" in printed.out
    assert "epoch 2" in printed.err
    folder = str(tmp_path / "run")

    assert run("eval", folder, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document == read_json(Run(tmp_path / "run").metrics)

    assert run("eval", folder) == 0
    table = capsys.readouterr().out
    assert table.strip() in printed.out, "eval repeats what train printed"

    answers = tmp_path / "answers.jsonl"
    assert run("predict", folder, str(tmp_path / "test.jsonl"), "-o", str(answers)) == 0
    assert [row["answer"] for row in read_jsonl(answers)] == [
        row["answer"] for row in read_jsonl(Run(tmp_path / "run").predictions)
    ]

    (tmp_path / "run" / "report.html").unlink()
    assert run("report", folder) == 0
    assert (tmp_path / "run" / "report.html").is_file()

    assert run("train", str(config), "--overwrite", "--set", "gate={accuracy: 1.01}") == 1
    assert "failed: accuracy" in capsys.readouterr().err
    assert run("eval", folder) == 1
    assert run("eval", folder, "--data", str(tmp_path / "eval.jsonl")) == 0


def test_dry_run_writes_nothing(task: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", str(task()), "--dry-run") == 0
    assert "train   " in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_patch_and_set_win_over_the_file(task: Callable[..., Path], tmp_path: Path, capsys) -> None:
    patch = tmp_path / "patch.yaml"
    patch.write_text("lora_dropout: 0.1\nr: 4\n", encoding="utf-8")
    assert run("train", str(task()), "--patch", str(patch), "--set", "num_epochs=1") == 0
    text = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    assert "r: 4  # file patch.yaml" in text
    assert "num_epochs: 1  # --set" in text
    assert "r -> lora.r" in capsys.readouterr().out


def test_check_prints_json_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = '{"text": "很好", "label": "正面"}\n{"text": "很差", "label": "負面"}\n'
    file = tmp_path / "train.jsonl"
    file.write_text(good + "{oops\n", encoding="utf-8")
    assert run("check", str(file), "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["summary"]["rejected"] == 1
    assert document["findings"][0]["code"] == "D101"
    assert document["findings"][0]["locations"] == [{"file": str(file), "line": 3}]
    file.write_text(good, encoding="utf-8")
    assert run("check", str(file)) == 0
    assert run("check", str(file), "--strict") == 1, "few rows are a warning"
    assert run("check", str(file), "--strict", "--ignore", "D702") == 0


def test_check_with_a_config_uses_the_models_tokenizer(task: Callable[..., Path], tmp_path: Path, capsys) -> None:
    assert run("check", str(task("max_length: 30\n")), "--json") == 1
    assert {finding["code"] for finding in json.loads(capsys.readouterr().out)["findings"]} >= {"D501"}


def test_env_names_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("env", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["packages"]["torch"]
    assert document["mini"]["name"].startswith("mini-")
    assert run("env") == 0


def start(config: Path, *options: str) -> subprocess.Popen[str]:
    command = "from exactune.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "train", str(config), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_libraries_load_leaves_nothing(
    task: Callable[..., Path], tmp_path: Path, number: int, code: int
) -> None:
    process = start(task())
    time.sleep(1.5)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == code, message
    assert message.startswith("Stopped"), message
    assert not (tmp_path / "run").exists()


def test_resume_refuses_other_rows_and_other_values(task: Callable[..., Path], tmp_path: Path, capsys) -> None:
    config = task()
    assert run("train", str(config)) == 0
    capsys.readouterr()
    assert run("train", str(config), "--resume", "--set", "seed=1") == 2
    assert "started with another training.seed (42 -> 1), so" in " ".join(capsys.readouterr().err.split())
    train = tmp_path / "train.jsonl"
    train.write_text(train.read_text(encoding="utf-8").replace("第0號", "第零號"), encoding="utf-8")
    assert run("train", str(config), "--resume") == 2
    assert "train.jsonl" in capsys.readouterr().err
