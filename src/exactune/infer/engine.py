"""Greedy answers in padded batches, what all prompts begin with read once, and the loss of given answers.

No logits are kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from exactune.infer.attention import obstacle_to_sharing
from exactune.render.batch import answer_nll, collate, pad_prompts
from exactune.render.packing import shared
from exactune.render.template import Encoded, Template
from exactune.types import Generation

__all__ = ["answer_loss", "generate"]


@dataclass(slots=True)
class _Row:
    """A row while it is being answered."""

    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    stopped: bool = False


@torch.inference_mode()
def generate(
    model: torch.nn.Module,
    template: Template,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Generation]:
    """Answer every prompt greedily.

    Args:
        model: A causal language model; it is put into evaluation mode for the call.
        template: Gives the stop tokens and decodes.
        prompts: Ids of each prompt.
        max_new_tokens: A row that has not stopped by then has ``stopped=False``.
        batch_size: Prompts answered together, longest first.
        advance: Called with the number of prompts just answered; may raise to end the work.

    Returns:
        One generation per prompt, in the order given.
    """
    was_training = model.training
    model.eval()
    answers: list[Generation | None] = [None] * len(prompts)
    try:
        head = _read_head(model, prompts, max_new_tokens)
        for batch in _batches([len(prompt) for prompt in prompts], batch_size):
            rows = _decode_batch(model, template, [prompts[index] for index in batch], head, max_new_tokens)
            for index, row in zip(batch, rows, strict=True):
                answers[index] = Generation(template.decode(row.ids), row.stopped, row.logprob, len(row.ids))
            advance(len(batch))
    finally:
        model.train(was_training)
    return [answer for answer in answers if answer is not None]


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices by falling length, so that a batch has little padding and memory peaks first."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@dataclass(frozen=True, slots=True)
class _Head:
    """What all prompts begin with.

    Attributes:
        length: In tokens; 0 if they have nothing in common, or there is only one.
        cache: The model's state after it, of batch 1.
    """

    length: int
    cache: DynamicCache

    def repeated(self, rows: int) -> DynamicCache:
        """A state of its own for each row."""
        cache = copy.deepcopy(self.cache)
        if self.length:
            cache.batch_repeat_interleave(rows)
        return cache


def _read_head(model: torch.nn.Module, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> _Head:
    ordered = sorted(map(list, prompts))
    length = 0
    if len(prompts) > 1 and _may_share(model, max(map(len, prompts)) + max_new_tokens):
        # Each row keeps a token of its own, from whose logits its answer begins.
        length = min(shared(ordered[0], ordered[-1]), min(map(len, prompts)) - 1)
    cache = DynamicCache()
    if length:
        ids = torch.tensor([ordered[0][:length]], device=next(model.parameters()).device)
        model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return _Head(length, cache)


def _may_share(model: torch.nn.Module, longest: int) -> bool:
    config = getattr(model, "config", None)
    return config is not None and obstacle_to_sharing(config.get_text_config(), longest) is None


def _decode_batch(
    model: torch.nn.Module, template: Template, prompts: Sequence[Sequence[int]], head: _Head, max_new_tokens: int
) -> list[_Row]:
    device = next(model.parameters()).device
    stops = set(template.stop_ids)
    rows = [_Row() for _ in prompts]
    alive = list(range(len(rows)))
    cache: Any = head.repeated(len(rows))
    batch = {name: value.to(device) for name, value in pad_prompts([row[head.length :] for row in prompts]).items()}
    ids, positions = batch["input_ids"], batch["position_ids"] + head.length
    mask = torch.nn.functional.pad(batch["attention_mask"], (head.length, 0), value=1)
    for step in range(max_new_tokens):
        output = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip
        logprobs = output.logits[:, -1].float().log_softmax(-1)
        best = logprobs.max(-1)
        for index, token, logprob in zip(alive, best.indices.tolist(), best.values.tolist(), strict=True):
            rows[index].ids.append(token)
            rows[index].logprob += logprob
            rows[index].stopped = token in stops
        keep = [slot for slot, index in enumerate(alive) if not rows[index].stopped]
        if not keep or step == max_new_tokens - 1:
            break
        # Finished rows leave the batch: their slots would cost as much as live ones.
        slots = torch.tensor(keep, device=device)
        if len(keep) < len(alive):
            cache.batch_select_indices(slots)
            alive = [alive[slot] for slot in keep]
        ids = best.indices[slots].unsqueeze(-1)
        mask = torch.cat([mask[slots], mask.new_ones(len(keep), 1)], dim=-1)
        positions = positions[slots, -1:] + 1
    return rows


@torch.inference_mode()
def answer_loss(
    model: torch.nn.Module,
    rows: Sequence[Encoded],
    *,
    batch_size: int = 16,
    advance: Callable[[int], None] = lambda _: None,
) -> float:
    """Mean negative log-likelihood of the answer tokens, stop token included (nats per token).

    Every token of every row counts the same, as in training.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    total, tokens = 0.0, 0
    try:
        for batch in _batches([len(row) for row in rows], batch_size):
            encoded = [rows[index] for index in batch]
            padded = collate([row.input_ids for row in encoded], [row.labels for row in encoded])
            total += float(answer_nll(model, {name: value.to(device) for name, value in padded.items()}))
            tokens += sum(len(row.answer_ids) for row in encoded)
            advance(len(batch))
    finally:
        model.train(was_training)
    return total / max(tokens, 1)
