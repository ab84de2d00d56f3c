"""Checkpoints: ``checkpoints/step-NNNNNN``, complete or absent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["CheckpointFolder", "latest_checkpoint"]

KEEP = 2


class CheckpointFolder(TrainerCallback):
    """Gives a checkpoint its name once the trainer has written all of it, then drops the oldest."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Rename ``checkpoint-N``, the trainer's staging name, to ``step-NNNNNN``."""
        folder = Path(args.output_dir)
        target = folder / f"step-{state.global_step:06d}"
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder / f"checkpoint-{state.global_step}", target)
        for old in _complete(folder)[:-KEEP]:
            shutil.rmtree(old)


def _complete(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), key=step_of)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, and the folder cleared of what a killed run left half-written."""
    for staged in folder.glob("checkpoint-*"):
        shutil.rmtree(staged)
    return (_complete(folder) or [None])[-1]  # type: ignore[list-item]


def step_of(checkpoint: Path) -> int:
    """The optimizer step a checkpoint was taken after."""
    return int(checkpoint.name.removeprefix("step-"))
