"""What the judge decides, and when, also across interruptions; the evaluations are scripted."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_watch import rows

from exactune.config import LoraSettings, TrainingConfig
from exactune.errors import Interrupted
from exactune.rundir import Run, read_jsonl
from exactune.stop import StopNow, listening
from exactune.train.adapter import make_trainable
from exactune.train.checkpoints import newest_checkpoint, step_of
from exactune.train.fit import Job, fit
from exactune.train.judge import Best
from exactune.train.pace import Pace
from exactune.train.steps import padded

import tiny

PER_EPOCH = 8


class Killed(BaseException):
    pass


def train(
    folder: Path,
    losses: Sequence[float],
    *,
    resume: bool = False,
    stop_at: int | None = None,
    kill_at: Callable[[str, int], bool] = lambda event, step: False,
    compares_with_start: bool = False,
    **values: Any,
) -> tuple[Best, list[int]]:
    """A run of eight steps per epoch whose evaluation after epoch n gives ``losses[n - 1]``; the last is of the start.

    Returns:
        The best, and the steps whose weights were published, in order.
    """
    run, published = Run(folder), []
    checkpoint = newest_checkpoint(run.checkpoints)[0] if resume else None
    step_now = 0 if checkpoint is None else step_of(checkpoint)

    class Shown:
        def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
            nonlocal step_now
            step_now = step
            if step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            if kill_at("step", step):
                raise Killed

        def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
            if kill_at("evaluated", step_now):
                raise Killed

    def evaluate(_: object, advance: Callable[[int], None]) -> Mapping[str, float]:
        if stop_at == step_now == 0:
            os.kill(os.getpid(), signal.SIGINT)
            advance(1)
        return {"loss": losses[round(step_now / PER_EPOCH) - 1]}

    training = TrainingConfig(**{
        "learning_rate": 1e-3, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 2,
        "metric_for_best": "loss", "logging_steps": 3, **values,
    })  # fmt: skip
    encoded = rows(16)
    with listening() as stop:
        job = Job(
            run=run, training=training, metric="loss", model=make_trainable(tiny.model(), LoraSettings(r=2), 0),
            tokenizer=tiny.byte_bpe(), rows=encoded, names=[row.id for row in encoded],
            evaluate=evaluate, keep=lambda _: published.append(step_now), display=Shown(), stop=stop, cutter=padded(1),
            pace=Pace(lambda step: 2 * step), compares_with_start=compares_with_start,
        )  # fmt: skip
        return fit(job, checkpoint), published


def judged(folder: Path) -> list[int]:
    return [line["step"] for line in read_jsonl(Run(folder).train_metrics) if "eval" in line]


SCRIPT = {"num_epochs": "2.5-4", "early_stopping_patience": 1, "save_steps": 3}


def test_a_resumed_run_decides_only_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    losses = [1.0, 1.1, 0.5, 0.4]
    best, _ = train(tmp_path / "whole", losses, **SCRIPT)
    assert (best.step, judged(tmp_path / "whole")) == (32, [8, 16, 24, 32])
    # Past the minimum of epochs, with nothing better for as long as patience lasts, but between two evaluations.
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", losses, stop_at=22, **SCRIPT)
    resumed, _ = train(tmp_path / "cut", losses, resume=True, **SCRIPT)
    assert (resumed.step, judged(tmp_path / "cut")) == (best.step, judged(tmp_path / "whole"))


def test_patience_ends_a_run_and_a_resumed_one_as_well(tmp_path: Path) -> None:
    losses = [0.5, 1.0, 1.1, 0.1]
    values = {"num_epochs": "1-4", "early_stopping_patience": 2}
    best, published = train(tmp_path / "whole", losses, **values)
    assert (best.step, published, judged(tmp_path / "whole")) == (8, [8], [8, 16, 24])
    again, published = train(tmp_path / "whole", losses, resume=True, **values)
    assert (again, published, judged(tmp_path / "whole")) == (best, [], [8, 16, 24])


def test_nothing_is_published_before_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path, [1.0, 0.5], num_epochs=2, kill_at=lambda event, step: (event, step) == ("evaluated", 16))
    checkpoint, _ = newest_checkpoint(Run(tmp_path).checkpoints)
    assert checkpoint is not None
    assert step_of(checkpoint) == 8
    # Where sums come out otherwise, the second epoch may be the worse one this time.
    best, published = train(tmp_path, [1.0, 1.5], resume=True, num_epochs=2)
    assert (best.step, published) == (8, [8]), "the weights of the best, which the dead process may have replaced"


def test_what_has_to_be_beaten_is_known_before_the_first_step(tmp_path: Path) -> None:
    losses = [1.5, 1.2, 1.0]
    with pytest.raises(StopNow):
        train(tmp_path, losses, num_epochs=2, compares_with_start=True, stop_at=0)
    assert newest_checkpoint(Run(tmp_path).checkpoints)[0] is None
    best, published = train(tmp_path, losses, num_epochs=2, compares_with_start=True, resume=True)
    assert (best.step, published, judged(tmp_path)) == (0, [0], [0, 8, 16])


def saves(folder: Path, monkeypatch: pytest.MonkeyPatch, **values: Any) -> list[int]:
    from exactune.train import checkpoints

    found: list[int] = []
    real = checkpoints.sealed_dir
    monkeypatch.setattr(checkpoints, "sealed_dir", lambda path: found.append(step_of(path)) or real(path))
    with contextlib.suppress(Interrupted):
        train(folder, [1.0, 0.5], num_epochs=2, **values)
    return found


def test_no_checkpoint_is_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saves(tmp_path / "a", monkeypatch, save_steps=4) == [4, 8, 12, 16]
    assert saves(tmp_path / "b", monkeypatch, save_steps=4, stop_at=6) == [4, 6]
    assert saves(tmp_path / "c", monkeypatch, stop_at=8) == [8]


def test_a_checkpoint_that_was_about_to_be_replaced_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, [1.0, 0.5], num_epochs=2, stop_at=5)
    folder = Run(tmp_path).checkpoints
    (folder / "step-000005").rename(folder / ".step-000005.old")
    assert newest_checkpoint(folder) == (folder / "step-000005", [])


def test_a_second_signal_insists(tmp_path: Path) -> None:
    def twice(event: str, step: int) -> bool:
        if (event, step) == ("step", 5):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return False

    with pytest.raises(StopNow):
        train(tmp_path, [1.0, 0.5], num_epochs=2, save_steps=4, kill_at=twice)
    checkpoint, _ = newest_checkpoint(Run(tmp_path).checkpoints)
    assert checkpoint is not None
    assert step_of(checkpoint) == 4
