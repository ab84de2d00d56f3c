"""The judge: evaluates after each epoch, keeps the best, stops early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from exactune import ranks
from exactune.collapse import collapsed
from exactune.config import TrainingConfig
from exactune.errors import TrainingError
from exactune.language import say
from exactune.rundir import append_jsonl, read_jsonl
from exactune.stop import StopEvaluation, StopNow, StopRequest
from exactune.tasks import better

__all__ = ["Best", "Judge", "TrainingOver"]


@dataclass(frozen=True, slots=True)
class Best:
    """The best evaluation so far.

    Attributes:
        step: Optimizer step.
        epoch: Epochs trained by then.
        value: Of the metric that decides.
        loss: Eval loss; breaks ties.
    """

    step: int
    epoch: float
    value: float
    loss: float


class TrainingOver(Exception):
    """Raised at the start of a resumed training that has nothing left to do; it never leaves ``fit``."""


class Judge(TrainerCallback):
    """Evaluates at each epoch's end; writes the line, keeps the best weights, decides whether to go on.

    Its memory is the metrics file, so a resumed run goes on where the lines end. The first rank evaluates while the
    others wait: its figures are those of one process, and the published weights are scored in the very same batches.

    Args:
        training: Patience, metric and the range of epochs.
        metric: Name of the metric that decides (``loss`` is one).
        evaluate: Model -> metrics on the eval rows, ``loss`` included, and, as ``low`` and ``high``, the interval of
            the one that decides, where it has one; may raise :class:`StopEvaluation`.
        keep: Called with the model when it is the best so far.
        metrics_file: ``train/metrics.jsonl``.
        stop: Set when the run was asked to stop.
        show: Told of every evaluation: epoch, metrics, whether it is the best.
        movement: Model -> how far training has taken its weights, for the line.
        compares_with_start: Judge the model before the first step, too: what it is then has to be beaten, and training
            ends where it gets worse while the pairs get better (:func:`~exactune.collapse.collapsed`).
    """

    def __init__(
        self,
        training: TrainingConfig,
        metric: str,
        evaluate: Callable[[torch.nn.Module], Mapping[str, float]],
        keep: Callable[[torch.nn.Module], None],
        metrics_file: Path,
        stop: StopRequest,
        show: Callable[[float, Mapping[str, float], bool], None],
        movement: Callable[[torch.nn.Module], Mapping[str, float]],
        *,
        compares_with_start: bool = False,
    ) -> None:
        self.training, self.metric = training, metric
        self.evaluate, self.keep, self.stop, self.show, self.movement = evaluate, keep, stop, show, movement
        self.metrics_file, self.compares_with_start = metrics_file, compares_with_start
        self.best: Best | None = None
        self.unpublished = False
        self.stale = 0
        self.judged_step = -1
        for line in read_jsonl(metrics_file):
            if "eval" in line:
                self._note(line["step"], line["epoch"], line["eval"])

    def _note(self, step: int, epoch: float, metrics: Mapping[str, float]) -> bool:
        """Take an evaluation into account; whether it is the best so far."""
        value, loss = metrics[self.metric], metrics["loss"]
        # On few eval rows metrics tie often; then the lower loss is the better model.
        is_best = self.best is None or (
            loss < self.best.loss if value == self.best.value else better(self.metric, value, self.best.value)
        )
        self.judged_step = step
        self.stale = 0 if is_best else self.stale + 1
        if is_best:
            self.best = Best(step, epoch, value, loss)
        return is_best

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """At the start, judge what has to be beaten; on resume, make up for an evaluation that was interrupted, and do
        not train on what was over.

        Raises:
            TrainingOver: The steps are done, or early stopping had decided.
            StopNow: It was asked to stop before it was known what has to be beaten, so it begins here again.
        """
        if not state.global_step:
            if self.compares_with_start:
                self._judge(state, control, kwargs["model"])
                if self.judged_step < state.global_step:
                    raise StopNow
                # At once: by the next checkpoint the weights are others. Before it a killed run begins here again.
                self._publish(kwargs["model"])
            return
        steps_done = state.global_step >= state.max_steps
        # Within an epoch there is nothing to judge, and so nothing to decide.
        if steps_done or float(state.epoch or 0).is_integer():
            if self.judged_step < state.global_step:
                self._judge(state, control, kwargs["model"])
            self._decide(state, control)
        if self.best is not None and self.best.step == state.global_step:
            # The process may have died before it was published, or after a later one was.
            self.unpublished = True
            self._publish(kwargs["model"])
        if steps_done or control.should_training_stop:
            raise TrainingOver

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate, unless the run was asked to stop: it stops here then, so that the resumed run judges this epoch."""
        if self.stop.agreed():
            control.should_save = control.should_training_stop = True
        else:
            self._judge(state, control, kwargs["model"])

    def _judge(self, state: TrainerState, control: TrainerControl, model: torch.nn.Module) -> None:
        epoch = float(state.epoch or 0)
        metrics = ranks.from_first(lambda: self._evaluated(model))
        if metrics is None:
            control.should_save = control.should_training_stop = True
            return
        if not math.isfinite(metrics["loss"]):
            raise TrainingError(
                say(
                    "step {step}: the eval loss is {loss}; nothing of it is kept. Lower "
                    "training.learning_rate, or raise training.warmup_ratio.",
                    step=state.global_step,
                    loss=metrics["loss"],
                )
            )
        is_best = self._note(state.global_step, epoch, metrics)
        self.unpublished |= is_best
        line = {"step": state.global_step, "epoch": epoch, "time": time.time(), **self.movement(model)}
        ends = {end: metrics[end] for end in ("low", "high") if end in metrics}
        if ranks.is_first():
            # Beside the metrics, not among them.
            figures = {name: value for name, value in metrics.items() if name not in ends}
            append_jsonl(self.metrics_file, {**line, "eval": figures, **({"interval": ends} if ends else {})})
        self.show(epoch, metrics, is_best)
        self._decide(state, control)

    def _evaluated(self, model: torch.nn.Module) -> dict[str, float] | None:
        """Metrics, or nothing if it was asked to stop."""
        try:
            return dict(self.evaluate(model))
        except StopEvaluation:
            return None

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Publish the best once its checkpoint is there: a resumed run must never find weights from its future."""
        self._publish(kwargs["model"])

    def _publish(self, model: torch.nn.Module) -> None:
        if self.unpublished and ranks.is_first():
            self.keep(model)
        self.unpublished = False

    def _decide(self, state: TrainerState, control: TrainerControl) -> None:
        past_minimum = float(state.epoch or 0) >= self.training.num_epochs.minimum - 1e-6
        if past_minimum and self.stale >= self.training.early_stopping_patience:
            control.should_training_stop = True
        # Whatever the minimum: every further step would make it worse.
        if self.compares_with_start and ranks.from_first(lambda: collapsed(read_jsonl(self.metrics_file), self.metric)):
            control.should_training_stop = True
