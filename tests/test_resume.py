"""Which runs go on, which are refused, and what is said."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import exactune
from exactune.errors import ConfigError, Interrupted, ModelError, RunError
from exactune.resume import COMPUTING, best_file
from exactune.rundir import LOCK, Run, read_json, read_jsonl, write_json

import tiny


class Stopping:
    """A display that stops the run after a step, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        if step == self.after:
            os.kill(os.getpid(), signal.SIGINT)

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        pass


@pytest.fixture
def cut(task: Callable[..., Path], tmp_path: Path) -> tuple[Path, Run]:
    """A config, and a run of it that was stopped at its first step."""
    config = task()
    with pytest.raises(Interrupted, match="Stopped at step 1 of 4"):
        exactune.train(config, display=Stopping(1))
    return config, Run(tmp_path / "run")


def changed(run: Run, key: str, value: Any) -> None:
    """Write down something else about the run's beginning."""
    write_json(run.env, {**read_json(run.env), key: value})


def test_without_a_run_there_is_nothing_to_resume_so_it_starts(task: Callable[..., Path]) -> None:
    run = exactune.train(task(), resume=True)
    assert run.report.is_file()


def test_a_run_without_a_checkpoint_starts_again(task: Callable[..., Path], tmp_path: Path) -> None:
    config, lines = task(), []

    class Broken(Exception):
        pass

    class Breaking(Stopping):
        def step(self, *_: Any) -> None:
            raise Broken

    with pytest.raises(Broken):
        exactune.train(config, display=Breaking(0))
    run = exactune.train(config, resume=True, say=lines.append)
    assert "resume  no checkpoint yet: from the start" in lines
    assert [line["step"] for line in read_jsonl(run.train_metrics) if "loss" in line] == [1, 2, 3, 4]


def test_a_run_killed_before_it_was_written_starts_again(cut: tuple[Path, Run]) -> None:
    config, run = cut
    run.config.unlink()
    with pytest.raises(RunError, match="already holds a run"):
        exactune.train(config, resume=True)
    shutil.rmtree(run.checkpoints)
    (run.path / ".config.yaml.tmp").write_text("model: mi", encoding="utf-8")
    assert exactune.train(config, resume=True).report.is_file()
    assert not (run.path / ".config.yaml.tmp").exists()


def test_a_finished_run_says_so_and_is_left_alone(task: Callable[..., Path]) -> None:
    config, lines = task(), []
    run = exactune.train(config)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != LOCK}
    assert exactune.train(config, resume=True, say=lines.append) == run
    assert lines == [f"resume  {run.path} is finished; there is nothing left to do"]
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != LOCK} == before


@pytest.mark.parametrize("gone", ["metrics", "report"])
def test_a_run_that_was_trained_but_not_scored_is_only_scored(task: Callable[..., Path], gone: str) -> None:
    config = task()
    run = exactune.train(config)
    figures, trained = run.metrics.read_bytes(), run.train_metrics.read_bytes()
    getattr(run, gone).unlink()
    exactune.train(config, resume=True)
    assert (run.metrics.read_bytes(), run.train_metrics.read_bytes()) == (figures, trained)
    assert run.report.is_file()


def test_harmless_changes_need_a_word(cut: tuple[Path, Run]) -> None:
    config, run = cut
    assignments = ["early_stopping_patience=5", "gate.macro_f1=0.1", "gate_on=lower"]
    with pytest.raises(RunError, match=r"early_stopping_patience \(2 -> 5\), gate.*--resume-anyway"):
        exactune.train(config, assignments=assignments, resume=True)
    exactune.train(config, assignments=assignments, resume_anyway=True)
    stored = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    assert (stored["training"]["early_stopping_patience"], stored["gate"]) == (5, {"macro_f1": 0.1})
    (resumed,) = read_json(run.env)["resumed"]
    assert (resumed["step"], len(resumed["changed"])) == (1, 3)


@pytest.mark.parametrize("package", COMPUTING)
def test_another_version_needs_a_word(cut: tuple[Path, Run], package: str) -> None:
    config, run = cut
    changed(run, "packages", {**read_json(run.env)["packages"], package: "0.0.1"})
    with pytest.raises(RunError, match=rf"another {package} \(0\.0\.1 -> .*--resume-anyway"):
        exactune.train(config, resume=True)


@pytest.mark.parametrize("key", ["exactune", "python", "platform", "device"])
def test_another_machine_needs_a_word(cut: tuple[Path, Run], key: str) -> None:
    config, run = cut
    changed(run, key, "another")
    with pytest.raises(RunError, match=rf"another {key} \(another -> .*--resume-anyway"):
        exactune.train(config, resume=True)
    assert exactune.train(config, resume_anyway=True).report.is_file()


@pytest.mark.parametrize(
    "assignment", ["training.learning_rate=1e-4", "seed=1", "lora.r=4", "max_seq_length=512", "evaluate.rows=5"]
)
def test_what_training_hangs_on_cannot_change(cut: tuple[Path, Run], assignment: str) -> None:
    config, _ = cut
    with pytest.raises(RunError, match="cannot be resumed"):
        exactune.train(config, assignments=[assignment], resume_anyway=True)


def test_other_token_ids_of_the_same_rows_are_noticed(cut: tuple[Path, Run]) -> None:
    config, run = cut
    data = read_json(run.data)
    data["tokens"]["sha256"] = "0" * 64
    write_json(run.data, data)
    with pytest.raises(RunError, match="another tokenization of the training rows, so it cannot"):
        exactune.train(config, resume_anyway=True)


