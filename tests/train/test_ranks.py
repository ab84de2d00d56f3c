"""Two processes train what one does, and stop as one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import launch
from safetensors.torch import load_file

import exactune
from exactune.errors import ConfigError, RunError
from exactune.rundir import Run, read_json, read_jsonl
from exactune.stop import StopRequest

import killing
import tiny
from killing import Moments
from made import write_task

HERE = Path(__file__).parent


def run(output: Path, ranks: int, *arguments: str, script: str = "two_ranks.py") -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *launcher, str(HERE / script), str(output), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def trained(output: Path, ranks: int, *arguments: str) -> dict[str, Any]:
    process = run(output, ranks, *arguments)
    assert process.returncode == 0, process.stderr
    return json.loads(output.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("engine", "rows", "step"),
    [("tree", "39", "8"), ("plain", "17", "4")],
    ids=["a rank with less", "a rank with none"],
)
def test_two_ranks_are_one(engine: str, rows: str, step: str, tmp_path: Path) -> None:
    one = trained(tmp_path / "one.json", 1, engine, rows, step)
    two = trained(tmp_path / "two.json", 2, engine, rows, step)
    assert len(one["lines"]) == len(two["lines"]) == 20
    for (loss, _), (other, _) in zip(one["lines"], two["lines"], strict=True):
        assert other == pytest.approx(loss, rel=1e-5)
    weights, others = torch.tensor(one["weights"]), torch.tensor(two["weights"])
    assert float((weights - others).norm() / weights.norm()) < 1e-4


def test_a_rank_that_dies_ends_the_run(tmp_path: Path) -> None:
    process = run(tmp_path / "out.json", 2, "tree", "40", "8", "die")
    assert process.returncode != 0
    assert not (tmp_path / "out.json").exists()


def task(folder: Path, *, part: int = 2, dropout: float = 0.0, text: str = "") -> Path:
    """A config of 24 steps, the last of each epoch with two rows, on ranks that take ``2 * part`` rows of a step."""
    settings = (
        "training: {num_epochs: 4, learning_rate: 1e-2, logging_steps: 1, save_steps: 2, early_stopping_patience: 9,\n"
        f"  per_device_train_batch_size: 2, gradient_accumulation_steps: {part}}}\n"
        f"lora: {{r: 4, lora_alpha: 8, lora_dropout: {dropout}}}\n"
    )
    return write_task(folder, tiny.save_base(folder / "base"), settings + text, (42, 9, 12))


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A config with dropout, and an undisturbed run of it on two ranks."""
    config = task(tmp_path_factory.mktemp("ranks"), dropout=0.1)
    run = Run(config.parent / "whole")
    codes, said = launch(config, run.path)
    assert codes == [0, 0], said
    return config, run


def files(run: Run) -> set[str]:
    return {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}


def lines(run: Run) -> list[dict[str, Any]]:
    return list(read_jsonl(run.train_metrics))


def test_the_command_on_two_ranks_makes_what_it_makes_on_one(tmp_path: Path) -> None:
    one, two = Run(tmp_path / "run1"), Run(tmp_path / "run2")
    assert killing.train(task(tmp_path / "one", part=4), one.path).code == 0
    codes, said = launch(task(tmp_path / "two"), two.path)
    assert codes == [0, 0], said
    assert said.count("epoch 4 ") == said.count("report  ") == 1, "the first rank alone speaks"
    assert "2 processes: 8 rows a step" in said
    assert files(two) == files(one)
    assert (read_json(one.env)["ranks"], read_json(two.env)["ranks"]) == (1, 2)
    assert len(lines(two)) == len(lines(one)) == 28
    for mine, other in zip(lines(two), lines(one), strict=True):
        for name in ("step", "epoch", "rows", "learning_rate"):
            assert mine.get(name) == other.get(name)
        assert mine.get("loss", 0.0) == pytest.approx(other.get("loss", 0.0), rel=1e-5)
        assert mine.get("eval", {}) == pytest.approx(other.get("eval", {}), rel=1e-4)
    weights, others = (
        torch.cat(
            [tensor.flatten() for _, tensor in sorted(load_file(run.adapter / "adapter_model.safetensors").items())]
        )
        for run in (one, two)
    )
    assert float((weights - others).norm() / weights.norm()) < 1e-4


