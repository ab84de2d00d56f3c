"""Greedy answers in padded batches, what all prompts begin with read once, and the loss of given answers.

No logits are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from exactune.infer.head import Head, batches, read_head
from exactune.render.batch import answer_nll, collate, pad_prompts
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
        head = read_head(model, prompts, max_new_tokens)
        for batch in batches([len(prompt) for prompt in prompts], batch_size):
            rows = _decode_batch(model, template, [prompts[index] for index in batch], head, max_new_tokens)
            for index, row in zip(batch, rows, strict=True):
                answers[index] = Generation(template.decode(row.ids), row.stopped, row.logprob, len(row.ids))
            advance(len(batch))
    finally:
        model.train(was_training)
    return [answer for answer in answers if answer is not None]


def _decode_batch(
    model: torch.nn.Module, template: Template, prompts: Sequence[Sequence[int]], head: Head, max_new_tokens: int
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
        for batch in batches([len(row) for row in rows], batch_size):
            encoded = [rows[index] for index in batch]
            padded = collate([row.input_ids for row in encoded], [row.labels for row in encoded])
            total += float(answer_nll(model, {name: value.to(device) for name, value in padded.items()}))
            tokens += sum(len(row.answer_ids) for row in encoded)
            advance(len(batch))
    finally:
        model.train(was_training)
    return total / max(tokens, 1)