def test_other_weights_of_the_base_are_noticed(cut: tuple[Path, Run]) -> None:
    config, run = cut
    model = read_json(run.env)["model"]
    changed(run, "model", {**model, "sha256": {"model.safetensors": "0" * 64}})
    with pytest.raises(RunError, match=r"another base model \(its weights or its config differ\), so it cannot"):
        exactune.train(config, resume_anyway=True)


def test_a_resumed_run_keeps_its_number_of_threads(cut: tuple[Path, Run]) -> None:
    config, run = cut
    before = torch.get_num_threads()
    changed(run, "threads", before + 1)
    try:
        exactune.train(config, resume=True)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def _hold(path: Path, held: Any, done: Any) -> None:
    with Run(path).locked():
        held.set()
        done.wait(60)


@pytest.mark.parametrize("options", [{"resume": True}, {"overwrite": True}])
def test_two_processes_do_not_share_a_folder(cut: tuple[Path, Run], options: dict[str, bool]) -> None:
    config, run = cut
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(run.path, held, done))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(RunError, match="another process is training there"):
            exactune.train(config, **options)
    finally:
        done.set()
        other.join()
    assert exactune.train(config, resume=True).report.is_file()


def test_a_lock_of_a_dead_process_holds_nobody_up(cut: tuple[Path, Run]) -> None:
    config, run = cut
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(run.path, held, done))
    other.start()
    assert held.wait(60)
    other.kill()
    other.join()
    assert exactune.train(config, resume=True).report.is_file()


def test_another_config_of_the_base_is_noticed(task: Callable[..., Path], tmp_path: Path) -> None:
    base, config = tiny.save_base(tmp_path / "own"), task()
    config.write_text(f"model: {base}\n" + config.read_text(encoding="utf-8").split("\n", 1)[1], encoding="utf-8")
    with pytest.raises(Interrupted):
        exactune.train(config, display=Stopping(1))
    values = read_json(base / "config.json")
    write_json(base / "config.json", {**values, "rms_norm_eps": 0.5})
    with pytest.raises(RunError, match="its weights or its config differ"):
        exactune.train(config, resume_anyway=True)


def test_a_base_that_is_a_pickle_is_not_loaded(task: Callable[..., Path], tmp_path: Path) -> None:
    base, config = tiny.save_base(tmp_path / "own"), task()
    torch.save(tiny.model().state_dict(), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        exactune.train(config, assignments=[f"model={base}"])


def test_no_pickle_is_read_or_written(task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle")

    for place, name in ((torch, "load"), (torch, "save"), (pickle, "load"), (pickle, "dump")):
        monkeypatch.setattr(place, name, refuse)
    config = task()
    with pytest.raises(Interrupted):
        exactune.train(config, display=Stopping(1))
    assert exactune.train(config, resume=True).report.is_file()


def test_a_stop_while_another_run_is_to_be_replaced_does_not_speak_of_that_one(
    task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task()
    exactune.train(config)
    monkeypatch.setattr("exactune.pipeline.load_base", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="before training began"):
        exactune.train(config, assignments=["seed=3"], overwrite=True)


@pytest.mark.parametrize("gone", ["train", "checkpoints", "adapter", "eval", "env.json", "config.yaml"])
def test_a_replacement_that_was_killed_can_be_done_again(task: Callable[..., Path], gone: str) -> None:
    config = task()
    exactune.train(config)
    order: list[str] = []

    class Killed(BaseException):
        pass

    def kill_at(entry: Path, *_: Any) -> None:
        order.append(entry.name)
        if entry.name == gone:
            raise Killed
        real_rmtree(entry) if entry.is_dir() else os.unlink(entry)

    real_rmtree = shutil.rmtree
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exactune.rundir.shutil.rmtree", kill_at)
        patch.setattr(Path, "unlink", kill_at)
        with pytest.raises(Killed):
            exactune.train(config, overwrite=True)
    assert order[0] == "train"
    assert exactune.train(config, overwrite=True).report.is_file()


def test_published_weights_that_are_gone_come_back_from_the_checkpoint(task: Callable[..., Path]) -> None:
    config = task()
    run = exactune.train(config)
    weights = run.adapter / "adapter_model.safetensors"
    best, last = read_json(best_file(run))["step"], max(line["step"] for line in read_jsonl(run.train_metrics))
    assert best == last
    before = weights.read_bytes()
    shutil.rmtree(run.adapter)
    exactune.train(config, resume=True)
    assert weights.read_bytes() == before


def test_a_run_that_is_only_scored_remembers_the_word_too(task: Callable[..., Path]) -> None:
    config = task()
    run = exactune.train(config)
    run.report.unlink()
    exactune.train(config, assignments=["gate.macro_f1=0.99"], resume_anyway=True)
    assert yaml.safe_load(run.config.read_text(encoding="utf-8"))["gate"] == {"macro_f1": 0.99}
    assert len(read_json(run.env)["resumed"]) == 1


def test_a_finished_run_is_finished_after_an_upgrade_too(task: Callable[..., Path]) -> None:
    config, lines = task(), []
    run = exactune.train(config)
    changed(run, "exactune", "0.0.1")
    exactune.train(config, resume=True, say=lines.append)
    assert "is finished" in lines[0]


def test_a_launch_without_a_launcher_is_refused(task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="not started by torchrun"):
        exactune.train(task())
