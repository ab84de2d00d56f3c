"""Trees are exact: the same losses, gradients and weights as rows in padded batches."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_methods import LORA, assert_same, trajectory
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

import exactune
from exactune.config import LoraSettings, TrainingConfig
from exactune.errors import ConfigError
from exactune.render.attention import BY_BLOCKS, attend_by_blocks, blocks_of
from exactune.render.packing import CostModel, Tree
from exactune.render.template import Encoded
from exactune.rundir import read_jsonl
from exactune.train.adapter import make_trainable
from exactune.train.engine import choose_engine, tree_cost
from exactune.train.steps import Cutter, StepSampler, padded, trees

import tiny

SHAPE = {
    "vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0,
    "max_position_embeddings": 512,
}  # fmt: skip
SHAPES: dict[str, Callable[..., PreTrainedModel]] = {
    "qwen3": lambda **more: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8, tie_word_embeddings=True, **more)),
    "llama": lambda **more: LlamaForCausalLM(LlamaConfig(**SHAPE, **more)),
    "mistral": lambda **more: MistralForCausalLM(MistralConfig(**{**SHAPE, "sliding_window": None, **more})),
    "gemma": lambda **more: GemmaForCausalLM(GemmaConfig(**SHAPE, head_dim=8, **more)),
    "phi": lambda **more: PhiForCausalLM(PhiConfig(**SHAPE, **more)),
}
ONE = CostModel(pair=0.0, budget=10**9)
SEPARATE = CostModel(pair=1e9)


def rows(count: int = 32) -> list[Encoded]:
    """Two instructions, inputs and answers of several lengths, some of them alike."""
    draw = random.Random(7)
    heads = [[draw.randrange(3, 390) for _ in range(size)] for size in (17, 9)]
    labels = [[draw.randrange(3, 390) for _ in range(size)] for size in (1, 2, 5)]
    return [
        Encoded(
            str(number),
            heads[number % 2] + [draw.randrange(3, 9) for _ in range(draw.randrange(1, 14))],
            [*labels[draw.randrange(3)], 2],
        )
        for number in range(count)
    ]


@pytest.fixture(autouse=True)
def with_shared_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_methods.encoded", rows)
    # So that rows lie in several blocks, and blocks hold several rows.
    monkeypatch.setattr("exactune.render.attention.QUERIES", 11)


def gradients(model: torch.nn.Module, cutter: Cutter) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    total = 0.0
    for part in cutter(list(enumerate(rows(16)))):
        loss = part.nll(model, torch.device("cpu"))
        loss.backward()
        total += float(loss.detach())
    return total, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
@pytest.mark.parametrize("attention", ["sdpa", "eager", "blocks"])
@pytest.mark.parametrize("name", SHAPES)
def test_one_steps_gradients(name: str, attention: str, lora: LoraSettings | None) -> None:
    torch.manual_seed(0)
    base = SHAPES[name](attn_implementation="sdpa" if attention == "blocks" else attention)
    if attention == "blocks":
        attend_by_blocks(base)
    names = ["q_proj", "v_proj"]
    model = make_trainable(base, lora and lora.model_copy(update={"target_modules": names}), 0).eval()
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.1)
    plain_loss, plain = gradients(model, padded(4))
    for cost in (ONE, SEPARATE, CostModel(pair=0.01, call=8.0, budget=120)):
        loss, found = gradients(model, trees(cost))
        assert loss == pytest.approx(plain_loss, rel=1e-5)
        assert float((found - plain).norm() / plain.norm()) < 1e-5


def test_the_cuts_differ() -> None:
    step = list(enumerate(rows(16)))
    counts = [len(trees(cost)(step)) for cost in (ONE, CostModel(pair=0.01, call=8.0, budget=120), SEPARATE)]
    assert counts[0] == 1 < counts[1] < counts[2] == 11, "rows that read the same are one path at any price"


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_twenty_steps(lora: LoraSettings | None, tmp_path: Path) -> None:
    plain = trajectory(tmp_path, lora, 4, 2)
    for cost in (ONE, SEPARATE, CostModel(pair=0.01, call=8.0, budget=120)):
        assert_same(trajectory(tmp_path, lora, 4, 2, cutter=trees(cost)), plain)


def test_gathering_keys_again_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = trajectory(tmp_path, LORA, 4, 2, cutter=trees(ONE))
    monkeypatch.setattr("exactune.render.attention.COPIES", 0)
    assert_same(trajectory(tmp_path, LORA, 4, 2, cutter=trees(ONE)), kept)


def test_gradient_checkpointing_changes_nothing(tmp_path: Path) -> None:
    without, weights = trajectory(tmp_path, LORA, 4, 2, cutter=trees(ONE))
    with_it, other = trajectory(tmp_path, LORA, 4, 2, cutter=trees(ONE), gradient_checkpointing=True)
    assert [loss for loss, _ in with_it] == pytest.approx([loss for loss, _ in without], rel=1e-5)
    assert float((weights - other).norm() / weights.norm()) < 1e-4


def test_blocks_are_the_mask() -> None:
    for part in trees(ONE)(list(enumerate(rows()))):
        assert isinstance(part.inputs, Tree)
        found = torch.zeros(1, 1, len(part.inputs), len(part.inputs), dtype=torch.bool)
        for block in blocks_of(part.inputs, torch.float32):
            assert bool((block.mask == 0).any(2).all()), "no key that nobody looks at"
            found[:, :, block.queries, block.keys] = block.mask == 0
        assert torch.equal(found, part.inputs.mask())


@pytest.mark.parametrize("lora", ["lora: {r: 4}", "lora: none"])
def test_how_it_was_trained_is_no_part_of_what_is_published(lora: str, task: Callable[..., Path]) -> None:
    run = exactune.train(task(lora))
    written = [file.read_text(encoding="utf-8") for file in run.artifact.glob("*.json")]
    assert written
    assert not [text for text in written if BY_BLOCKS in text]


def test_a_run_with_trees_is_the_run_with_padded_batches(task: Callable[..., Path], tmp_path: Path) -> None:
    runs = [
        exactune.train(task(), assignments=[f"engine={engine}", "r=4"], output=str(tmp_path / engine))
        for engine in ("tree", "plain")
    ]
    ours, plain = (list(read_jsonl(run.train_metrics)) for run in runs)
    assert [line["loss"] for line in ours if "loss" in line] == pytest.approx(
        [line["loss"] for line in plain if "loss" in line], rel=1e-5
    )
    assert [line["eval"]["loss"] for line in ours if "eval" in line] == pytest.approx(
        [line["eval"]["loss"] for line in plain if "eval" in line], rel=1e-4
    )


def choose(model: PreTrainedModel, engine: str = "auto", length: int = 0) -> tuple[Cutter, str | None]:
    training = TrainingConfig(engine=engine)  # type: ignore[arg-type]
    return choose_engine(model, [*rows(), *([Encoded("long", [5] * length, [2])] if length else [])], training)


@pytest.mark.parametrize("name", SHAPES)
def test_trees_are_chosen_where_they_are_exact(name: str) -> None:
    torch.manual_seed(0)
    assert choose(SHAPES[name]())[1] is None


def test_a_window_shorter_than_a_row_is_no_place_for_trees() -> None:
    model = SHAPES["mistral"](sliding_window=40)
    assert choose(model)[1] is None
    _, note = choose(model, length=60)
    assert note == "engine  padded batches: its attention window of 40 tokens is shorter than the longest row (61)"
    with pytest.raises(ConfigError, match="attention window of 40"):
        choose(model, "tree", length=60)


def test_a_model_that_nobody_tried_is_no_place_for_trees() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=400, hidden_size=16, num_hidden_layers=1, state_size=4))
    _, note = choose(model)
    assert note == "engine  padded batches: sharing prefixes has not been proved for models of type 'mamba'"


def test_a_model_that_goes_by_order_instead_of_positions_is_found_out() -> None:
    class Ordered(Qwen3ForCausalLM):
        def forward(self, *args, position_ids=None, **kwargs):  # type: ignore[no-untyped-def]
            return super().forward(*args, **kwargs)

    torch.manual_seed(0)
    model = Ordered(Qwen3Config(**SHAPE, head_dim=8))
    for parameter in model.parameters():
        parameter.data.mul_(8)  # as it is drawn, a model hardly attends to anything
    _, note = choose(model)
    assert note is not None
    assert "differs by" in note
    assert choose(model, "plain")[1] is None


def test_the_budget_is_what_the_largest_padded_batch_would_hold() -> None:
    long = [Encoded("long", [5] * 700, [2]), *rows()]
    model = tiny.model()
    assert tree_cost(model, long, TrainingConfig(per_device_train_batch_size=4)).budget == 4 * 701
    assert tree_cost(model, rows(), TrainingConfig(per_device_train_batch_size=4)).budget == 1024


@pytest.mark.parametrize(("count", "per_step", "ranks"), [(16, 4, 1), (22, 4, 1), (13, 6, 2), (13, 6, 4), (3, 8, 4)])
def test_each_epoch_takes_every_row_once_whatever_the_ranks(count: int, per_step: int, ranks: int) -> None:
    samplers = [StepSampler(count, per_step, 5, rank, ranks) for rank in range(ranks)]
    orders = []
    for epoch in (0, 1):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        steps = [[row for part in parts for row in part] for parts in zip(*samplers, strict=True)]
        orders.append([row for step in steps for row in step])
        assert sorted(orders[-1]) == list(range(count))
        assert len(steps) == len(samplers[0]) == -(-count // per_step)
        whole = StepSampler(count, per_step, 5)
        whole.set_epoch(epoch)
        assert steps == list(whole), "a step has the same rows, however many ranks share it"
    assert orders[0] != orders[1]
