"""A trainer of ours goes on from its checkpoint as if it had never stopped."""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from transformers import Trainer, TrainerCallback

from exactune.config import LoraSettings, TrainingConfig
from exactune.errors import RunError
from exactune.render.template import Encoded
from exactune.train.adapter import make_trainable
from exactune.train.checkpoints import (
    Checkpoints,
    _generators,
    _set_generators,
)
from exactune.train.methods import AnswerTrainer, answer_trainer
from exactune.train.steps import padded

import tiny

OVERRIDDEN = ("_save_checkpoint", "_load_from_checkpoint", "_load_optimizer_and_scheduler", "_load_rng_state")


def test_random_generators_come_back_through_json() -> None:
    def draws() -> tuple[Any, ...]:
        return (
            random.random(), random.gauss(0, 1), numpy.random.rand(3).tolist(), numpy.random.randn(),
            torch.rand(3).tolist(), torch.randn(7).tolist(),
        )  # fmt: skip

    before = _generators()
    try:
        # Both keep the second number of a pair for the next call.
        random.gauss(0, 1), numpy.random.randn()
        stored = json.dumps(_generators(), allow_nan=False)
        first = draws()
        assert draws() != first
        _set_generators(json.loads(stored))
        assert draws() == first
    finally:
        _set_generators(before)


class Steps(TrainerCallback):
    """Saves after one step and keeps the weights after every one."""

    def __init__(self, save_at: int) -> None:
        self.save_at = save_at
        self.weights: dict[int, torch.Tensor] = {}

    def on_step_end(self, args, state, control, model=None, **kwargs):  # type: ignore[no-untyped-def]
        control.should_save = state.global_step == self.save_at
        self.weights[state.global_step] = torch.cat([p.detach().flatten() for p in model.parameters()])

    def on_epoch_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        control.should_save = False


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 1e-2, fused=False),
    "adamw-fused": lambda parameters: torch.optim.AdamW(parameters, 1e-2, fused=True),
    "adamw-amsgrad": lambda parameters: torch.optim.AdamW(parameters, 1e-2, amsgrad=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 1e-2),
    "sgd-momentum": lambda parameters: torch.optim.SGD(parameters, 1e-2, momentum=0.9, nesterov=True),
}


def trainer_of(
    folder: Path,
    steps: Steps,
    *,
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
    lora: LoraSettings | None = None,
    dtype: torch.dtype = torch.float32,
) -> AnswerTrainer:
    draw = random.Random(3)
    encoded = [
        Encoded(str(n), [draw.randrange(3, 390) for _ in range(draw.randrange(4, 12))], [n + 3, 2]) for n in range(12)
    ]
    training = TrainingConfig(num_epochs=1, per_device_train_batch_size=2, gradient_accumulation_steps=1)
    model = make_trainable(tiny.model(), lora, 0).to(dtype)
    trainer = answer_trainer(model, tiny.byte_bpe(), encoded, training, folder, [steps], padded(2))
    if optimizer:
        trainer.optimizer = optimizer([tensor for tensor in model.parameters() if tensor.requires_grad])
    return trainer


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, torch.float32) for name in OPTIMIZERS), ("adamw-fused", torch.bfloat16)]
)
def test_optimizers_go_on_as_if_never_stopped(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    lora = LoraSettings(r=4, lora_alpha=8, lora_dropout=0.2)
    whole, rest = Steps(3), Steps(0)
    options: Any = {"optimizer": OPTIMIZERS[name], "lora": lora, "dtype": dtype}
    first = trainer_of(tmp_path, whole, **options)
    first.train()
    torch.manual_seed(77)
    second = trainer_of(tmp_path, rest, **options)
    second.train(resume_from_checkpoint=str(tmp_path / "step-000003"))
    assert sorted(rest.weights) == [4, 5, 6]
    assert not torch.equal(whole.weights[4], whole.weights[3])
    assert all(torch.equal(rest.weights[step], whole.weights[step]) for step in rest.weights)
    ours, theirs = first.optimizer.state_dict(), second.optimizer.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    for index, values in ours["state"].items():
        for key, value in values.items():
            again = theirs["state"].get(index, {}).get(key)
            assert type(again) is type(value)
            assert torch.equal(again, value) if isinstance(value, torch.Tensor) else again == value
            assert not isinstance(value, torch.Tensor) or again.dtype == value.dtype


def test_full_fine_tuning_with_tied_tensors_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    whole, rest = Steps(3), Steps(0)
    trainer_of(tmp_path, whole).train()
    trainer_of(tmp_path, rest).train(resume_from_checkpoint=str(tmp_path / "step-000003"))
    assert torch.equal(rest.weights[6], whole.weights[6])


def test_a_checkpoint_of_other_tensors_is_refused(tmp_path: Path) -> None:
    four = LoraSettings(r=4, lora_alpha=8)
    trainer_of(tmp_path, Steps(3), lora=four).train()
    others = [
        LoraSettings(r=8, lora_alpha=8),
        LoraSettings(r=4, lora_alpha=8, target_modules=["q_proj"]),
        LoraSettings(r=4, lora_alpha=8, target_modules=[*four.target_modules, "up_proj"]),
        None,
    ]
    for lora in others:
        other = trainer_of(tmp_path, Steps(0), lora=lora)
        before = [tensor.detach().clone() for tensor in other.model.parameters()]
        with pytest.raises(RunError, match=r"step-000003 holds other tensors than this run trains, first \S+\. Start"):
            other.train(resume_from_checkpoint=str(tmp_path / "step-000003"))
        assert all(torch.equal(old, new) for old, new in zip(before, other.model.parameters(), strict=True))


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_transformers_still_calls_the_methods_that_ours_replace(name: str) -> None:
    """They are private there: one renamed would switch ours off without a word."""
    assert [*inspect.signature(getattr(Checkpoints, name)).parameters] == [
        *inspect.signature(getattr(Trainer, name)).parameters
    ]
    assert f"self.{name}(" in inspect.getsource(Trainer).replace(f"def {name}(", "")
    assert getattr(AnswerTrainer, name) is getattr(Checkpoints, name)
    assert not [owner for owner in AnswerTrainer.__mro__[: AnswerTrainer.__mro__.index(Checkpoints)]
                if name in vars(owner)]  # fmt: skip
