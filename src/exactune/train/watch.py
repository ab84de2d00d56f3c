"""What is watched at every step: the metrics file, broken numbers, dead adapters, requests to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from exactune.errors import TrainingError
from exactune.language import say
from exactune.rundir import append_jsonl
from exactune.train.stop import StopRequest

__all__ = ["Watch"]

LOGGED = ("loss", "learning_rate", "grad_norm")
LIVENESS_STEP = 5
"""By then warm-up has left zero, and an adapter that has a gradient has moved."""


class Watch(TrainerCallback):
    """Writes one line per logged step and stops a run that computes nothing sensible.

    Args:
        metrics_file: ``train/metrics.jsonl``.
        rows: Training rows per epoch.
        stop: Set when the run was asked to stop.
        show: Told of every step: step, number of steps, the newest logged values.
    """

    def __init__(
        self,
        metrics_file: Path,
        rows: int,
        stop: StopRequest,
        show: Callable[[int, int, Mapping[str, float]], None],
    ) -> None:
        self.metrics_file, self.rows, self.stop, self.show = metrics_file, rows, stop, show
        self.newest: dict[str, float] = {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write a line.

        Raises:
            TrainingError: The loss or the gradient is not finite.
        """
        if logs is None or "loss" not in logs:
            return
        self.newest = {name: float(logs[name]) for name in LOGGED if name in logs}
        for name, value in self.newest.items():
            if not math.isfinite(value):
                raise TrainingError(
                    say(
                        "step {step}: {name} is {value}. The last checkpoint is from before. Lower "
                        "training.learning_rate, or raise training.warmup_ratio.",
                        step=state.global_step,
                        name=name,
                        value=value,
                    )
                )
        epoch = float(state.epoch or 0)
        line = {"step": state.global_step, "epoch": epoch, "rows": round(epoch * self.rows), "time": time.time()}
        append_jsonl(self.metrics_file, {**line, **self.newest})

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop if asked to; check once that every adapter has moved."""
        self.show(state.global_step, state.max_steps, self.newest)
        if state.global_step == min(LIVENESS_STEP, state.max_steps):
            refuse_dead_adapters(kwargs["model"])
        if self.stop:
            control.should_save = control.should_training_stop = True


def refuse_dead_adapters(model: torch.nn.Module) -> None:
    """Stop a run in which part of the adapter gets no gradient.

    ``lora_B`` starts at zero, so one that is still zero has never been updated.

    Raises:
        TrainingError: Naming the first such tensors.
    """
    dead = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and "lora_B" in name and not bool(parameter.detach().any())
    ]
    if dead:
        raise TrainingError(
            say(
                "{dead} adapter tensors have not moved in the first steps, first {first}: they get no "
                "gradient. Name layers that the model uses in lora.target_modules.",
                dead=len(dead),
                first=dead[0],
            )
        )
