"""What a dry run says a run will need, beside what it then needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_bad_inputs import run
from transformers import Qwen3Config, Qwen3ForCausalLM

from exactune import estimate as estimating
from exactune.config import Epochs
from exactune.estimate import Estimate, Memory, Times, estimate
from exactune.plan import Plan, config_source, make_plan
from exactune.rundir import Run, read_json
from exactune.train.rehearsal import Size

import tiny
from made import write_jsonl, write_task

PEAKS = Path(__file__).parent / "train" / "peaks.py"
VARIANTS = {
    "lora": "training.engine: tree",
    "lora, recomputed": "training.engine: plain\ntraining.gradient_checkpointing: true",
    "full": "lora: none\ntraining.engine: plain",
    "full, recomputed": "lora: none\ntraining.engine: tree\ntraining.gradient_checkpointing: true",
}


def some_base(folder: Path) -> Path:
    """A random base of 23 million parameters, most of them embeddings, which take room and hardly any time."""
    tokenizer = tiny.byte_bpe()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(
        vocab_size=32_000, hidden_size=512, intermediate_size=1536, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=4, head_dim=64, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="its processes are forked")
def test_the_peak_is_within_a_fifth_of_what_the_run_then_holds(tmp_path: Path) -> None:
    base = some_base(tmp_path / "base")
    rows = [{"text": f"第{n}號" + "漲跌平"[n % 3] * (40 + n), "label": "ABC"[n % 3]} for n in range(14)]
    # Two steps, so that gradients, activations and the optimizer's state meet.
    for name, part in {"train": rows[:8], "eval": rows[8:11], "test": rows[11:]}.items():
        write_jsonl(tmp_path / f"{name}.jsonl", part)
    configs = []
    for number, variant in enumerate(VARIANTS.values()):
        config = tmp_path / f"{number}.yaml"
        config.write_text(
            f"model: {base}\ndata: {{train: train.jsonl, eval: eval.jsonl, test: test.jsonl}}\n"
            f"training.num_epochs: 1\ntraining.gradient_accumulation_steps: 1\noutput_dir: run-{number}\n"
            f"check.on_error: ignore\nevaluate: {{baselines: majority, train_rows: 0}}\n"
            f"{variant}\n",
            encoding="utf-8",
        )
        configs.append(str(config))
    done = subprocess.run(
        [sys.executable, str(PEAKS), str(tmp_path), *configs], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(VARIANTS), done.stderr
    for name, one in zip(VARIANTS, found, strict=True):
        assert one["estimated"] == pytest.approx(one["measured"], rel=0.2), name
        assert one["recorded"] == pytest.approx(one["measured"], rel=0.05), name


def planned(task: Callable[..., Path], text: str = "", train: int = 24) -> Plan:
    return make_plan(config_source(task(text, train=train)))


TIMES = Times(
    epochs=Epochs(5, 8), rows=400, rows_per_second=20.0, judged=50, answered=170, answer=0.1, loss=0.02
)  # fmt: skip


def test_time_is_rows_by_epochs_and_answers_by_evaluations() -> None:
    assert TIMES.training(5) == pytest.approx(100.0)
    assert TIMES.training(8) == pytest.approx(160.0)
    # After each of five epochs and of the published weights 50 answers and losses, then 170 answers.
    assert TIMES.evaluating(5) == pytest.approx(6 * 50 * 0.12 + 17.0)
    assert TIMES.evaluating(8) == pytest.approx(9 * 50 * 0.12 + 17.0)
    (line,) = [line for line in Estimate(Memory(), 10**12, times=TIMES).lines() if line.startswith("time")]
    assert line == (
        "time    20 rows/s in training, 10 answers/s in evaluations; 5-8 epochs take about 1.7-2.7 minutes of training "
        "and 0.88-1.2 of evaluations"
    )


def test_evaluations_after_half_an_epoch_too_are_counted() -> None:
    half = replace(TIMES, epochs=Epochs(0.5, 0.5), answered=0)
    # The trainer ends within the first epoch, and judges there.
    assert half.evaluating(0.5) == pytest.approx(2 * 50 * 0.12)


def test_the_peak_is_that_of_training_or_of_an_evaluation() -> None:
    memory = Memory(process=500, weights=100, gradients=10, optimizer=20, activations=300, logits=50, evaluation=200)
    assert (memory.training, memory.evaluating, memory.total) == (980, 820, 980)
    assert replace(memory, evaluation=500).total == 1120


def test_a_dry_run_says_what_is_needed_and_writes_nothing(
    task: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task()
    before = sorted(tmp_path.rglob("*"))
    assert run("train", str(config), "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    # What an evaluation takes has a line of its own, unless it finds room in memory that this process holds already.
    memory = [line for line in lines if line.startswith("memory")]
    assert lines[-1 - len(memory) :] == [*memory, lines[-1]]
    assert len(memory) in (2, 3)
    assert "at the peak, in " in memory[0]
    assert memory[1].startswith("memory  process ")
    assert "2 epochs take about " in lines[-1]
    monkeypatch.setattr(estimating, "there_is", lambda device: 200_000_000)
    assert run("train", str(config), "--dry-run") == 0, "too little memory is no error"
    assert "warning this machine has 200 MB of memory, less than the " in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_counted_is_what_the_weights_are(task: Callable[..., Path]) -> None:
    plan = planned(task)
    found = estimate(plan)
    base = sum(tensor.nbytes for tensor in tiny.model(len(plan.template.tokenizer)).parameters())
    # r=32 on four projections of two layers, 32 wide: heads 4 x 8, keys and values 2 x 8.
    adapter = 4 * 32 * 2 * sum((32 + 32, 32 + 16, 32 + 16, 32 + 32))
    assert found.memory.gradients == adapter
    assert found.memory.weights == pytest.approx(base + adapter, rel=0.01), "and a few buffers"
    assert found.memory.optimizer == pytest.approx(2 * adapter, rel=0.01), "and the number of its steps"
    assert found.is_measured
    assert found.times is not None
    assert found.times.rows == 24
    # Eval rows scale confidences, test rows are scored, training rows asked again, and the base model answers the test
    # rows with and without examples.
    assert (found.times.judged, found.times.answered) == (9, 9 + 12 + 24 + 2 * 12)


def test_a_base_in_four_bits_is_rehearsed_in_four_bits(wide: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="the extra `qlora` brings it")
    config = write_task(tmp_path, wide, "training.num_epochs: 1\n")
    whole, four = (
        estimate(make_plan(config_source(config, assignments=[f"quantization={name}"]))) for name in ("none", "4bit")
    )
    layers = [part for part in tiny.model(width=64).model.layers.modules() if isinstance(part, torch.nn.Linear)]
    # Half a byte of four stays; scales are no parameters.
    packed = sum(part.weight.nbytes - part.weight.numel() // 2 for part in layers)
    assert whole.memory.weights - four.memory.weights == packed
    assert four.memory.gradients == whole.memory.gradients


def test_weights_too_large_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are none to load: only the config of the base is looked at."""
    folder = tiny.save_base(tmp_path / "shape")
    (folder / "model.safetensors").unlink()
    plan = make_plan(config_source(write_task(tmp_path, folder, "lora: none\n")))
    monkeypatch.setattr(estimating, "there_is", lambda device: 1000)
    found = estimate(plan)
    assert found.times is None
    weights = sum(tensor.nbytes for tensor in tiny.model(len(plan.template.tokenizer)).parameters())
    assert found.memory.training == pytest.approx(4 * weights, rel=0.01)
    first, *_, last = found.lines()
    assert "nothing was loaded" in first
    ways = dict(found.ways)
    assert ways["lora: {r: 32}, quantization: 4bit"] < ways["lora: {r: 32}"] < found.memory.total
    assert "with `lora: {r: 32}`" in last


