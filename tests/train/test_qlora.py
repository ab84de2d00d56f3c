"""Runs beside a base in 4 bits: precise adapters, exact resume, the same answers wherever they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_watch import watched

import exactune
from exactune.bases import find_base
from exactune.config import LoraSettings
from exactune.errors import ConfigError, Interrupted, MissingExtra, RunError
from exactune.infer import quantize
from exactune.infer.model import load_base
from exactune.rundir import Run, read_json, read_jsonl, write_json
from exactune.train.adapter import make_trainable
from test_resume import Stopping

import killing
from made import write_task

pytest.importorskip("bitsandbytes", reason="the extra `qlora` brings it")

LORA = LoraSettings(r=4, lora_alpha=8)
SETTINGS = (
    "quantization: 4bit\nlora: {r: 4, lora_dropout: 0.1}\nevaluate: {baselines: [majority], train_rows: 0}\n"
    "training: {num_epochs: 2, learning_rate: 1e-3, logging_steps: 1}\n"
)


def test_an_adapter_stays_float32_and_as_it_was(wide: Path, tmp_path: Path) -> None:
    model = make_trainable(load_base(find_base(str(wide)), quantization="4bit")[0], LORA, 0)
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters() if tensor.requires_grad}
    trainer = watched(tmp_path, model=model)
    after = {name: tensor for name, tensor in trainer.model.named_parameters() if tensor.requires_grad}
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    trainer.train()
    groups = trainer.optimizer.param_groups
    assert {tensor.dtype for group in groups for tensor in group["params"]} == {torch.float32}
    assert all(not torch.equal(before[name], after[name]) for name in before)


@pytest.fixture(scope="module")
def run(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An undisturbed run of four steps."""
    folder = tmp_path_factory.mktemp("qlora")
    return exactune.train(write_task(folder, wide, SETTINGS), output=str(folder / "run"))


def test_a_run_in_four_bits(run: Run) -> None:
    card = read_json(run.adapter / "exactune.json")
    assert (card["adapter"], card["quantization"], card["dtype"]) == (True, "4bit", "float32")
    assert all(0 < line["moved"] < 1 for line in read_jsonl(run.train_metrics) if "eval" in line)
    before = [path.read_bytes() for path in (run.metrics, run.predictions)]
    exactune.evaluate(run)
    assert [path.read_bytes() for path in (run.metrics, run.predictions)] == before
    artifact = exactune.load(run.path)
    assert "Linear4bit" in {type(module).__name__ for module in artifact.model.modules()}
    given = [row["answer"] for row in exactune.predict(artifact, run.path.parent / "test.jsonl")]
    assert given == [row["answer"] for row in read_jsonl(run.predictions)]


def test_the_quantization_is_part_of_the_answers(run: Run) -> None:
    """Loaded over whole weights, the adapter is not the one that was measured."""
    card = read_json(run.adapter / "exactune.json")
    rows = [row["input"] for row in read_jsonl(run.predictions)]
    four = [one["confidence"] for one in exactune.load(run.path).predict(rows)]
    write_json(run.adapter / "exactune.json", {**card, "quantization": "none"})
    other = [one["confidence"] for one in exactune.load(run.path).predict(rows)]
    write_json(run.adapter / "exactune.json", card)
    assert four != other


def test_a_stopped_run_resumes_to_the_same_weights(run: Run, tmp_path: Path) -> None:
    config = run.path.parent / "task.yaml"
    with pytest.raises(Interrupted, match="Stopped at step 3 of 4"):
        exactune.train(config, output=str(tmp_path / "run"), display=Stopping(3))
    again, lines = exactune.train(config, output=str(tmp_path / "run"), resume=True), []
    assert killing.result(again) == killing.result(run)
    again.report.unlink()
    env = read_json(again.env)
    write_json(again.env, {**env, "packages": {**env["packages"], "bitsandbytes": "0.50.0"}})
    with pytest.raises(RunError, match=r"bitsandbytes \(0\.50\.0 -> .*--resume-anyway"):
        exactune.train(config, output=str(again.path), resume=True, say=lines.append)
    assert lines == []


def test_weights_in_four_bits_are_never_trained(task: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only an adapter beside them can learn"):
        exactune.train(task("quantization: 4bit\nlora: none\n"))
    assert not (tmp_path / "run").exists()


def test_what_is_missing_is_said_before_anything_is_read(
    task: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task("quantization: 4bit\n")
    (tmp_path / "train.jsonl").unlink()
    monkeypatch.setattr(quantize, "version", lambda name: "0.1")
    with pytest.raises(MissingExtra, match=r"exactune\[qlora\]"):
        exactune.train(config)
