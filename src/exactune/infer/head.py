"""What all prompts begin with, read once; and prompts in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from peft import PeftModel
from transformers import DynamicCache

from exactune.infer.attention import obstacle_to_sharing
from exactune.render.attention import attend_by_blocks, goes_by_blocks
from exactune.render.batch import additive
from exactune.render.packing import shared

__all__ = ["Head", "batches", "call_cost", "kept_in", "may_share", "read_head", "width_of"]

LEAST = 8
"""Shorter heads are read with each row, in the library's own attention."""
CALL = 64
"""What a forward pass costs by itself, in tokens;"""
CALL_OF_DEVICE = 1024
"""and on a GPU, which a few tokens do not fill. Both only decide how fast the same answers are there."""


def call_cost(device: torch.device) -> int:
    """What a forward pass costs by itself, in tokens."""
    return CALL if device.type == "cpu" else CALL_OF_DEVICE


def width_of(waiting: Sequence[int], device: torch.device) -> int:
    """How many tokens of a row to read at a time: what reads most for its cost, of which padding is part.

    Args:
        waiting: How many tokens each row has to read, at least one of them any.
        device: Of the model.
    """
    call = call_cost(device)
    return max(set(waiting), key=lambda width: sum(min(row, width) for row in waiting) / (call + width * len(waiting)))


def batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices by falling length, so that a batch has little padding and memory peaks first."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@dataclass(frozen=True, slots=True)
class Head:
    """What all prompts begin with.

    Attributes:
        length: In tokens; 0 if they have nothing in common, or may not share it.
        cache: The model's state after it, of batch 1.
    """

    length: int
    cache: DynamicCache

    def mask(self, model: torch.nn.Module, seen: torch.Tensor, time: int) -> dict[str, Any]:
        """The arguments by which rows see the head and themselves.

        Args:
            model: The model.
            seen: Which of a row's own tokens are no padding, those about to be read last; int64 ``[batch, own]``.
            time: How many are about to be read.
        """
        if not self.length:
            return {"attention_mask": seen}
        place = torch.arange(seen.shape[1], device=seen.device)
        return self.given(model, seen.bool()[:, None, None] & (place <= place[-time:, None]))

    def given(self, model: torch.nn.Module, mask: torch.Tensor) -> dict[str, Any]:
        """The same by a mask of its own, bool ``[batch, 1, time, own]``."""
        return {"attention_mask": additive(mask, model)} | ({"shared_head": self.cache} if self.length else {})


def read_head(model: torch.nn.Module, prompts: Sequence[Sequence[int]], room: int) -> Head:
    """Read once what all prompts begin with.

    Args:
        model: In evaluation mode.
        prompts: Ids of each prompt.
        room: Tokens that may follow the longest prompt.
    """
    ordered = sorted(map(list, prompts))
    length = 0
    if len(prompts) > 1 and may_share(model, max(map(len, prompts)) + room):
        attend_by_blocks(model)
        # Each row keeps a token of its own, from whose logits its answer begins.
        common = min(shared(ordered[0], ordered[-1]), min(map(len, prompts)) - 1)
        length = common if common >= LEAST and goes_by_blocks(model) else 0
    cache = DynamicCache()
    if length:
        ids = torch.tensor([ordered[0][:length]], device=next(model.parameters()).device)
        model(input_ids=ids, **kept_in(model, cache), logits_to_keep=1)
    return Head(length, cache)


def kept_in(model: torch.nn.Module, cache: DynamicCache) -> dict[str, Any]:
    """The arguments by which a model reads from a cache and adds to it.

    What was ``past_key_values`` is ``cache`` in newer models of transformers, and the old name is to go.
    """
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    name = "cache" if "cache" in signature(inner.forward).parameters else "past_key_values"
    return {name: cache, "use_cache": True}


def may_share(model: torch.nn.Module, longest: int) -> bool:
    """Whether the model goes by positions alone where up to ``longest`` tokens are in its cache."""
    config = getattr(model, "config", None)
    return config is not None and obstacle_to_sharing(config.get_text_config(), longest) is None
