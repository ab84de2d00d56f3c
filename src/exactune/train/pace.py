"""How fast rows are trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["Pace"]


class Pace(TrainerCallback):
    """Measures optimizer steps, the making of their batches included; evaluations and checkpoints are left out.

    Args:
        rows_by: Step -> rows trained by then, over all ranks.

    Attributes:
        rows: Trained while this was watching.
        seconds: That they took.
    """

    def __init__(self, rows_by: Callable[[int], int]) -> None:
        self.rows_by = rows_by
        self.rows, self.seconds = 0, 0.0
        self.last = time.perf_counter()

    @property
    def rows_per_second(self) -> float | None:
        """None before the first step."""
        return self.rows / self.seconds if self.seconds else None

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """What came before was no training."""
        self.last = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count the step."""
        now = time.perf_counter()
        self.rows += self.rows_by(state.global_step) - self.rows_by(state.global_step - 1)
        self.seconds += now - self.last
        self.last = now

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """What came before was no training."""
        self.last = time.perf_counter()
