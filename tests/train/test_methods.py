"""The loss at labelled positions only is the plain one: same trajectory as TRL's own trainer."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTTrainer

from exactune.config import LoraSettings, TrainingConfig
from exactune.errors import ConfigError
from exactune.render.attention import attend_by_blocks
from exactune.render.template import Encoded
from exactune.train import methods
from exactune.train.adapter import make_trainable, parameter_counts
from exactune.train.steps import Cutter, padded

import tiny

LORA = LoraSettings(r=4, lora_alpha=8)


def encoded(count: int) -> list[Encoded]:
    draw = random.Random(3)

    def ids(low: int, high: int) -> list[int]:
        return [draw.randrange(3, 390) for _ in range(draw.randrange(low, high))]

    return [Encoded(str(number), ids(5, 40), [*ids(1, 12), 2]) for number in range(count)]


class Recorder(TrainerCallback):
    def __init__(self) -> None:
        self.lines: list[tuple[float, float]] = []

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if "loss" in logs:
            self.lines.append((logs["loss"], logs["grad_norm"]))


Trajectory = tuple[list[tuple[float, float]], torch.Tensor]
"""Loss and norm of the gradient of each step, and the weights at the end."""


def trajectory(
    folder: Path,
    lora: LoraSettings | None,
    batch: int,
    accumulate: int,
    *,
    stock: bool = False,
    cutter: Cutter | None = None,
    **values: Any,
) -> Trajectory:
    training = TrainingConfig(
        num_epochs=5, learning_rate=1e-2, logging_steps=1,
        per_device_train_batch_size=batch, gradient_accumulation_steps=accumulate, **values,
    )  # fmt: skip
    recorder, tokenizer = Recorder(), tiny.byte_bpe()
    model = make_trainable(tiny.model(len(tokenizer)), lora, 0)
    rows = encoded(32)
    if stock:
        arguments = methods._arguments(training, len(rows), folder) | {
            "save_strategy": "no", "per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate,
        }  # fmt: skip
        dataset = Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in rows])
        trainer = SFTTrainer(
            model=model, args=methods.SFTConfig(**arguments), train_dataset=dataset, processing_class=tokenizer,
            callbacks=[recorder],
        )  # fmt: skip
        assert type(trainer.data_collator).__name__ == "DataCollatorForLanguageModeling"
    else:
        if cutter is not None:
            attend_by_blocks(model)
        trainer = methods.answer_trainer(model, tokenizer, rows, training, folder, [recorder], cutter or padded(batch))
        trainer.args.save_strategy = "no"
    trainer.train()
    weights = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])
    return recorder.lines, weights


def assert_same(found: Trajectory, expected: Trajectory) -> None:
    """Two trajectories of twenty steps: losses, norms of gradients, final weights."""
    (lines, weights), (other_lines, other) = found, expected
    assert len(lines) == len(other_lines) == 20
    for (loss, norm), (other_loss, other_norm) in zip(lines, other_lines, strict=True):
        assert loss == pytest.approx(other_loss, rel=1e-5)
        assert norm == pytest.approx(other_norm, rel=1e-3)
    assert float((weights - other).norm() / other.norm()) < 1e-4


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_same_trajectory_as_stock_trl(lora: LoraSettings | None, tmp_path: Path) -> None:
    assert_same(trajectory(tmp_path, lora, 4, 2), trajectory(tmp_path, lora, 4, 2, stock=True))


def test_one_batch_of_eight_equals_eight_of_one(tmp_path: Path) -> None:
    assert_same(trajectory(tmp_path, LORA, 8, 1), trajectory(tmp_path, LORA, 1, 8))


def test_equal_seeds_give_equal_adapters() -> None:
    def start(seed: int) -> torch.Tensor:
        torch.manual_seed(99)
        model = make_trainable(tiny.model(), LORA, seed)
        return torch.cat([p.detach().flatten() for n, p in model.named_parameters() if "lora_A" in n])

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


def test_every_target_must_exist() -> None:
    with pytest.raises(ConfigError, match="no linear layer `query`"):
        make_trainable(tiny.model(), LoraSettings(target_modules=["q_proj", "query"]), 0)


def test_parameter_counts() -> None:
    full = parameter_counts(make_trainable(tiny.model(), None, 0))
    assert full["parameters"] == full["trainable_parameters"] == sum(p.numel() for p in tiny.model().parameters())
    adapter = parameter_counts(make_trainable(tiny.model(), LORA, 0))
    assert adapter["trainable_parameters"] == adapter["parameters"] - full["parameters"]
