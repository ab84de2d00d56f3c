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
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from exactune.render.packing import Tree

__all__ = ["BY_BLOCKS", "Block", "attend_by_blocks", "blocks_of", "goes_by_blocks"]

BY_BLOCKS = "sdpa_by_blocks"
"""What transformers knows it by."""
QUERIES = 96
"""In a block. Smaller blocks read fewer keys and make more calls; measured at 48, 96 and 160."""
COPIES = 8
"""How often the keys of a tree may be kept for its backward pass."""
SCORES = 2**25
"""Most scores held at a time, where no kernel of the library keeps them few: 128 MB in float32."""


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
    if model.config.get_text_config()._attn_implementation != "sdpa":
        return
    AttentionInterface.register(BY_BLOCKS, _attention)
    AttentionMaskInterface.register(BY_BLOCKS, sdpa_mask)
    model.set_attn_implementation(BY_BLOCKS)


def goes_by_blocks(model: torch.nn.Module) -> bool:
    """Whether it does; for the model or what wraps it for several ranks."""
    config = getattr(model, "module", model).config.get_text_config()
    return bool(config._attn_implementation == BY_BLOCKS)


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    tree_blocks: Sequence[Block] | None = None,
    shared_head: DynamicCache | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: ``[batch, heads, time, size]`` -> ``[batch, time, heads, size]``."""
    if shared_head is not None:
        return _beside_head(query, key, value, attention_mask, scaling, shared_head.layers[module.layer_idx]), None
    if tree_blocks is None:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, block: Block) -> torch.Tensor:
        seen, known = (_repeated(states.index_select(2, block.keys), query.shape[1]) for states in (key, value))
        return scaled_dot_product_attention(query, seen, known, attn_mask=block.mask, dropout_p=dropout, scale=scaling)

    # Blocks of long rows keep many keys for the backward pass, which can as well be gathered again.
    gathers_again = query.requires_grad and sum(len(block.keys) for block in tree_blocks) > COPIES * query.shape[2]
    parts = []
    for block in tree_blocks:
        inputs = (query[:, :, block.queries], key, value, block)
        parts.append(checkpoint(attend, *inputs, use_reentrant=False) if gathers_again else attend(*inputs))
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _repeated(states: torch.Tensor, heads: int) -> torch.Tensor:
    """Keys or values for each query head."""
    groups = heads // states.shape[1]
    return states if groups == 1 else states.repeat_interleave(groups, dim=1)


def _beside_head(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    head: Any,
) -> torch.Tensor:
    """Each row's attention to a head that it sees all of, and to itself.

    Args:
        query: ``[batch, heads, time, size]``.
        key: Each row's own, ``[batch, groups, own, size]``.
        value: The same shape.
        mask: Added to the scores of a row's own keys, ``[batch, 1, time, own]``.
        scaling: Of all scores.
        head: Its ``keys`` and ``values``, ``[1, groups, length, size]``.

    Returns:
        ``[batch, time, heads, size]``.
    """
    batch, heads, time, size = query.shape
    groups, own = key.shape[1:3]
    scaling = size**-0.5 if scaling is None else scaling
    grouped = query.view(batch, groups, heads // groups, time, size)
    of_head, in_head = (
        found.view(groups, batch, heads // groups, time, -1).transpose(0, 1)
        for found in _read_head(grouped.transpose(0, 1).reshape(groups, -1, size), head, scaling)
    )
    width = max(1, SCORES // (batch * heads * own))
    parts = []
    for start in range(0, time, width):
        part = grouped[:, :, :, start : start + width]
        shape = part.shape[:-1]
        to_own = (part.reshape(batch, groups, -1, size) @ key.transpose(2, 3)).float() * scaling
        if mask is not None:
            to_own = (to_own.view(*shape, own) + mask[:, :, None, start : start + width]).view(batch, groups, -1, own)
        of_own, in_own = (found.view(*shape, -1) for found in _read(to_own, value))
        share = (in_head[..., start : start + width, :] - in_own).sigmoid().to(value.dtype)
        parts.append(share * of_head[..., start : start + width, :] + (1 - share) * of_own)
    return torch.cat(parts, dim=3).permute(0, 3, 1, 2, 4).reshape(batch, time, heads, size)


def _read_head(query: torch.Tensor, head: Any, scaling: float) -> tuple[torch.Tensor, torch.Tensor]:
    """What queries find in a head that they see all of, and the logarithm of their scores' summed exponentials.

    Args:
        query: ``[groups, queries, size]``.
        head: Its ``keys`` and ``values``, ``[1, groups, length, size]``.
        scaling: Of all scores.

    Returns:
        ``[groups, queries, size]`` and ``[groups, queries, 1]``.
    """
    if query.device.type == "cpu" and head.keys.shape == head.values.shape:
        # The kernel behind scaled_dot_product_attention: it keeps no scores, and tells their sums by this name only.
        found, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query[None], head.keys, head.values, scale=scaling
        )
        return found[0], sums[0, ..., None]
    width = max(1, SCORES // (query.shape[0] * head.keys.shape[2]))
    keys = head.keys[0].transpose(1, 2)
    parts = [_read((part @ keys).float() * scaling, head.values[0]) for part in query.split(width, dim=1)]
    found, sums = (torch.cat(whole, dim=1) for whole in zip(*parts, strict=True))
    return found, sums


def _read(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of the values by their scores, and the logarithm of the scores' summed exponentials; scores are used up."""
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    total = weights.sum(-1, keepdim=True)
    return weights.to(values.dtype) @ values / total.to(values.dtype), top + total.log()
