"""The engine: whether rows are computed as trees or as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch

from exactune.config import TrainingConfig
from exactune.errors import ConfigError
from exactune.language import Text, say
from exactune.render.packing import CostModel, shared
from exactune.render.template import Encoded
from exactune.train.steps import Cutter, padded, trees

__all__ = ["choose_engine", "tree_cost"]

LEAST_BUDGET = 1024
"""Tokens; a tree this long takes less memory than one layer of a small model."""
BACKWARD = 1.75
"""Attention backward costs 2.5 times its forward, linear layers with frozen weights once: (1 + 2.5) / (1 + 1)."""
ATTENTIONS = ("sdpa", "eager")
"""Implementations that take any mask."""
PROBE_TOKENS = 256
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Relative, of the loss of two rows computed both ways."""


def choose_engine(
    model: torch.nn.Module, rows: Sequence[Encoded], training: TrainingConfig
) -> tuple[Cutter, Text | None]:
    """How a step's rows are cut into forward passes, and why not into trees if they are not.

    Raises:
        ConfigError: ``training.engine`` is ``tree``, and trees would be wrong for this model.
    """
    plain = padded(training.per_device_train_batch_size)
    if training.engine == "plain":
        return plain, None
    reason = next(_obstacles(model, rows), None)
    if reason is None:
        return trees(tree_cost(model, rows, training)), None
    if training.engine == "tree":
        raise ConfigError(say("`training.engine: tree`: {reason}. Use `auto` or `plain`.", reason=reason))
    return plain, say("engine  padded batches: {reason}", reason=reason)


def tree_cost(model: torch.nn.Module, rows: Sequence[Encoded], training: TrainingConfig) -> CostModel:
    """What trees cost for a model's shape; their budget is what the largest padded batch would hold."""
    config = model.config.get_text_config()
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    linear = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.weight.shape[0] != config.vocab_size
    )
    # Multiplications for a token and for a pair: weights, and a score and a sum in every head.
    pair = 2 * layers * heads * head / max(linear, 1)
    longest = max(len(row) for row in rows)
    budget = max(LEAST_BUDGET, training.per_device_train_batch_size * longest)
    return CostModel(pair=BACKWARD * pair, budget=budget)


def _obstacles(model: torch.nn.Module, rows: Sequence[Encoded]) -> Iterator[Text]:
    """Why trees would be wrong, cheapest question first."""
    config = model.config.get_text_config()
    if getattr(model, "_is_stateful", False) or "linear_attention" in (getattr(config, "layer_types", None) or ()):
        yield say("the model has recurrent layers, which see tokens in one order")
    window = _window(config)
    longest = max(len(row) for row in rows)
    if window is not None and window < longest:
        yield say(
            "its attention window of {window} tokens is shorter than the longest row ({longest})",
            window=window,
            longest=longest,
        )
    attention = getattr(config, "_attn_implementation", None)
    if attention not in ATTENTIONS:
        yield say("attention of the kind {attention!r} takes no mask of ours", attention=attention)
    if (difference := _difference(model, rows)) > TOLERANCE.get(
        next(model.parameters()).dtype, TOLERANCE[torch.bfloat16]
    ):
        yield say(
            "this model's loss of two rows differs by {difference:.1%} when they share their prefix",
            difference=difference,
        )


def _window(config: object) -> int | None:
    window: int | None = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    slides = getattr(config, "use_sliding_window", True) and (kinds is None or "sliding_attention" in kinds)
    return window if slides else None


@torch.no_grad()
def _difference(model: torch.nn.Module, rows: Sequence[Encoded]) -> float:
    """Relative difference between the loss of two rows in a tree and in a padded batch."""
    device = next(model.parameters()).device
    pair = _probe(rows)
    was_training = model.training
    model.eval()
    try:
        everything = CostModel(pair=0.0, budget=2**31)
        (tree,) = trees(everything)(pair)
        (batch,) = padded(2)(pair)
        together, apart = tree.nll(model, device), batch.nll(model, device)
    finally:
        model.train(was_training)
    return float((together - apart).abs() / apart.abs().clamp(min=1e-6))


def _probe(rows: Sequence[Encoded]) -> list[tuple[int, Encoded]]:
    """Two rows that share a prefix, short ones if there are any; else the same row twice, with another answer."""
    short = sorted(rows, key=lambda row: len(row) > PROBE_TOKENS)[:1000]
    ordered = sorted(short, key=lambda row: row.input_ids)
    first, second = max(
        pairwise(ordered) if len(ordered) > 1 else [(ordered[0], ordered[0])],
        key=lambda two: shared(two[0].input_ids, two[1].input_ids) * (two[0].input_ids != two[1].input_ids),
    )
    return [(0, first), (1, second)]
