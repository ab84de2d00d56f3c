"""Runs that compute nothing sensible end before a weight or a checkpoint has it, and say where."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from exactune.config import LoraSettings, TrainingConfig
from exactune.errors import TrainingError
from exactune.render.template import Encoded
from exactune.rundir import read_jsonl
from exactune.stop import StopRequest
from exactune.train.adapter import make_trainable
from exactune.train.judge import Judge
from exactune.train.methods import AnswerTrainer, answer_trainer
from exactune.train.steps import padded
from exactune.train.watch import Watch

import tiny

LORA = LoraSettings(r=4, lora_alpha=8)
RARE = 395
"""A token of one row only."""


def rows(count: int, rare: int | None = None) -> list[Encoded]:
    draw = random.Random(3)

    def ids(low: int, high: int) -> list[int]:
        return [draw.randrange(3, 390) for _ in range(draw.randrange(low, high))]

    return [
        Encoded(f"train.jsonl:{n + 1}", [*ids(5, 20), *([RARE] if n == rare else [])], [*ids(1, 8), 2])
        for n in range(count)
    ]


def watched(
    folder: Path,
    lora: LoraSettings | None = LORA,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    model: torch.nn.Module | None = None,
    rare: int | None = None,
    memory: Mapping[str, Any] | None = None,
    count: int = 16,
    **values: Any,
) -> AnswerTrainer:
    """A trainer of eight steps, two passes of one row each, that saves at every step and is watched as in a run."""
    training = TrainingConfig(**{
        "num_epochs": 1, "learning_rate": 1e-2, "logging_steps": 1, "save_steps": 1, "warmup_ratio": 0.0,
        "per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, **values,
    })  # fmt: skip
    encoded = rows(count, rare)
    watch = Watch(
        folder / "metrics.jsonl", [row.id for row in encoded], StopRequest(), lambda *_: None,
        rows_per_step=2, logging_steps=training.logging_steps, save_steps=training.save_steps, memory=memory,
    )  # fmt: skip
    trainer = answer_trainer(
        make_trainable(tiny.model(), lora, 0) if model is None else model,
        tiny.byte_bpe(), encoded, training, folder / "checkpoints", [watch, *callbacks], padded(1),
    )  # fmt: skip
    trainer.see = watch.see
    return trainer


def weights(trainer: AnswerTrainer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainer.model.named_parameters()}


def equal(some: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(some[name].nan_to_num(-7), other[name].nan_to_num(-7)) for name in {**some, **other})


def saved(folder: Path) -> list[str]:
    return [path.name for path in sorted((folder / "checkpoints").glob("*"))]


class At(TrainerCallback):
    """Does something at one event of one step."""

    def __init__(self, event: str, step: int, do: Callable[[Mapping[str, Any]], None]) -> None:
        def now(args, state, control, **kwargs):  # type: ignore[no-untyped-def]
            if state.global_step == step:
                do(kwargs)

        setattr(self, event, now)


def parameter(trainer: AnswerTrainer, part: str) -> torch.nn.Parameter:
    return next(tensor for name, tensor in trainer.model.named_parameters() if part in name and tensor.requires_grad)


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_a_nan_weight_stops_the_first_step_and_changes_nothing(lora: LoraSettings | None, tmp_path: Path) -> None:
    trainer = watched(tmp_path, lora)
    with torch.no_grad():
        next(t for n, t in trainer.model.named_parameters() if "layers.0.mlp.up_proj" in n)[0, 0] = math.nan
    before = weights(trainer)
    with pytest.raises(TrainingError, match=r"step 1: the loss is not a finite number.*train\.jsonl:\d+, train\.json"):
        trainer.train()
    assert equal(weights(trainer), before)
    assert saved(tmp_path) == []
    assert not (tmp_path / "metrics.jsonl").exists()


def test_the_row_that_broke_the_loss_is_named_and_no_other(tmp_path: Path) -> None:
    trainer = watched(tmp_path, rare=9)

    def poison(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        return output.masked_fill((inputs[0] == RARE)[..., None], math.nan)

    trainer.model.get_input_embeddings().register_forward_hook(poison)
    with pytest.raises(TrainingError) as caught:
        trainer.train()
    assert "a forward pass over train.jsonl:10. " in str(caught.value)


def test_a_loss_that_breaks_later_leaves_the_checkpoints_before_it(tmp_path: Path) -> None:
    before: dict[str, torch.Tensor] = {}

    def plant(kwargs: Mapping[str, Any]) -> None:
        before.update(weights(trainer))
        trainer.model.get_input_embeddings().register_forward_hook(lambda *call: call[2] * math.inf)

    trainer = watched(tmp_path, callbacks=[At("on_step_begin", 3, plant)])
    with pytest.raises(TrainingError, match="step 4: the loss"):
        trainer.train()
    assert equal(weights(trainer), before)
    assert saved(tmp_path) == ["step-000002", "step-000003"]
    assert [line["step"] for line in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 3]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_stops_before_the_step(value: float, tmp_path: Path) -> None:
    trainer = watched(tmp_path)
    parameter(trainer, "layers.1.self_attn.v_proj.lora_B").register_hook(lambda grad: torch.full_like(grad, value))
    before = weights(trainer)
    with pytest.raises(TrainingError, match="step 1: a gradient is not a finite number") as caught:
        trainer.train()
    assert str(caught.value).count("train.jsonl:") == 2, "both passes of the step"
    assert equal(weights(trainer), before)
    assert saved(tmp_path) == []


def test_a_gradient_whose_norm_overflows_stops_the_run(tmp_path: Path) -> None:
    """Each of its numbers is finite, but clipped by such a norm all are zero: the step would teach nothing."""

    def enlarge(kwargs: Mapping[str, Any]) -> None:
        parameter(trainer, "layers.1.self_attn.v_proj.lora_B").register_hook(lambda grad: torch.full_like(grad, 1e30))

    trainer = watched(tmp_path, callbacks=[At("on_step_begin", 2, enlarge)], logging_steps=4)
    with pytest.raises(TrainingError, match="step 3: a gradient is not a finite number") as caught:
        trainer.train()
    assert str(caught.value).count("train.jsonl:") == 2
    assert saved(tmp_path) == ["step-000001", "step-000002"]


@pytest.mark.parametrize("way", ["optimizer", "filled"])
def test_weights_broken_by_a_step_are_named_and_never_saved(way: str, tmp_path: Path) -> None:
    def break_one(kwargs: Mapping[str, Any]) -> None:
        if way == "filled":
            parameter(trainer, "layers.1.self_attn.k_proj.lora_A").data[0, 0] = math.inf
        for group in kwargs["optimizer"].param_groups if way == "optimizer" else ():
            group["lr"] = 1e39

    event = "on_pre_optimizer_step" if way == "optimizer" else "on_optimizer_step"
    trainer = watched(tmp_path, callbacks=[At(event, 2, break_one)])
    named = r"first \S+layers\.1\.self_attn\.k_proj\.lora_A\S+" if way == "filled" else r"first \S+\.lora_[AB]"
    with pytest.raises(TrainingError, match=rf"step 3: \d+ trained tensors hold numbers that are not finite, {named}"):
        trainer.train()
    assert saved(tmp_path) == ["step-000001", "step-000002"]


def test_large_but_finite_weights_are_no_error(tmp_path: Path) -> None:
    """The norm of such weights overflows, which by itself says nothing."""
    trainer = watched(tmp_path, None)
    unused = torch.nn.Parameter(torch.full((4,), 1e30))
    trainer.model.register_parameter("large", unused)
    trainer.model.get_input_embeddings().register_forward_hook(lambda *call: call[2] + 0 * unused.sum())
    unused.register_hook(torch.ones_like)
    trainer.train()
    assert trainer.state.global_step == 8


def test_a_tensor_without_gradient_is_reported_after_five_steps(tmp_path: Path) -> None:
    trainer = watched(tmp_path, save_steps=None)
    parameter(trainer, "layers.1.self_attn.o_proj.lora_A").register_hook(torch.zeros_like)
    with pytest.raises(TrainingError, match=r"1 of the trained tensors have got no gradient.*layers\.1\S+o_proj\.lora"):
        trainer.train()
    assert trainer.state.global_step == 5


def test_a_layer_that_the_model_does_not_use_is_reported(tmp_path: Path) -> None:
    model = make_trainable(tiny.model(), None, 0)
    model.register_parameter("never_used", torch.nn.Parameter(torch.ones(3)))
    trainer = watched(tmp_path, None, model=model)
    with pytest.raises(TrainingError, match="1 of the trained tensors have got no gradient.*never_used"):
        trainer.train()


@pytest.mark.parametrize("warmup", [0.0, 0.9], ids=["no-warm-up", "long-warm-up"])
@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_a_healthy_run_passes(lora: LoraSettings | None, warmup: float, tmp_path: Path) -> None:
    trainer = watched(tmp_path, lora, warmup_ratio=warmup, save_steps=None)
    trainer.train()
    assert trainer.state.global_step == 8
    assert len(list(read_jsonl(tmp_path / "metrics.jsonl"))) == 8


def test_a_line_of_several_steps_has_their_mean_loss(tmp_path: Path) -> None:
    for name, values in (("one", {"logging_steps": 1}), ("four", {"logging_steps": 4})):
        watched(tmp_path / name, save_steps=None, **values).train()
    each = [line["loss"] for line in read_jsonl(tmp_path / "one" / "metrics.jsonl")]
    lines = list(read_jsonl(tmp_path / "four" / "metrics.jsonl"))
    assert len(set(each)) == 8
    assert [(line["step"], line["rows"]) for line in lines] == [(4, 8), (8, 16)]
    assert [line["loss"] for line in lines] == [sum(each[:4]) / 4, sum(each[4:]) / 4]


def test_losses_of_a_window_begun_before_an_interruption_count(tmp_path: Path) -> None:
    watched(tmp_path / "plain", save_steps=None, logging_steps=2).train()
    watched(
        tmp_path / "carried", save_steps=None, logging_steps=2, memory={"losses": [100.0], "without_gradient": []}
    ).train()
    plain, carried = (list(read_jsonl(tmp_path / name / "metrics.jsonl")) for name in ("plain", "carried"))
    assert carried[0]["loss"] == pytest.approx((2 * plain[0]["loss"] + 100) / 3)
    assert [line["loss"] for line in carried[1:]] == [line["loss"] for line in plain[1:]]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_broken_eval_loss_keeps_nothing(loss: float, tmp_path: Path) -> None:
    kept: list[object] = []
    metrics = tmp_path / "metrics.jsonl"
    judge = Judge(
        TrainingConfig(), "loss", lambda _: {"loss": loss}, kept.append, metrics, StopRequest(), lambda *_: None,
        lambda _: {},
    )  # fmt: skip
    with pytest.raises(TrainingError, match=f"step 3: the eval loss is {loss}"):
        judge.on_epoch_end(None, TrainerState(global_step=3, epoch=1.0), TrainerControl(), model=None)
    assert kept == []
    assert judge.best is None
    assert not metrics.exists()


def at_step_end(watch: Watch, model: torch.nn.Module, step: int) -> TrainerControl:
    control = TrainerControl()
    watch.on_step_end(None, TrainerState(global_step=step, max_steps=100), control, model=model)
    return control


def test_ten_minutes_without_a_checkpoint_ask_for_one(tmp_path: Path) -> None:
    model = make_trainable(tiny.model(), LORA, 0)
    watch = Watch(tmp_path / "metrics.jsonl", [], StopRequest(), lambda *_: None, rows_per_step=1, logging_steps=1)
    assert not at_step_end(watch, model, 1).should_save
    watch.saved_at -= 601
    assert at_step_end(watch, model, 2).should_save
    watch.on_save(None, TrainerState(), TrainerControl())
    assert not at_step_end(watch, model, 3).should_save


def test_save_steps_replace_the_clock(tmp_path: Path) -> None:
    model = make_trainable(tiny.model(), LORA, 0)
    watch = Watch(
        tmp_path / "metrics.jsonl", [], StopRequest(), lambda *_: None, rows_per_step=1, logging_steps=1, save_steps=3
    )
    watch.saved_at -= 601
    assert [step for step in range(1, 8) if at_step_end(watch, model, step).should_save] == [3, 6]


def test_a_request_to_stop_saves_and_ends(tmp_path: Path) -> None:
    stop, steps = StopRequest(), []
    watch = Watch(
        tmp_path / "m.jsonl",
        [],
        stop,
        lambda *step: steps.append(step),
        rows_per_step=1,
        logging_steps=1,
        save_steps=50,
    )
    model = make_trainable(tiny.model(), LORA, 0)
    stop.signal_number = 15
    control = at_step_end(watch, model, 1)
    assert control.should_save
    assert control.should_training_stop
    assert steps == [(1, 100, {})]


@pytest.mark.parametrize("count", [2, 4, 6])
def test_short_runs_are_watched_for_dead_tensors_too(count: int, tmp_path: Path) -> None:
    def dead(model: torch.nn.Module, part: str) -> torch.nn.Module:
        named = [tensor for name, tensor in model.named_parameters() if part in name]
        named[0].register_hook(torch.zeros_like)
        return model

    watched(tmp_path / "healthy", count=count, save_steps=None).train()
    with pytest.raises(TrainingError, match="no gradient"):
        watched(
            tmp_path / "dead", count=count, model=dead(make_trainable(tiny.model(), LORA, 0), "lora_B"), save_steps=None
        ).train()
