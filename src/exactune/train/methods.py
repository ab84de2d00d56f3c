"""Training methods as TRL trainers. The only file that imports trl."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import SFTConfig, SFTTrainer

from exactune.config import TrainingConfig
from exactune.errors import ConfigError, MissingExtra
from exactune.language import say
from exactune.render.batch import answer_nll, collate
from exactune.render.template import IGNORED, Encoded
from exactune.train.checkpoints import Checkpoints

__all__ = ["AnswerTrainer", "refuse_unknown_trackers", "sft_trainer"]


class AnswerTrainer(Checkpoints, SFTTrainer):
    """TRL's trainer with our checkpoints, and with the loss made at labelled positions only.

    Off CUDA, TRL's own loss scores every position. ``tests/train`` holds the two to the same trajectory.

    Attributes:
        see: Told of every forward pass: positions of its rows in the data set (int64 ``[batch]``) and its loss.
    """

    see: Callable[[torch.Tensor, torch.Tensor], None] = staticmethod(lambda rows, loss: None)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean loss per labelled token of the optimizer step, whatever its forward passes."""
        if return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        rows = inputs.pop("row")
        total = answer_nll(model, inputs)
        self.see(rows, total)
        if num_items_in_batch is None:
            return total / (inputs["labels"] != IGNORED).sum()
        # The count is over all ranks, and their gradients are averaged afterwards.
        return total / num_items_in_batch * self.accelerator.num_processes


def _collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    batch = collate([row["input_ids"] for row in rows], [row["labels"] for row in rows])
    return {**batch, "row": torch.tensor([row["row"] for row in rows])}


def refuse_unknown_trackers(names: Sequence[str]) -> None:
    """Say early that a tracker is unknown or not installed.

    Raises:
        ConfigError: transformers has no such tracker.
        MissingExtra: Its package is not installed.
    """
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise ConfigError(
                say("`training.report_to`: no tracker is called {name!r}. Known: {known}.", name=name, known=known)
            )
        if name not in get_available_reporting_integrations():
            raise MissingExtra(
                say("`training.report_to`: {name} is not installed. Run `pip install {name}`.", name=name)
            )


def sft_trainer(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Encoded],
    training: TrainingConfig,
    output_dir: Path,
    callbacks: Sequence[TrainerCallback],
) -> AnswerTrainer:
    """Supervised fine-tuning on ready-made ids: TRL neither tokenizes, nor cuts, nor masks anything.

    Args:
        model: Adapter model or base model in training precision.
        tokenizer: Only its padding id is used; padded positions are masked by length.
        rows: Prompt and answer ids; loss at the answers.
        training: The resolved training block.
        output_dir: Where checkpoints go.
        callbacks: Added to the trainer; its own printers are removed.
    """
    dataset = Dataset.from_list(
        [{"input_ids": row.input_ids, "labels": row.labels, "row": position} for position, row in enumerate(rows)]
    )
    trainer = AnswerTrainer(
        model=model,
        args=SFTConfig(**_arguments(training, len(rows), output_dir)),
        train_dataset=dataset,
        data_collator=_collate,
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    return trainer


def _arguments(training: TrainingConfig, rows: int, output_dir: Path) -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    batch = training.per_device_train_batch_size * training.gradient_accumulation_steps
    steps = math.ceil(rows / batch) * training.num_epochs.maximum
    # Warm-up starts at rate 0 and lasts a whole step at least: in a run of few steps it would be all there is.
    warmup = training.warmup_ratio if training.warmup_ratio * steps >= 1 else 0.0
    return {
        "output_dir": str(output_dir),
        "num_train_epochs": training.num_epochs.maximum,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler_type,
        "per_device_train_batch_size": training.per_device_train_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        # A value below 1 is a share of the steps; there is no `warmup_ratio` any more.
        "warmup_steps": warmup,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "gradient_checkpointing": training.gradient_checkpointing,
        "seed": training.seed,
        "data_seed": training.seed,
        # Every step: the metrics file makes its lines of them.
        "logging_steps": 1,
        "report_to": training.report_to or "none",
        # Rows were measured and rejected before; TRL's default of 1,024 would cut answers silently.
        "max_length": None,
        "packing": False,
        "remove_unused_columns": False,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        # The default hides a NaN loss in the log.
        "logging_nan_inf_filter": False,
        "save_strategy": "epoch",
        "eval_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": cuda,
    }
