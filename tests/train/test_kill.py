"""A killed run resumes to the same weights. ``make soak`` does this many more times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from exactune.rundir import Run

import killing
from killing import Ended, Moment


@pytest.fixture(scope="module", params=["lora", "full"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended, Run]:
    """A config and an undisturbed run of it."""
    config = killing.make_task(tmp_path_factory.mktemp(request.param), request.param)
    run = Run(config.parent / "whole")
    return config, killing.train(config, run.path), run


@pytest.mark.parametrize("moment", get_args(Moment))
def test_killed_once(whole: tuple[Path, Ended, Run], moment: Moment, tmp_path: Path) -> None:
    config, undisturbed, run = whole
    number = killing.draw(Random(f"{moment} {config.parent.name}"), moment, undisturbed)
    folder, ended = tmp_path / "run", killing.train(config, tmp_path / "run", moment, number)
    while moment == "any" and not ended.killed:
        # The machine is faster than it was, so the run was over by then.
        number /= 2
        folder = tmp_path / f"run-{number}"
        ended = killing.train(config, folder, moment, number)
    assert ended.killed
    assert not killing.train(config, folder).killed
    assert killing.result(Run(folder)) == killing.result(run)


def test_killed_five_times(whole: tuple[Path, Ended, Run], tmp_path: Path) -> None:
    config, undisturbed, run = whole
    random = Random(5)
    for _ in range(5):
        number = killing.draw(random, "saving", undisturbed, 0.15)
        assert killing.train(config, tmp_path / "run", "saving", number).killed
    assert not killing.train(config, tmp_path / "run").killed
    assert killing.result(Run(tmp_path / "run")) == killing.result(run)


@pytest.mark.parametrize(
    ("phase", "number", "advice"),
    [
        ("loading", 1, "Start again with the same command"),
        ("step", 1, "Stopped at step 1 of"),
        ("step", 8, "Stopped at step 8 of"),
        ("saving", 50, "the checkpoint is saved"),
        ("evaluation", 9, "the checkpoint is saved"),
        ("report", 1, "Stopped after training. The same command with --resume"),
    ],
)
def test_a_signal_ends_any_phase_within_a_step_and_a_save(
    whole: tuple[Path, Ended, Run], phase: str, number: int, advice: str, tmp_path: Path
) -> None:
    config, _, run = whole
    sent = signal.SIGINT if config.parent.name.startswith("lora") else signal.SIGTERM
    cut = Run(tmp_path / "run")
    ended = killing.train(config, cut.path, phase, number, sent)
    assert ended.code == 128 + sent
    assert advice in " ".join(ended.message.split())
    assert "Traceback" not in ended.message
    assert not [*cut.path.rglob(".*.tmp")]
    assert killing.train(config, cut.path).code == 0
    assert killing.result(cut) == killing.result(run)


def test_two_fresh_processes_give_identical_files(task: Callable[..., Path], tmp_path: Path) -> None:
    config = task("lora: {lora_dropout: 0.1}\n")
    artifacts = []
    for seed in ("1", "2"):
        run = Run(tmp_path / f"run{seed}")
        subprocess.run(
            [sys.executable, "-c", "from exactune.cli import main; main()", "train", str(config), "--output", run.path],
            env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True,
        )  # fmt: skip
        artifacts.append({file.name: file.read_bytes() for file in run.adapter.iterdir()})
    assert artifacts[0] == artifacts[1]
