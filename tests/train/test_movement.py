"""How far training has taken the weights, beside the same figures from whole matrices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_watch import watched

from exactune.config import LoraSettings
from exactune.train.adapter import make_trainable
from exactune.train.movement import Movement

import tiny


def test_a_run_that_learns_changes_nearly_every_weight(tmp_path: Path) -> None:
    trainer = watched(tmp_path, save_steps=None)
    movement = Movement(trainer.model)
    assert movement.figures(trainer.model) == {"changed": 0, "moved": 0}
    trainer.train()
    assert movement.figures(trainer.model)["changed"] > 0.9


def test_an_adapter_has_moved_the_weights_by_its_product(tmp_path: Path) -> None:
    trainer = watched(tmp_path, LoraSettings(r=4, lora_alpha=12), save_steps=None)
    layers = [(name, layer) for name, layer in trainer.model.named_modules() if hasattr(layer, "lora_A")]
    weights = {name: layer.get_base_layer().weight.detach().double().clone() for name, layer in layers}
    movement = Movement(trainer.model)
    trainer.train()
    moved = movement.figures(trainer.model)["moved"]
    trainer.model.merge_adapter()
    merged = {name: layer.get_base_layer().weight.detach().double() for name, layer in layers}
    change = sum(float((merged[name] - weight).square().sum()) for name, weight in weights.items())
    length = sum(float(weight.square().sum()) for weight in weights.values())
    assert len(weights) > 4
    assert moved == pytest.approx((change / length) ** 0.5, rel=1e-4)
    assert moved > 1e-3


def test_without_an_adapter_samples_stand_for_all_trained_tensors(tmp_path: Path) -> None:
    model = make_trainable(tiny.model(), None, 0)
    trainer = watched(tmp_path, None, model=model, learning_rate=1e-3, save_steps=None)
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    movement = Movement(model)
    trainer.train()
    change = sum(float((tensor.detach() - before[name]).square().sum()) for name, tensor in model.named_parameters())
    length = sum(float(tensor.square().sum()) for tensor in before.values())
    assert movement.figures(model)["moved"] == pytest.approx((change / length) ** 0.5, rel=0.05)


def test_updates_too_small_for_bfloat16_change_next_to_nothing(tmp_path: Path) -> None:
    shares = {}
    for dtype in (torch.bfloat16, torch.float32):
        model = make_trainable(tiny.model(), None, 0).to(dtype)
        trainer = watched(tmp_path, None, model=model, learning_rate=1e-9, save_steps=None)
        movement = Movement(model)
        trainer.train()
        shares[dtype] = movement.figures(model)
    assert shares[torch.bfloat16]["changed"] < 0.01, "weights of exactly zero move"
    assert shares[torch.float32]["changed"] > 0.5
    assert shares[torch.float32]["moved"] < 1e-5
