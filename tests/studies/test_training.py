"""``sft+dpo`` in one command: the runs that it leaves, what each was trained on, and where it goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import exactune
from exactune.config import MineConfig
from exactune.errors import ConfigError, Interrupted, RunError
from exactune.plan import config_source, make_plan
from exactune.rundir import Run, read_json, read_jsonl
from exactune.studies import training
from exactune.studies.mine import Mined
from exactune.studies.training import first_of_two, second_of_two

from made import write_task

BOTH = """
training: {method: sft+dpo, num_epochs: 2, learning_rate: 1e-3, logging_steps: 2}
dpo: {num_epochs: 1, learning_rate: 2e-3, beta: 0.2}
lora: {r: 4, lora_alpha: 8}
mine: {folds: 2}
evaluate: {baselines: majority, train_rows: 0}
"""


def task(folder: Path, base: Path, text: str = BOTH) -> Path:
    return write_task(folder, base, text)


@pytest.fixture(scope="module")
def done(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    """The finished run, and the lines it said."""
    folder = tmp_path_factory.mktemp("both")
    lines: list[str] = []
    return exactune.train(task(folder, base), output=str(folder / "run"), say=lines.append), lines


def test_one_command_leaves_both_runs_and_the_pairs_between_them(done: tuple[Run, list[str]]) -> None:
    run, lines = done
    first = run.path.with_name("run-sft")
    assert [line.partition(":")[0] for line in lines if line.startswith("step")] == [
        "step    1 of 3", "step    2 of 3", "step    3 of 3",
    ]  # fmt: skip
    assert read_json(Run(first).artifact / "exactune.json")["method"] == "sft"
    card = read_json(run.artifact / "exactune.json")
    assert card["method"] == "dpo"
    assert [one["method"] for one in card["parents"]] == ["sft"]
    assert lines[-1].startswith(("verdict better than", "verdict worse than", "verdict not better than"))
    assert str(first) in lines[-1]


def test_the_second_learns_from_the_mistakes_of_the_first_alone(done: tuple[Run, list[str]]) -> None:
    run, _ = done
    pairs = [*read_jsonl(run.path.with_name("run-sft") / "mine" / "pairs.jsonl")]
    assert all(line["chosen"] != line["rejected"] for line in pairs)
    reference = [*read_jsonl(run.path / "train" / "reference.jsonl")]
    assert len(reference) == len(pairs) > 0
    assert read_json(run.data)["files"][0]["path"].endswith("pairs.jsonl")
    # Scored on the rows that the first one was scored on.
    theirs = [line["id"] for line in read_jsonl(run.path.with_name("run-sft") / "eval" / "predictions.jsonl")]
    assert [line["id"] for line in read_jsonl(run.path / "eval" / "predictions.jsonl")] == theirs


def test_each_is_trained_by_its_own_block(base: Path, done: tuple[Run, list[str]]) -> None:
    run, _ = done
    source = config_source(run.path.parent / "task.yaml")
    first = Run(run.path.with_name("run-sft"))
    before = make_plan(first_of_two(source)).config
    after = make_plan(second_of_two(source, first, first.mine / "pairs.jsonl")).config
    assert (before.training.method, before.training.num_epochs.maximum, before.training.learning_rate) == (
        "sft",
        2,
        1e-3,
    )
    assert (after.training.method, after.training.num_epochs.maximum, after.training.learning_rate) == ("dpo", 1, 2e-3)
    assert after.dpo.beta == 0.2
    assert after.lora is not None
    assert after.lora.r == 4
    assert after.training.logging_steps == before.training.logging_steps == 2


def test_a_bare_name_of_both_blocks_is_the_training_block(base: Path, tmp_path: Path) -> None:
    source = config_source(task(tmp_path, base), assignments=["learning_rate=5e-3", "num_epochs=7"])
    config = source.resolved.config
    assert (config.training.learning_rate, config.training.num_epochs.maximum) == (5e-3, 7)
    assert (config.dpo.learning_rate, config.dpo.num_epochs) == (2e-3, source.resolved.config.dpo.num_epochs)


class Stopping:
    """Asks the process to stop at the first step that is made while a folder is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        if self.folder.is_dir():
            os.kill(os.getpid(), signal.SIGTERM)

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        pass


def test_stopped_anywhere_it_goes_on_to_the_same_weights(
    base: Path, done: tuple[Run, list[str]], tmp_path: Path
) -> None:
    run, _ = done
    file, output = task(tmp_path, base), str(tmp_path / "run")
    for resume, folder in enumerate(("run-sft", "run-sft/mine/fold-2-of-2", "run")):
        with pytest.raises(Interrupted):
            exactune.train(file, output=output, resume=bool(resume), display=Stopping(tmp_path / folder))
        assert (tmp_path / folder / "checkpoints").is_dir()
    exactune.train(file, output=output, resume=True)
    found, whole = (load_file(path / "adapter" / "adapter_model.safetensors") for path in (Path(output), run.path))
    assert found.keys() == whole.keys()
    assert all(found[name].equal(whole[name]) for name in whole)


def test_a_finished_run_is_not_replaced_unasked(done: tuple[Run, list[str]]) -> None:
    run, _ = done
    with pytest.raises(RunError, match="run-sft"):
        exactune.train(run.path.parent / "task.yaml", output=str(run.path))


def test_what_it_learned_from_is_not_mined_anew(done: tuple[Run, list[str]]) -> None:
    """Other settings of `mine` come too late for a run that has begun, and must not take its training file away."""
    run, _ = done
    pairs = run.path.with_name("run-sft") / "mine" / "pairs.jsonl"
    before = pairs.read_bytes()
    again = ["mine.max_pairs=2"]
    exactune.train(run.path.parent / "task.yaml", assignments=again, output=str(run.path), resume=True)
    assert pairs.read_bytes() == before
    assert before.count(b"\n") > 2


def test_where_no_mistake_makes_a_pair_the_first_run_is_kept(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tiny random model errs; that one which does not is answered for here.
    asked: list[int | None] = []

    def nothing(run: Run, *, settings: MineConfig, **options: Any) -> Mined:
        asked.append(settings.max_pairs)
        return Mined(run, run.mine / "pairs.jsonl", 0, {})

    monkeypatch.setattr(training, "mine", nothing)
    lines: list[str] = []
    kept = exactune.train(task(tmp_path, base), output=str(tmp_path / "run"), say=lines.append)
    assert kept.path == tmp_path / "run-sft"
    assert not (tmp_path / "run").exists()
    assert lines[-1].startswith("step    3 of 3: no mistake makes a pair")
    exactune.train(tmp_path / "task.yaml", assignments=["mine.max_pairs=3"], output=str(tmp_path / "run"), resume=True)
    assert asked == [None, 3]


def test_several_processes_and_the_loop_refuse_it(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = task(tmp_path, base)
    with pytest.raises(ConfigError, match=r"sft\+dpo"):
        make_plan(config_source(file))
    monkeypatch.setattr(training.ranks, "count", lambda: 2)
    with pytest.raises(ConfigError, match="this launch has 2"):
        exactune.train(file, output=str(tmp_path / "run"))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
