"""Rows of ids as one padded batch.

Padding is on the left: every row then ends at the last position, so the next token of a prompt and the answers of
training rows stand together at the right edge, and logits are needed there only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from exactune.render.attention import blocks_of, goes_by_blocks
from exactune.render.packing import Tree
from exactune.render.template import IGNORED

__all__ = [
    "answer_logps", "answer_nll", "collate", "dtype_of", "pad_left", "pad_prompts", "tree_logps", "tree_nll",
]  # fmt: skip


def pad_left(rows: Sequence[Sequence[int]], padding: int = 0) -> torch.Tensor:
    """int64 ``[batch, time]``."""
    width = max(len(row) for row in rows)
    return torch.tensor([[padding] * (width - len(row)) + list(row) for row in rows], dtype=torch.long)


def pad_prompts(rows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """``input_ids``, ``attention_mask``, ``position_ids``, each int64 ``[batch, time]``.

    The mask comes from lengths, never from a padding id, which may well be a token that matters.
    """
    mask = pad_left([[1] * len(row) for row in rows])
    return {"input_ids": pad_left(rows), "attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def collate(input_ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """:func:`pad_prompts` of whole rows, and their ``labels`` with padding ignored, int64 ``[batch, time]``."""
    return {**pad_prompts(input_ids), "labels": pad_left(labels, IGNORED)}


def answer_nll(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed negative log-likelihood of the labelled tokens of a left-padded batch (nats, scalar)."""
    return _batch_losses(model, batch).sum()


def answer_logps(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-likelihood of each row's labelled tokens (nats, float32 ``[batch]``)."""
    return -_batch_losses(model, batch).sum(1)


def _batch_losses(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Of each token from the first labelled position on, 0 where there is no label, ``[batch, time]``.

    Logits are made there only. With a prompt of 60 tokens and an answer of 8 that is most of the output layer's work
    saved, and with a small model most of the step's.
    """
    labels = batch["labels"]
    labelled = (labels != IGNORED).any(0).nonzero()
    kept = labels.shape[1] - int(labelled[0])
    # Logits predict the token after their position, so the last token is never read.
    inputs = {name: value[:, :-1] for name, value in batch.items() if name != "labels"}
    logits = model(**inputs, use_cache=False, logits_to_keep=kept).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), labels[:, -kept:].flatten(), ignore_index=IGNORED, reduction="none"
    ).view(-1, kept)


def tree_nll(model: torch.nn.Module, tree: Tree) -> torch.Tensor:
    """Summed negative log-likelihood of the answers in a tree (nats, scalar)."""
    return _tree_losses(model, tree) @ tree.weight


def tree_logps(model: torch.nn.Module, tree: Tree) -> torch.Tensor:
    """Log-likelihood of each row's answer, in the order in which they were packed (nats, float32 ``[rows]``)."""
    losses = _tree_losses(model, tree)[tree.path]
    return -losses.new_zeros(int(tree.row[-1]) + 1).index_add(0, tree.row, losses)


def _tree_losses(model: torch.nn.Module, tree: Tree) -> torch.Tensor:
    """Of each target, float32 ``[targets]``; logits are made at the positions that predict answers only."""
    attention: dict[str, Any] = {}
    if not tree.is_path and goes_by_blocks(model):
        # A mask of four dimensions is handed on as it is; nobody looks at this one.
        nothing = torch.zeros(1, 1, 1, 1, device=tree.end.device)
        attention = {"attention_mask": nothing, "tree_blocks": blocks_of(tree, dtype_of(model))}
    elif not tree.is_path:
        attention = {"attention_mask": additive(tree.mask(), model)}
    logits = model(
        input_ids=tree.input_ids[None], position_ids=tree.position_ids[None], use_cache=False,
        logits_to_keep=tree.source, **attention,
    ).logits[0]  # fmt: skip
    return torch.nn.functional.cross_entropy(logits.float()[tree.predicted_from], tree.target, reduction="none")


def additive(mask: torch.Tensor, model: torch.nn.Module) -> torch.Tensor:
    """A bool mask as what is added to attention scores, which every kind of attention takes."""
    dtype = dtype_of(model)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)


def dtype_of(model: torch.nn.Module) -> torch.dtype:
    """In what a model computes; weights in fewer bits are no numbers by themselves."""
    return next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
