"""Preference methods: TRL's losses on the same tokens, and what has to hold while they run."""

from __future__ import annotations

import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer
from trl.experimental.orpo import ORPOTrainer

from exactune.bases import find_base
from exactune.collapse import collapsed
from exactune.config import LoraSettings, TrainingConfig
from exactune.errors import TrainingError
from exactune.infer.model import load_base
from exactune.objective import find_reference
from exactune.render.attention import attend_by_blocks
from exactune.render.packing import CostModel, cut_groups, pack
from exactune.render.template import Encoded
from exactune.rundir import Run
from exactune.train import methods
from exactune.train.adapter import make_trainable
from exactune.train.preference import Scores, dpo, log_odds, orpo, padded_pairs, tree_pairs
from exactune.train.steps import Cutter

import tiny

CPU = torch.device("cpu")
TREES = CostModel(pair=0.0, budget=200)


def made(count: int, single: int = 0) -> tuple[list[Encoded], list[Encoded | None]]:
    """Chosen and rejected answers; the last ``single`` rows have no rejected one."""
    draw = random.Random(3)

    def ids(low: int, high: int) -> list[int]:
        return [draw.randrange(3, 390) for _ in range(draw.randrange(low, high))]

    system = ids(6, 7)
    prompts = [system + ids(5, 30) for _ in range(count)]
    chosen = [Encoded(str(number), prompt, [*ids(1, 9), 2]) for number, prompt in enumerate(prompts)]
    rejected: list[Encoded | None] = [Encoded(row.id, row.prompt_ids, [*ids(1, 9), 2]) for row in chosen]
    return chosen, rejected[: count - single] + [None] * single


def adapted() -> PeftModel:
    """An adapter that does something, as one that was trained has."""
    model = make_trainable(tiny.model(), LoraSettings(r=4, lora_alpha=8), 0)
    torch.manual_seed(5)
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor, std=0.05)
    assert isinstance(model, PeftModel)
    return model


def scored(model: torch.nn.Module, cutter: Cutter, rows: list[Encoded]) -> torch.Tensor:
    """Log-likelihoods, ``[pairs, 2]``."""
    found = torch.full((len(rows), 2), math.nan)
    with torch.no_grad():
        for part in cutter([*enumerate(rows)]):
            scores = part.scores(model, CPU)  # type: ignore[attr-defined]
            found[part.rows] = torch.stack([scores.chosen, scores.rejected], 1)
    return found


def cutters(rejected: list[Encoded | None], objective: Any = None) -> dict[str, Cutter]:
    return {"padded": padded_pairs(4, rejected, objective), "trees": tree_pairs(TREES, rejected, objective)}


@pytest.mark.parametrize("kind", ["padded", "trees"])
def test_log_likelihoods_are_those_of_each_answer_alone(kind: str) -> None:
    chosen, rejected = made(13, single=3)
    model = adapted()
    if kind == "trees":
        attend_by_blocks(model)
    found = scored(model, cutters(rejected)[kind], chosen)
    plain = adapted()
    for number, sides in enumerate(zip(chosen, rejected, strict=True)):
        for side, row in enumerate(sides):
            if row is None:
                assert found[number, side].isnan()
                continue
            with torch.no_grad():
                logits = plain(torch.tensor([row.input_ids])).logits[0].log_softmax(-1)
            start = len(row.prompt_ids)
            alone = sum(logits[start - 1 + place, token] for place, token in enumerate(row.answer_ids))
            assert float(found[number, side]) == pytest.approx(float(alone), abs=1e-5)


