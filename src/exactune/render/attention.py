"""Attention over a tree, block by block.

A tree's mask is mostly empty: a row looks at what it shares and at itself, not at its neighbours. Queries are taken in
blocks, and each block is given only the keys that one of its queries looks at. The sums are those of full attention
with the tree's mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
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
    """Let a model that uses ``sdpa`` attend by blocks where it is given them, and as before elsewhere."""
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
    scaling: float | None = None,
    tree_blocks: Sequence[Block] | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: ``[batch, heads, time, size]`` -> ``[batch, time, heads, size]``."""
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
