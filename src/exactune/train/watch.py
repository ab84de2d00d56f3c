"""What is watched at every step: the metrics file, broken numbers, tensors that do not learn, requests to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from exactune import ranks
from exactune.errors import TrainingError
from exactune.language import say
from exactune.rundir import append_jsonl
from exactune.stop import StopRequest
from exactune.train.movement import trained
from exactune.train.steps import Figures, rows_by

__all__ = ["Watch"]

LOGGED = ("loss", "learning_rate", "grad_norm")
LIVENESS_STEP = 5
"""By then warm-up has left zero, ``lora_B`` has moved, and so ``lora_A`` has had a gradient."""
FIRST_OF_LORA_A = 3
NAMED_ROWS = 5
SAVE_SECONDS = 600.0
"""A run is never further from its last checkpoint than this and one step."""


class Watch(TrainerCallback):
    """Writes the metrics file, asks for checkpoints, and stops a run that computes nothing sensible.

    The trainer must log at every step; a line is written for every ``logging_steps`` of them. Its loss and its figures
    are means since the line before; under several processes the figures are of the first one's rows.

    Args:
        metrics_file: ``train/metrics.jsonl``.
        names: Names of the training rows, in the order of the data set.
        stop: Set when the run was asked to stop.
        show: Told of every step: step, number of steps, the newest logged values.
        rows_per_step: Training rows of an optimizer step over all ranks; the last one of an epoch may have fewer.
        logging_steps: Steps to a line; its loss is their mean.
        save_steps: Steps between checkpoints besides those at the end of each epoch; None leaves it to the clock.
        memory: :meth:`state` of the run that is gone on with.
    """

    def __init__(
        self,
        metrics_file: Path,
        names: Sequence[str],
        stop: StopRequest,
        show: Callable[[int, int, Mapping[str, float]], None],
        *,
        rows_per_step: int,
        logging_steps: int,
        save_steps: int | None = None,
        memory: Mapping[str, Any] | None = None,
    ) -> None:
        self.metrics_file, self.names, self.stop, self.show = metrics_file, names, stop, show
        self.rows_per_step, self.logging_steps, self.save_steps = rows_per_step, logging_steps, save_steps
        memory = memory or {"losses": [], "without_gradient": None}
        self.losses: list[float] = list(memory["losses"])
        # Checkpoints of before there were such figures have none.
        self.figures: dict[str, list[float]] = {name: [*sums] for name, sums in memory.get("figures", {}).items()}
        self.newest: dict[str, float] = {}
        self.batches: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.stepped: list[torch.Tensor] = []
        names_without = memory["without_gradient"]
        self.without_gradient: set[str] | None = None if names_without is None else set(names_without)
        self.saved_at = time.monotonic()

    def state(self) -> dict[str, Any]:
        """What a resumed run goes on with, as JSON: what belongs to the next line, tensors without gradient so far."""
        without = self.without_gradient
        return {
            "losses": list(self.losses),
            "figures": {name: [*sums] for name, sums in self.figures.items()},
            "without_gradient": None if without is None else sorted(without),
        }

    def see(self, rows: torch.Tensor, loss: torch.Tensor, figures: Figures) -> None:
        """Told of every forward pass: positions of its rows in the data set (int64 ``[batch]``), its loss, figures."""
        self.batches.append((rows, loss.detach()))
        for name, values in figures.items():
            sums = self.figures.setdefault(name, [0.0, 0])
            sums[0] += float(values.sum())
            sums[1] += len(values)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Before a step changes any weight.

        Raises:
            TrainingError: A loss or a gradient is not finite; names the rows.
        """
        step, batches = state.global_step + 1, self.batches
        self.batches, self.stepped = [], [rows for rows, _ in batches]
        broken = [rows for rows, loss in batches if not math.isfinite(float(loss))]
        # Each rank sees its own rows; the gradients are those of all.
        if ranks.highest(len(broken)):
            raise self._broken(step, say("the loss"), broken)
        tensors = dict(trained(kwargs["model"]))
        gradients = [tensor.grad for tensor in tensors.values() if tensor.grad is not None]
        if not torch.nn.utils.get_total_norm(gradients).isfinite():
            raise self._broken(step, say("a gradient"), self.stepped)
        if step <= LIVENESS_STEP:
            self._note_gradients(tensors)

    def _note_gradients(self, tensors: Mapping[str, torch.nn.Parameter]) -> None:
        if self.without_gradient is None:
            self.without_gradient = set(tensors)
        self.without_gradient -= {
            name for name in self.without_gradient if (grad := tensors[name].grad) is not None and bool(grad.any())
        }

    def _refuse_dead(self, steps: int) -> None:
        # lora_A gets none before lora_B has left zero, which takes a step, or two where warm-up begins at zero.
        excused = "lora_A" if steps < FIRST_OF_LORA_A else None
        dead = [name for name in self.without_gradient or () if excused is None or excused not in name]
        if dead:
            raise _dead(dead)

    def _broken(self, step: int, what: str, rows: Iterable[torch.Tensor]) -> TrainingError:
        mine = [position for part in rows for position in part.tolist()]
        named = [self.names[position] for part in ranks.gathered(mine) for position in part]
        return TrainingError(
            say(
                "step {step}: {what} is not a finite number, in a forward pass over {rows}. Nothing of it is saved. "
                "Look at these rows; else lower training.learning_rate, or raise "
                "training.warmup_ratio.",
                step=step,
                what=what,
                rows=", ".join(named[:NAMED_ROWS]) + (" …" if len(named) > NAMED_ROWS else ""),
            )
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """After a step: stop if asked to or if it broke the weights; ask for a checkpoint where one is due.

        Raises:
            TrainingError: A weight is not finite, or a tensor has had no gradient so far.
        """
        self.show(state.global_step, state.max_steps, self.newest)
        refuse_broken_weights(kwargs["model"], state.global_step)
        if state.global_step == min(LIVENESS_STEP, state.max_steps):
            self._refuse_dead(state.max_steps)
        due = state.global_step % self.save_steps == 0 if self.save_steps else bool(ranks.highest(self._long_ago()))
        # The end of an epoch saves anyway, after its evaluation.
        control.should_save |= due and not float(state.epoch or 0.5).is_integer()
        if self.stop.agreed():
            control.should_save = control.should_training_stop = True

    def _long_ago(self) -> bool:
        return time.monotonic() - self.saved_at > SAVE_SECONDS

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Start the clock again."""
        self.saved_at = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take note of a step; write a line where one is due.

        Raises:
            TrainingError: The gradient's norm is not finite, though its numbers are: clipped by it, they were zero.
        """
        # The trainer's own history would grow with every step, and with it every checkpoint.
        state.log_history.clear()
        if logs is None or "loss" not in logs:
            return
        self.newest = {name: float(logs[name]) for name in LOGGED if name in logs}
        if not math.isfinite(self.newest.get("grad_norm", 0.0)):
            raise self._broken(state.global_step, say("a gradient"), self.stepped)
        self.losses.append(self.newest["loss"])
        if state.global_step % self.logging_steps:
            return
        epoch = float(state.epoch or 0)
        rows = rows_by(state.global_step, len(self.names), self.rows_per_step)
        line = {"step": state.global_step, "epoch": epoch, "rows": rows, "time": time.time()}
        if ranks.is_first():
            means = {name: total / count for name, (total, count) in self.figures.items() if count}
            append_jsonl(
                self.metrics_file, {**line, **self.newest, "loss": sum(self.losses) / len(self.losses), **means}
            )
        self.losses.clear()
        self.figures.clear()


def refuse_broken_weights(model: torch.nn.Module, step: int) -> None:
    """Stop before such weights are saved or judged.

    Raises:
        TrainingError: Naming the first tensor with a number that is not finite.
    """
    if torch.nn.utils.get_total_norm([tensor.detach() for _, tensor in trained(model)]).isfinite():
        return
    broken = [name for name, tensor in trained(model) if not bool(tensor.isfinite().all())]
    if broken:
        raise TrainingError(
            say(
                "step {step}: {count} trained tensors hold numbers that are not finite, first {first}. No checkpoint "
                "has them. Lower training.learning_rate, or raise training.warmup_ratio.",
                step=step,
                count=len(broken),
                first=broken[0],
            )
        )


def _dead(names: Iterable[str]) -> TrainingError:
    dead = sorted(names)
    return TrainingError(
        say(
            "{dead} of the trained tensors have got no gradient in the first steps, first {first}: nothing reaches "
            "them. Name layers that the model uses in lora.target_modules.",
            dead=len(dead),
            first=dead[0],
        )
    )
