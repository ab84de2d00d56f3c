"""Training methods as TRL trainers. The only file that imports trl."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, TrainerCallback, set_seed
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import SFTConfig, SFTTrainer

from exactune import ranks
from exactune.config import TrainingConfig
from exactune.errors import ConfigError, MissingExtra
from exactune.language import say
from exactune.render.template import Encoded
from exactune.train.checkpoints import Checkpoints
from exactune.train.steps import Cutter, Figures, StepLoader, StepSampler

__all__ = ["AnswerTrainer", "answer_trainer", "refuse_unknown_trackers"]


class AnswerTrainer(Checkpoints, SFTTrainer):
    """TRL's trainer with our checkpoints, on batches that are cut into forward passes by us.

    Logits are made where an answer token is predicted; off CUDA, TRL's own loss scores every position. ``tests/train``
    holds the two to the same trajectory.

    Attributes:
        rows: Training rows as ids.
        cutter: Makes forward passes of a step's rows.
        see: Told of every forward pass: positions of its rows in the data set (int64 ``[rows]``), its loss, and what is
            logged beside it.
        order: The rows of each step; None draws them.
    """

    rows: Sequence[Encoded]
    cutter: Cutter
    order: StepSampler | None = None
    see: Callable[[torch.Tensor, torch.Tensor, Figures], None] = staticmethod(lambda rows, loss, figures: None)

    def get_train_dataloader(self) -> StepLoader:
        """A batch for each optimizer step, of this rank's rows."""
        sampler = self.order or StepSampler(
            len(self.rows), self.args.train_batch_size * self.args.world_size, self.args.data_seed,
            self.args.process_index, self.args.world_size,
        )  # fmt: skip
        return StepLoader(
            range(len(self.rows)),
            batch_sampler=sampler,
            collate_fn=self._collate,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _collate(self, positions: Sequence[int]) -> dict[str, Any]:
        rows = [(position, self.rows[position]) for position in positions]
        passes = self.cutter(rows)
        # By these the trainer counts: tokens, and over how many items the loss is averaged (not the first label).
        ids = torch.tensor([id for _, row in rows for id in row.input_ids], dtype=torch.long)
        items = torch.zeros(1 + sum(part.items for part in passes), dtype=torch.long)
        return {"input_ids": ids, "labels": items, "passes": passes}

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Mean loss per item (answer token or pair) of the step over all ranks, and its gradient."""
        model.train()
        total = torch.zeros((), device=self.args.device)
        # A rank without rows still takes part in the sum of gradients, with zeros.
        passes, share = (inputs["passes"], 1) if inputs["passes"] else (self.cutter([(0, self.rows[0])]), 0)
        for place, part in enumerate(passes, 1):
            is_last = place == len(passes)
            with contextlib.nullcontext() if is_last else self.accelerator.no_sync(model):
                with self.compute_loss_context_manager():
                    summed, figures = part.loss(model, self.args.device)
                # The count is over all ranks, and their gradients are averaged afterwards.
                loss = summed / num_items_in_batch * self.accelerator.num_processes * share
                self.accelerator.backward(loss)
            if share:
                self.see(part.rows, loss, figures)
            total += loss.detach()
        return total


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


def answer_trainer(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Encoded],
    training: TrainingConfig,
    output_dir: Path,
    callbacks: Sequence[TrainerCallback],
    cutter: Cutter,
) -> AnswerTrainer:
    """Training on ready-made ids: TRL neither tokenizes, nor cuts, nor masks anything.

    What is learned of them is in the passes: supervised fine-tuning and preference methods differ in nothing else.

    Args:
        model: Adapter model or base model in training precision.
        tokenizer: Only its padding id is used; padded positions are masked by length.
        rows: Prompt and answer ids.
        training: The resolved training block.
        output_dir: Where checkpoints go.
        callbacks: Added to the trainer; its own printers are removed.
        cutter: Makes forward passes of a step's rows.
    """
    first = {"input_ids": rows[0].input_ids, "labels": rows[0].labels}
    arguments = SFTConfig(**_arguments(training, len(rows), output_dir))
    if arguments.n_gpu > 1:
        # Else the trainer would spread each batch over all GPUs it sees, and multiply its rows by their number.
        arguments._n_gpu = 1
    with kept_as_it_is(model):
        trainer = AnswerTrainer(
            model=model,
            args=arguments,
            # It looks at the first row to see that nothing is to be tokenized; the loader has them all.
            train_dataset=Dataset.from_list([first]),
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )
    trainer.rows, trainer.cutter = rows, cutter
    if not ranks.is_first():
        # The trainer has set the same seed everywhere, but each rank draws its own dropout.
        set_seed(training.seed + ranks.index())
    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    return trainer


@contextlib.contextmanager
def kept_as_it_is(model: torch.nn.Module) -> Iterator[None]:
    """What is trained, for the block in which a trainer is made.

    TRL takes adapters beside a quantized base to bfloat16, in which most updates of a fine-tuning learning rate round
    to nothing.
    """
    before = [(tensor, tensor.data) for tensor in model.parameters() if tensor.requires_grad]
    yield
    for tensor, data in before:
        tensor.data = data


def _arguments(training: TrainingConfig, rows: int, output_dir: Path) -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    batch = training.per_device_train_batch_size * training.gradient_accumulation_steps
    steps = math.ceil(rows / (batch * ranks.count())) * training.num_epochs.maximum
    # Warm-up starts at rate 0 and lasts a whole step at least: in a run of few steps it would be all there is.
    warmup = training.warmup_ratio if training.warmup_ratio * steps >= 1 else 0.0
    return {
        "output_dir": str(output_dir),
        "num_train_epochs": training.num_epochs.maximum,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler_type,
        # A batch is a rank's part of a step.
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": 1,
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
        # Else, without a GPU, the trainer would take this process for the only one.
        "use_cpu": ranks.count() > 1 and not cuda,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        # The default hides a NaN loss in the log.
        "logging_nan_inf_filter": False,
        "save_strategy": "epoch",
        "eval_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": cuda,
    }
