"""Fit: one training run from ready-made ids to the best weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import PreTrainedTokenizerBase

from exactune import ranks
from exactune.config import TrainingConfig
from exactune.durable import write_text
from exactune.errors import Interrupted
from exactune.language import say
from exactune.render.template import Encoded
from exactune.rundir import Run
from exactune.stop import StopRequest
from exactune.train.checkpoints import remembered
from exactune.train.judge import Best, Judge, TrainingOver
from exactune.train.methods import answer_trainer
from exactune.train.movement import Movement
from exactune.train.pace import Pace
from exactune.train.steps import Cutter
from exactune.train.watch import Watch

__all__ = ["Display", "Job", "fit"]


class Display(Protocol):
    """Where people see a run advance."""

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        """After every optimizer step."""

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        """After every evaluation."""


@dataclass(frozen=True)
class Job:
    """All that a run needs.

    Attributes:
        run: The run folder, already created.
        training: The resolved training block.
        metric: The metric that decides.
        model: With its trainable parameters.
        tokenizer: For padding.
        rows: Training rows as ids.
        names: Of these rows, for people.
        evaluate: Model and an ``advance`` callable (called with rows done; may raise) -> metrics, ``loss`` included.
        keep: Publishes the model given as the best so far.
        display: See :class:`Display`.
        stop: Set when the run was asked to stop.
        cutter: Makes forward passes of a step's rows.
        pace: Told of every step.
        compares_with_start: Whether the model is judged before the first step, too: what it is then has to be beaten.
    """

    run: Run
    training: TrainingConfig
    metric: str
    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    rows: Sequence[Encoded]
    names: Sequence[str]
    evaluate: Callable[[torch.nn.Module, Callable[[int], None]], Mapping[str, float]]
    keep: Callable[[torch.nn.Module], None]
    display: Display
    stop: StopRequest
    cutter: Cutter
    pace: Pace
    compares_with_start: bool = False


def fit(job: Job, checkpoint: Path | None = None) -> Best:
    """Train until the epochs are over or early stopping decides.

    Args:
        job: See :class:`Job`.
        checkpoint: Go on from there.

    Returns:
        The best evaluation; its weights have been published by ``job.keep``.

    Raises:
        Interrupted: A signal came; a checkpoint was saved.
        TrainingError: The numbers broke.
    """
    memory: dict[str, Any] = {"metrics": "", "watch": None} if checkpoint is None else remembered(checkpoint)
    # Lines of steps that will be trained again go, so that none stands twice.
    ranks.from_first(lambda: write_text(job.run.train_metrics, memory["metrics"]))
    judge = Judge(
        job.training,
        job.metric,
        lambda model: job.evaluate(model, job.stop.check),
        job.keep,
        job.run.train_metrics,
        job.stop,
        job.display.evaluated,
        Movement(job.model).figures,
        compares_with_start=job.compares_with_start,
    )
    part = job.training.per_device_train_batch_size * job.training.gradient_accumulation_steps
    watch = Watch(
        job.run.train_metrics, job.names, job.stop, job.display.step,
        rows_per_step=part * ranks.count(), logging_steps=job.training.logging_steps,
        save_steps=job.training.save_steps, memory=memory["watch"],
    )  # fmt: skip
    trainer = answer_trainer(
        job.model, job.tokenizer, job.rows, job.training, job.run.checkpoints, [watch, judge, job.pace], job.cutter
    )
    trainer.see = watch.see
    trainer.memory = lambda: _memory(job.run, watch)
    with job.stop.deferring(), contextlib.suppress(TrainingOver):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if job.stop.agreed():
        assert job.stop.signal_number is not None
        raise Interrupted(
            say(
                "Stopped at step {step} of {max_steps}; the checkpoint is saved. Go on with the same "
                "command and --resume.",
                step=trainer.state.global_step,
                max_steps=trainer.state.max_steps,
            ),
            job.stop.signal_number,
        )
    assert judge.best is not None
    return judge.best


def _memory(run: Run, watch: Watch) -> dict[str, Any]:
    """What a resumed run cannot find in the trainer's state."""
    metrics = run.train_metrics.read_text(encoding="utf-8") if run.train_metrics.exists() else ""
    return {"metrics": metrics, "watch": watch.state()}
