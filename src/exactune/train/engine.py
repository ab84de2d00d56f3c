"""The engine: whether rows are computed as trees or as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from exactune.config import TrainingConfig
from exactune.errors import ConfigError
from exactune.infer.attention import obstacle_to_sharing
from exactune.infer.model import evaluating
from exactune.infer.quantize import size
from exactune.language import Text, say
from exactune.render.attention import BY_BLOCKS, attend_by_blocks
from exactune.render.batch import dtype_of
from exactune.render.packing import CostModel
from exactune.render.template import Encoded
from exactune.train.steps import Cutter, padded, trees

__all__ = ["answers_cutter", "choose_engine", "tree_cost"]

LEAST_BUDGET = 1024
"""Tokens."""
BACKWARD = 1.75
"""Attention backward costs 2.5 times its forward, linear layers with frozen weights once: (1 + 2.5) / (1 + 1)."""
ATTENTIONS = ("sdpa", "eager", BY_BLOCKS)
"""Implementations that take any mask."""
PROBE_TOKENS = 256
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Relative, of the loss of two rows computed both ways."""


def choose_engine(
    model: torch.nn.Module, rows: Sequence[Encoded], training: TrainingConfig
) -> tuple[CostModel | None, Text | None]:
    """What trees cost, or ``None`` where rows are computed in padded batches, and why if nobody asked for them.

    Args:
        model: As it will be trained.
        rows: Every row that is computed, both answers of a preference pair.
        training: The resolved training block.

    Raises:
        ConfigError: ``training.engine`` is ``tree``, and trees would be wrong for this model.
    """
    if training.engine == "plain":
        return None, None
    reason = next(_obstacles(model, rows), None)
    if reason is None:
        return tree_cost(model, rows, training), None
    if training.engine == "tree":
        raise ConfigError(say("`training.engine: tree`: {reason}. Use `auto` or `plain`.", reason=reason))
    return None, say("engine  padded batches: {reason}", reason=reason)


def answers_cutter(cost: CostModel | None, training: TrainingConfig) -> Cutter:
    """How a step's rows are cut into forward passes, for what :func:`choose_engine` chose."""
    return padded(training.per_device_train_batch_size) if cost is None else trees(cost)


def tree_cost(model: torch.nn.Module, rows: Sequence[Encoded], training: TrainingConfig) -> CostModel:
    """What trees cost for a model's shape; their budget is what the largest padded batch would hold."""
    config = model.config.get_text_config()
    longest = max(len(row) for row in rows)
    budget = max(LEAST_BUDGET, training.per_device_train_batch_size * longest)
    if config._attn_implementation == BY_BLOCKS:
        # A row's attention costs the same beside others as alone.
        return CostModel(pair=0.0, budget=budget)
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    linear = sum(
        size(module.weight)
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features != config.vocab_size
    )
    # Multiplications for a token and for a pair: weights, and a score and a sum in every head.
    pair = 2 * layers * heads * head / max(linear, 1)
    return CostModel(pair=BACKWARD * pair, budget=budget)


def _obstacles(model: torch.nn.Module, rows: Sequence[Encoded]) -> Iterator[Text]:
    """Why trees would be wrong, cheapest question first; the last one is asked of attention as it will be."""
    config = model.config.get_text_config()
    if obstacle := obstacle_to_sharing(config, max(len(row) for row in rows)):
        yield obstacle
    attention = getattr(config, "_attn_implementation", None)
    if attention not in ATTENTIONS:
        yield say("attention of the kind {attention!r} takes no mask of ours", attention=attention)
    attend_by_blocks(model)
    difference = _difference(model, rows)
    # Not `>`: a difference that is no number is an obstacle, too.
    if not difference <= TOLERANCE.get(dtype_of(model), TOLERANCE[torch.bfloat16]):
        yield say(
            "this model's loss of two rows differs by {difference:.1%} when they share their prefix",
            difference=difference,
        )


@torch.no_grad()
def _difference(model: torch.nn.Module, rows: Sequence[Encoded]) -> float:
    """Relative difference between the loss of two rows in a tree and in a padded batch."""
    device = next(model.parameters()).device
    pair = _probe(rows)
    with evaluating(model):
        everything = CostModel(pair=0.0, budget=2**31)
        (tree,) = trees(everything)(pair)
        (batch,) = padded(2)(pair)
        together, apart = tree.nll(model, device), batch.nll(model, device)
    return float((together - apart).abs() / apart.abs().clamp(min=1e-6))


def _probe(rows: Sequence[Encoded]) -> list[tuple[int, Encoded]]:
    """A row, and one that leaves it halfway through the prompt, so that their branches lie side by side in a tree."""
    row = min(rows, key=len)
    prompt, answer = row.prompt_ids[-PROBE_TOKENS:], row.answer_ids[:PROBE_TOKENS]
    half = len(prompt) // 2
    other = prompt[:half] + prompt[:half:-1] + prompt[half : half + 1]
    return [(0, Encoded(row.id, prompt, answer)), (1, Encoded(row.id, other, answer))]
