"""Fit: one training run from ready-made ids to the best weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import PreTrainedTokenizerBase

from exactune.config import TrainingConfig
from exactune.errors import Interrupted
from exactune.language import say
from exactune.render.template import Encoded
from exactune.rundir import Run, read_jsonl, write_jsonl
from exactune.train.checkpoints import CheckpointFolder, latest_checkpoint, step_of
from exactune.train.judge import Best, Judge, TrainingOver
from exactune.train.methods import sft_trainer
from exactune.train.stop import listening
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
        evaluate: Model and an ``advance`` callable (called with rows done; may raise) -> metrics, ``loss`` included.
        keep: Publishes the model given as the best so far.
        display: See :class:`Display`.
    """

    run: Run
    training: TrainingConfig
    metric: str
    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    rows: Sequence[Encoded]
    evaluate: Callable[[torch.nn.Module, Callable[[int], None]], Mapping[str, float]]
    keep: Callable[[torch.nn.Module], None]
    display: Display


def fit(job: Job, *, resume: bool = False) -> Best:
    """Train until the epochs are over or early stopping decides.

    Args:
        job: See :class:`Job`.
        resume: Go on from the newest checkpoint; without one, start at the beginning.

    Returns:
        The best evaluation; its weights have been published by ``job.keep``.

    Raises:
        Interrupted: A signal came; a checkpoint was saved.
        TrainingError: The numbers broke.
    """
    checkpoint = latest_checkpoint(job.run.checkpoints) if resume else None
    _forget_after(job.run, 0 if checkpoint is None else step_of(checkpoint))
    with listening() as stop:
        judge = Judge(
            job.training,
            job.metric,
            lambda model: job.evaluate(model, stop.check),
            job.keep,
            job.run.train_metrics,
            stop,
            job.display.evaluated,
        )
        watch = Watch(job.run.train_metrics, len(job.rows), stop, job.display.step)
        callbacks = [watch, judge, CheckpointFolder()]
        trainer = sft_trainer(job.model, job.tokenizer, job.rows, job.training, job.run.checkpoints, callbacks)
        with contextlib.suppress(TrainingOver):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if stop.signal_number is not None:
            step = trainer.state.global_step
            raise Interrupted(
                say(
                    "Stopped at step {step} of {max_steps}; the checkpoint is saved. Go on with the same "
                    "command and --resume.",
                    step=step,
                    max_steps=trainer.state.max_steps,
                ),
                stop.signal_number,
            )
    assert judge.best is not None
    return judge.best


def _forget_after(run: Run, step: int) -> None:
    """Drop the lines of steps that will be trained again, so that none stands twice."""
    lines = [line for line in read_jsonl(run.train_metrics) if line["step"] <= step and step]
    if run.train_metrics.exists():
        write_jsonl(run.train_metrics, lines)