class Recorder(TrainerCallback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if "loss" in logs:
            self.losses.append(logs["loss"])


class ReadyIds(DPOTrainer):
    """TRL's trainer on our ids."""

    def _prepare_dataset(self, dataset, *args):  # type: ignore[no-untyped-def]
        return dataset


Trajectory = tuple[list[float], torch.Tensor]
TRAINING = TrainingConfig(
    num_epochs=3, learning_rate=1e-2, logging_steps=1, per_device_train_batch_size=4, gradient_accumulation_steps=2
)


def weights(model: torch.nn.Module) -> torch.Tensor:
    named = model.named_parameters()
    return torch.cat(
        [tensor.detach().flatten() for name, tensor in named if tensor.requires_grad and ".ref." not in name]
    )


def ours(folder: Path, kind: str, sft_weight: float = 0.0) -> tuple[Trajectory, torch.nn.Module]:
    chosen, rejected = made(32)
    model, recorder = adapted(), Recorder()
    if kind == "trees":
        attend_by_blocks(model)
    reference = scored(model.eval(), cutters(rejected)[kind], chosen)
    cutter = cutters(rejected, dpo(reference, 0.1, sft_weight))[kind]
    trainer = methods.answer_trainer(model, tiny.byte_bpe(), chosen, TRAINING, folder, [recorder], cutter)
    trainer.args.save_strategy = "no"
    trainer.train()
    return (recorder.losses, weights(model)), model


def stock(folder: Path) -> Trajectory:
    chosen, rejected = made(32)
    recorder, model = Recorder(), adapted()
    arguments = methods._arguments(TRAINING, 32, folder) | {
        "save_strategy": "no", "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "beta": 0.1,
    }  # fmt: skip
    arguments.pop("packing")
    rows = [
        {"prompt_ids": row.prompt_ids, "chosen_ids": row.answer_ids, "rejected_ids": worse.answer_ids}
        for row, worse in zip(chosen, rejected, strict=True) if worse
    ]  # fmt: skip
    trainer = ReadyIds(
        model=model, args=DPOConfig(**arguments), train_dataset=Dataset.from_list(rows),
        processing_class=tiny.byte_bpe(), callbacks=[recorder],
    )  # fmt: skip
    assert "ref" in trainer.model.peft_config, "the adapter it started with"
    trainer.train()
    return recorder.losses, weights(trainer.model)


@pytest.fixture(scope="module")
def trajectory_of_trl(tmp_path_factory: pytest.TempPathFactory) -> Trajectory:
    return stock(tmp_path_factory.mktemp("trl"))


@pytest.mark.parametrize("kind", ["padded", "trees"])
def test_dpo_has_the_trajectory_of_trl(kind: str, trajectory_of_trl: Trajectory, tmp_path: Path) -> None:
    (losses, end), model = ours(tmp_path, kind)
    expected, other = trajectory_of_trl
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6), "at step 0 the policy is the reference"
    assert len(losses) == 12
    assert losses[-1] < 0.68
    assert losses == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert float((end - other).norm() / other.norm()) < 1e-3
    assert [*model.peft_config] == ["default"], "no reference lies beside what is trained"


def test_the_sft_term_is_the_likelihood_of_the_better_answer() -> None:
    scores = Scores(torch.tensor([-6.0, -2.0]), torch.tensor([-8.0, -9.0]), torch.tensor([3, 1]), torch.tensor([4, 2]))
    reference = torch.tensor([[-5.0, -7.0], [-4.0, -9.0]])
    losses, figures = dpo(reference, 0.5, 0.2)(torch.tensor([0, 1]), scores)
    margins = 0.5 * (-1 - -1), 0.5 * (2 - 0)
    assert figures["margin"].tolist() == pytest.approx(margins)
    expected = [math.log1p(math.exp(-margin)) for margin in margins]
    assert losses.tolist() == pytest.approx([expected[0] + 0.2 * 2.0, expected[1] + 0.2 * 2.0], abs=1e-6)


def test_the_odds_ratio_is_that_of_trl() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(1, 9, (2, 50))
    means = -torch.rand(2, 50) * torch.tensor([3.0, 0.01]).repeat(25)
    trl = SimpleNamespace(beta=0.1, accelerator=SimpleNamespace(device=CPU))
    expected, *_ = ORPOTrainer.odds_ratio_loss(trl, means[0], means[1])  # type: ignore[arg-type]
    losses, _ = orpo(0.1)(torch.arange(50), Scores(*(means * tokens), *tokens))
    # TRL subtracts its term from the likelihood, which it takes over prompt and answer.
    assert torch.allclose(losses + means[0], -expected, atol=1e-6)