def test_a_launcher_that_is_stopped_stops_all_ranks_at_one_step(dropping: tuple[Path, Run], tmp_path: Path) -> None:
    config, whole = dropping
    cut = Run(tmp_path / "run")
    process = run(config, 2, str(cut.path), "8", str(int(signal.SIGTERM)), script="launching.py")
    assert process.returncode != 0
    assert process.stderr.count("the checkpoint is saved. Go on with the same command and --resume.") == 1
    stopped = max(path.name for path in cut.checkpoints.iterdir())
    assert "step-000008" <= stopped < "step-000024"
    with pytest.raises(RunError, match=r"another number of processes \(2 -> 1\).*cannot be resumed"):
        exactune.train(config, output=str(cut.path), resume_anyway=True)
    codes, said = launch(config, cut.path)
    assert codes == [0, 0], said
    assert killing.result(cut) == killing.result(whole)


def test_whatever_ends_one_rank_ends_the_other_and_the_run_goes_on(dropping: tuple[Path, Run], tmp_path: Path) -> None:
    config, whole = dropping
    cut = Run(tmp_path / "run")
    for rank, moment in (
        (1, Moments("step", 5, signal.SIGINT)),
        (0, Moments("evaluation", 9, signal.SIGTERM)),
        (1, Moments("step", 4, signal.SIGKILL)),
    ):
        sent = moment.signal_number
        codes, said = launch(config, cut.path, moments={rank: moment})
        if sent == signal.SIGKILL:
            assert codes == [2, -sent], said
            assert said.count("Another process of this run has ended") == 1
        else:
            assert codes == [128 + sent] * 2, said
            assert " ".join(said.split()).count("the checkpoint is saved. Go on with the same command") == 1
        assert "Traceback" not in said
    codes, said = launch(config, cut.path)
    assert codes == [0, 0], said
    assert killing.result(cut) == killing.result(whole)


def test_a_broken_loss_on_one_rank_ends_all_and_names_its_row(dropping: tuple[Path, Run], tmp_path: Path) -> None:
    config, _ = dropping
    codes, said = launch(config, tmp_path / "run", row=17)
    assert codes == [2, 2], said
    assert said.count("the loss is not a finite number") == 1
    assert "train.jsonl:18" in said
    assert not Run(tmp_path / "run").adapter.exists()


def test_a_failure_of_the_first_rank_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "novel.txt").touch()
    codes, said = launch(task(tmp_path), tmp_path / "run")
    assert codes == [2, 2], said
    assert said.count("holds other files than a run's") == 1
    assert "first process" not in said


def test_ranks_with_different_plans_are_refused(tmp_path: Path) -> None:
    codes, said = launch(task(tmp_path), tmp_path / "run", "--set", "seed=5")
    assert codes == [2, 2], said
    assert said.count("read different configs or rows") == 1
    assert not (tmp_path / "run").exists()


def test_a_repeated_signal_does_not_insist_where_a_launcher_repeats_it() -> None:
    stop = StopRequest()
    stop.patient = stop.deferred = True
    stop.receive(signal.SIGTERM, None)
    stop.receive(signal.SIGTERM, None)
    assert stop.agreed()


@pytest.mark.parametrize(("engine", "reason"), [("tree", "trees need the whole weights"), ("auto", "checkpoints and")])
def test_weights_spread_over_ranks_are_refused(
    engine: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match=rf"FSDP.*{reason}|{reason}.*FSDP"):
        exactune.train(task(tmp_path), assignments=[f"engine={engine}"], output=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