def test_what_would_take_less_is_named_with_its_figure(
    task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimating, "there_is", lambda device: 100_000_000)
    found = estimate(planned(task, "training.per_device_train_batch_size: 8\ntraining.engine: plain\n"))
    assert not found.is_measured, "the process itself holds more"
    assert found.largest is not None
    assert any("computed from a smaller one" in line for line in found.lines())
    assert all(needed < found.memory.total for _, needed in found.ways)
    *_, last = found.lines()
    assert all(f"`{way}`" in last for way, _ in found.ways)


def test_a_run_records_its_peak_and_its_pace(task: Callable[..., Path], tmp_path: Path) -> None:
    assert run("train", str(task())) == 0
    env = read_json(Run(tmp_path / "run").env)
    assert 100 < env["peak_memory_mb"] < 100_000
    assert env["rows_per_second"] > 0


def test_sizes_too_large_are_said_in_words() -> None:
    memory = Memory(process=600_000_000, weights=30_000_000_000, activations=5_000_000_000)
    tight = Estimate(
        memory, 16_000_000_000, Size(4096, 30), is_measured=True, ways=(("quantization: 4bit", 14 * 10**9),)
    )
    *_, last = tight.lines()
    assert last == (
        "warning this machine has 16 GB of memory, less than the 35.6 GB that this needs. About 14 GB with "
        "`quantization: 4bit`."
    )
    *_, alone = replace(tight, ways=()).lines()
    assert alone.endswith("Take a smaller base or a larger machine.")