def test_orpo_learns_a_single_answer_by_its_likelihood_alone() -> None:
    nan = float("nan")
    scores = Scores(torch.tensor([-6.0, -2.0]), torch.tensor([nan, -8.0]), torch.tensor([3, 1]), torch.tensor([0, 2]))
    scores.chosen.requires_grad_()
    losses, figures = orpo(0.1)(torch.tensor([0, 1]), scores)
    assert float(losses[0].detach()) == pytest.approx(2.0)
    assert [len(values) for values in figures.values()] == [1, 1, 2, 1]
    losses.sum().backward()
    assert scores.chosen.grad is not None
    assert scores.chosen.grad.isfinite().all()


def test_odds_of_a_certain_answer_stay_finite() -> None:
    logp = torch.tensor([0.0, -1e-9, -1e-3, -50.0], requires_grad=True)
    odds = log_odds(logp)
    odds.sum().backward()
    assert odds.isfinite().all()
    assert logp.grad is not None
    assert logp.grad.isfinite().all()
    assert float(odds[2].detach()) == pytest.approx(math.log(math.exp(-1e-3) / -math.expm1(-1e-3)), rel=1e-3)


def test_sides_of_a_pair_stay_in_one_tree() -> None:
    chosen, rejected = made(40)
    groups = [sorted([row.input_ids, worse.input_ids]) for row, worse in zip(chosen, rejected, strict=True) if worse]
    runs = cut_groups(groups, CostModel(pair=0.0, budget=150))
    assert sorted(index for run in runs for index in run) == list(range(40))
    sizes = [len(pack([(row, 1) for row in sorted(row for index in run for row in groups[index])])) for run in runs]
    assert max(sizes) <= 150
    assert len(runs) < 25


def lines(*values: tuple[float, float], low: float = 0.7) -> list[dict[str, Any]]:
    """A start of 0.8 with this interval, then margins and metrics."""
    found: list[dict[str, Any]] = [
        {"step": 0, "eval": {"accuracy": 0.8, "loss": 1.0}, "interval": {"low": low, "high": 0.9}}
    ]
    for step, (margin, metric) in enumerate(values, 1):
        found += [
            {"step": step, "loss": 0.5, "margin": margin},
            {"step": step, "eval": {"accuracy": metric, "loss": 1.0}},
        ]
    return found


def test_collapse_is_a_worse_task_and_better_pairs() -> None:
    assert collapsed(lines((0.1, 0.75), (2.0, 0.6)), "accuracy")
    assert not collapsed(lines((0.1, 0.75), (2.0, 0.72)), "accuracy"), "within the interval of the start"
    assert not collapsed(lines((2.0, 0.75), (0.1, 0.6)), "accuracy"), "not the pairs' doing"
    assert not collapsed(lines((0.1, 0.6), (2.0, 0.9)), "accuracy"), "it has come back"
    assert not collapsed([{"step": 0, "eval": {"accuracy": 0.8}}, *lines((0.1, 0.6), (2.0, 0.5))[1:]], "accuracy")
    assert not collapsed(lines((0.1, 0.6), (2.0, 0.5))[1:], "accuracy"), "nothing to compare with"


def test_a_model_in_bfloat16_is_its_own_reference(tmp_path: Path) -> None:
    """As on a GPU: there a pair's log-likelihoods hang on what else is in its pass."""
    model, _ = load_base(find_base("mini"))
    chosen, rejected = made(64)
    training = TrainingConfig(method="dpo")
    plan: Any = SimpleNamespace(
        run=Run(tmp_path), encoded=chosen, rejected=rejected, config=SimpleNamespace(training=training)
    )
    cost = CostModel(pair=0.0, budget=1024)
    reference = find_reference(plan, model.to(torch.bfloat16), cost)
    assert reference is not None
    assert reference.shape == (64, 2)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.2)
    with pytest.raises(TrainingError, match="other log-likelihoods than the reference"):
        find_reference(plan, model, cost)
