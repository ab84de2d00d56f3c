"""Attention over a tree, block by block, and over a head that all rows of a batch share.

A tree's mask is mostly empty: a row looks at what it shares and at itself, not at its neighbours. Queries are taken in
blocks, and each block is given only the keys that one of its queries looks at. The sums are those of full attention
with the tree's mask.

A head is computed once, and its keys and values are never repeated for each row: queries of all rows meet them in one
product, and what they find is weighed against what each row finds in itself, by the sums of their exponentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from exactune.render.packing import Tree

__all__ = ["BY_BLOCKS", "Block", "attend_by_blocks", "blocks_of"]

BY_BLOCKS = "sdpa_by_blocks"
"""What transformers knows it by."""
QUERIES = 96
"""In a block. Smaller blocks read fewer keys and make more calls; measured at 48, 96 and 160."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some queries, and all that they look at.

    Attributes:
        queries: Positions.
        keys: Positions, int64 ``[keys]``.
        mask: Added to the scores, ``[1, 1, queries, keys]``.
    """

    queries: slice
    keys: torch.Tensor
    mask: torch.Tensor


def blocks_of(tree: Tree, dtype: torch.dtype) -> list[Block]:
    """All queries of a tree, in order."""
    found = []
    place = torch.arange(len(tree), device=tree.end.device)
    for start in range(0, len(tree), QUERIES):
        queries = place[start : start + QUERIES]
        # A key is looked at from itself up to its end.
        keys = (tree.end[: start + QUERIES] > start).nonzero().flatten()
        hidden = (keys > queries[:, None]) | (tree.end[keys] <= queries[:, None])
        mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, torch.finfo(dtype).min)
        found.append(Block(slice(start, start + len(queries)), keys, mask[None, None]))
    return found


def attend_by_blocks(model: torch.nn.Module) -> None:
    """Let a model that uses ``sdpa`` attend by blocks or to a shared head where it is given them.

    Elsewhere it attends as before. They are arguments of its forward pass: ``tree_blocks``, of :func:`blocks_of`, and
    ``shared_head``, a cache of batch 1.
    """
    AttentionInterface.register(BY_BLOCKS, _attention)
    AttentionMaskInterface.register(BY_BLOCKS, sdpa_mask)
    model.set_attn_implementation(BY_BLOCKS)


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float = 1.0,
    tree_blocks: Sequence[Block] | None = None,
    shared_head: DynamicCache | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: ``[batch, heads, time, size]`` -> ``[batch, time, heads, size]``."""
    if shared_head is not None:
        layer = shared_head.layers[module.layer_idx]
        return _beside_head(query, key, value, attention_mask, scaling, layer.keys[0], layer.values[0]), None
    if tree_blocks is None:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    groups = query.shape[1] // key.shape[1]
    parts = []
    for block in tree_blocks:
        seen, known = (_repeated(states.index_select(2, block.keys), groups) for states in (key, value))
        parts.append(
            scaled_dot_product_attention(
                query[:, :, block.queries], seen, known, attn_mask=block.mask, dropout_p=dropout, scale=scaling
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _repeated(states: torch.Tensor, groups: int) -> torch.Tensor:
    """Keys or values for each query head."""
    return states if groups == 1 else states.repeat_interleave(groups, dim=1)


def _beside_head(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scaling: float,
    head_key: torch.Tensor,
    head_value: torch.Tensor,
) -> torch.Tensor:
    """Each row's attention to a head that it sees all of, and to itself.

    Args:
        query: ``[batch, heads, time, size]``.
        key: Each row's own, ``[batch, groups, own, size]``.
        value: The same shape.
        mask: Added to the scores of a row's own keys, ``[batch, 1, time, own]``.
        scaling: Of all scores.
        head_key: ``[groups, length, size]``.
        head_value: The same shape.

    Returns:
        ``[batch, time, heads, size]``.
    """
    batch, heads, time, size = query.shape
    groups = key.shape[1]
    each = heads // groups
    query = (query * scaling).view(batch, groups, each, time, size)
    to_head = query.transpose(0, 1).reshape(groups, -1, size) @ head_key.transpose(1, 2)
    to_own = query.reshape(batch, groups, each * time, size) @ key.transpose(2, 3)
    to_own = (to_own.view(batch, groups, each, time, -1) + mask[:, :, None]).view(batch, groups, each * time, -1)
    of_head, in_head = _read(to_head, head_value)
    of_own, in_own = _read(to_own, value)
    of_head = of_head.view(groups, batch, each, time, size).transpose(0, 1)
    in_head = in_head.view(groups, batch, each, time, 1).transpose(0, 1)
    share = (in_head - in_own.view(batch, groups, each, time, 1)).sigmoid().to(value.dtype)
    of_own = of_own.view(batch, groups, each, time, size)
    return (share * of_head + (1 - share) * of_own).permute(0, 3, 1, 2, 4).reshape(batch, time, heads, size)


def _read(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of the values by their scores, and the logarithm of the scores' summed exponentials."""
    scores = scores.float()
    top = scores.amax(-1, keepdim=True)
    weights = (scores - top).exp()
    total = weights.sum(-1, keepdim=True)
    return weights.to(values.dtype) @ values / total.to(values.dtype), (top + total.log()).squeeze(-1)
