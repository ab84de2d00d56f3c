"""What a user gets for input that cannot work: one clear message, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exactune.cli import main

from made import rows, write_jsonl


def run(*arguments: str) -> int:
    """The exit code of ``exactune ARGUMENTS``."""
    sys.argv = ["exactune", *arguments]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def refused(task: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Trains and expects a refusal; returns the message."""

    def train(*options: str, text: str = "", code: int = 2, clean: bool = True) -> str:
        before = set(tmp_path.rglob("*"))
        config = task(text)
        before |= set(tmp_path.rglob("*"))
        assert run("train", str(config), *options) == code
        message = capsys.readouterr().err
        assert "Traceback" not in message
        if clean:
            assert set(tmp_path.rglob("*")) - before == set(), "something was written"
        return " ".join(message.split())

    return train


def test_missing_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "absent.yaml") == 2
    assert "absent.yaml: cannot be read: No such file" in capsys.readouterr().err


def test_missing_file(refused: Callable[..., str]) -> None:
    message = refused("--set", "data.train=absent.jsonl")
    assert "absent.jsonl" in message
    assert "no such file" in message.lower()


def test_empty_file(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    assert "empty.jsonl: the file is empty" in refused("--set", "data.train=empty.jsonl")


def test_broken_rows_are_all_named(refused: Callable[..., str], tmp_path: Path) -> None:
    good = [json.dumps(row, ensure_ascii=False) for row in rows(12)]
    lines = [*good[:3], '{"messages": [', *good[3:6], '{"text": "a"}', good[6], "{broken}", *good[7:]]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    message = refused()
    assert "D101 error" in message
    for line in (4, 10):
        assert f"train.jsonl:{line}" in message
    assert "train.jsonl:8" in message
    assert "check.on_error=skip" in message


def test_unknown_key(refused: Callable[..., str]) -> None:
    assert "unknown key `training.num_epoch`. Did you mean `training.num_epochs`?" in refused(
        "--set", "training.num_epoch=3"
    )


def test_wrong_type(refused: Callable[..., str]) -> None:
    assert "--set: `training.learning_rate`: Input should be a valid number" in refused(
        "--set", "training.learning_rate=fast"
    )


def test_unknown_folder_and_adapter_as_model(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "no such folder" in refused("--set", "model=./absent")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "is a LoRA adapter, not a base model" in refused("--set", f"model={tmp_path / 'adapter'}")
    (tmp_path / "nothing").mkdir()
    assert "has no config.json" in refused("--set", f"model={tmp_path / 'nothing'}")


def test_unknown_hub_model(refused: Callable[..., str]) -> None:
    message = refused("--set", "model=nobody/nothing-here")
    assert "model `nobody/nothing-here` cannot be loaded" in message
    assert "model: mini" in message


def test_broken_weights(refused: Callable[..., str], tmp_path: Path, base: Path) -> None:
    import shutil

    shutil.copytree(base, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "cannot be loaded" in refused("--set", f"model={tmp_path / 'cut'}")


def test_no_rows_left(refused: Callable[..., str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"text": "a", "label": ""}] * 3)
    assert "no training rows are left" in refused("--set", "check.on_error=skip")


def test_one_label(refused: Callable[..., str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [row for row in rows(30) if "正面" in json.dumps(row, ensure_ascii=False)])
    assert "D301 error" in refused()


def test_eval_rows_in_train(refused: Callable[..., str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [*rows(24), *rows(1, start=200)])
    message = refused()
    assert "D205 error" in message
    assert "train.jsonl:25" in message
    assert "test.jsonl:1" in message


def test_folder_of_another_run(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    assert "already holds a run" in refused()


def test_a_folder_that_is_no_run_is_never_overwritten(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    assert "holds other files than a run's (thesis.txt)" in refused("--overwrite")


def test_a_project_folder_is_never_overwritten(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("somebody's own")
    assert "holds other files" in refused("--overwrite", "--output", str(tmp_path))
    assert (tmp_path / "train.jsonl").is_file()


def test_output_that_is_a_file(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    assert "is a file" in refused()


def test_unwritable_folder(refused: Callable[..., str]) -> None:
    assert "cannot be written" in refused("--output", "/proc/nowhere/run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_folder(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    assert "cannot be written" in refused("--output", str(tmp_path / "locked" / "run"))


def test_target_modules_that_match_nothing(refused: Callable[..., str]) -> None:
    message = refused("--set", "lora.target_modules=[q_proj, query_key_value]")
    assert "no linear layer `query_key_value`" in message
    assert "down_proj" in message


def test_runs_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("eval", "report"):
        assert run(command, str(tmp_path)) == 2
        assert "no run here" in capsys.readouterr().err
    assert run("predict", str(tmp_path)) == 2
    assert "no artifact here" in capsys.readouterr().err


def test_unknown_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "D999") == 2
    assert "Known: D101" in capsys.readouterr().err


def test_task_that_contradicts_the_rows(refused: Callable[..., str]) -> None:
    assert '{"mood": "label"}' in refused("--set", "task={type: classification, field: mood}")
