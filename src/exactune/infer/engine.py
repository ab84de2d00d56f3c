"""Greedy answers in padded batches, what all prompts begin with read once, and the loss of given answers.

No logits are kept. A grammar limits what may come next; what it leaves no choice for is read together with the token
before it, so rows of a batch read different numbers of tokens at a time.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from exactune.infer.grammar import Grammar, Pen
from exactune.infer.head import Head, batches, kept_in, may_share, read_head, width_of
from exactune.infer.model import evaluating
from exactune.render.batch import answer_nll, collate, pad_prompts, tree_nll
from exactune.render.packing import CostModel, cut, pack
from exactune.render.template import Encoded, Template
from exactune.types import Generation

__all__ = ["answer_loss", "generate"]

TREE = 2048
"""Most tokens of a tree, unless a row is longer."""

CLOSING = 256
"""Tokens in which an answer under a grammar that has had its room may close what is open in it."""


@dataclass(slots=True)
class _Row:
    """A row while it is being answered.

    Attributes:
        room: How many tokens it may have.
        stops: The stop tokens.
        pen: Its place in a grammar.
        ids: Its answer.
        logprob: Of the tokens that were chosen.
        logprobs: Of each of its tokens, NaN for those that were not.
        forced: How many were not.
        read: How many the model has read.
    """

    room: int
    stops: Collection[int]
    pen: Pen | None
    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    logprobs: array[float] = field(default_factory=lambda: array("f"))
    forced: int = 0
    read: int = 0

    @property
    def stopped(self) -> bool:
        return bool(self.ids) and self.ids[-1] in self.stops

    @property
    def closes(self) -> bool:
        """Whether it has had its room, and goes on only to end as its grammar wants it."""
        return self.pen is not None and len(self.ids) >= self.room

    @property
    def limit(self) -> int:
        return self.room if self.pen is None else self.room + CLOSING

    @property
    def ended(self) -> bool:
        return self.stopped or len(self.ids) >= self.limit

    @property
    def chooses(self) -> bool:
        """Whether the model has read all of it, so that its logits are for the next token."""
        return self.read == len(self.ids)

    def choose(self, token: int, logprob: float) -> None:
        self.ids.append(token)
        self.logprob += logprob
        self.logprobs.append(logprob)
        if self.pen is not None and not self.stopped:
            self.pen.write(token)
            self.follow()

    def follow(self) -> None:
        """Append what can only come next."""
        if self.pen is not None:
            forced = self.pen.forced()[: self.limit - len(self.ids)]
            self.ids += forced
            self.forced += len(forced)
            self.logprobs.extend([math.nan] * len(forced))

    def next(self, limit: int | None = None) -> list[int]:
        """Tokens to be read, now that they will be."""
        part = self.ids[self.read :][:limit]
        self.read += len(part)
        return part


@torch.inference_mode()
def generate(
    model: torch.nn.Module,
    template: Template,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int = 32,
    grammar: Grammar | None = None,
    sources: Sequence[str] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Generation]:
    """Answer every prompt greedily.

    Args:
        model: A causal language model; it is put into evaluation mode for the call.
        template: Gives the stop tokens and decodes.
        prompts: Ids of each prompt.
        max_new_tokens: A row that has not stopped by then has ``stopped=False``. Under a grammar it first has
            :data:`CLOSING` more to end as the grammar wants it, by the shortest way, and is ``closed``.
        batch_size: Prompts answered together, longest first.
        grammar: What answers may be; ``None`` allows anything. Where it leaves no choice, a model whose attention goes
            by positions reads several tokens at a time. The answers are the same for any other, one at a time.
        sources: What texts are copied from, one per prompt, where the grammar asks for it.
        advance: Called with the number of prompts just answered; may raise to end the work.

    Returns:
        One generation per prompt, in the order given.
    """
    if grammar is not None and grammar.copy is not None and sources is None:
        raise ValueError("the grammar copies, but there is nothing said to copy from")
    answers: list[Generation | None] = [None] * len(prompts)
    most = max_new_tokens if grammar is None else max_new_tokens + CLOSING
    with evaluating(model):
        head = read_head(model, prompts, most)
        # Padding between the tokens of a row is in the cache, too: at worst, every token of the batch has its own slot.
        longest = max(map(len, prompts), default=0) + most * batch_size
        skips = grammar is not None and may_share(model, longest)
        for batch in batches([len(prompt) for prompt in prompts], batch_size):
            pens = [None if grammar is None else grammar.pen(sources[index] if sources else "") for index in batch]
            rows = [_Row(max_new_tokens, template.stop_ids, pen) for pen in pens]
            _decode_batch(model, rows, [prompts[index] for index in batch], head, grammar, skips)
            for index, row in zip(batch, rows, strict=True):
                answers[index] = Generation(
                    template.decode(row.ids), row.stopped, row.logprob, len(row.ids), row.forced,
                    array("I", row.ids), row.logprobs, closed=len(row.ids) > row.room,
                )  # fmt: skip
            advance(len(batch))
    return [answer for answer in answers if answer is not None]


def _decode_batch(
    model: torch.nn.Module,
    rows: Sequence[_Row],
    prompts: Sequence[Sequence[int]],
    head: Head,
    grammar: Grammar | None,
    skips: bool,
) -> None:
    """Write the rows; with ``skips``, several tokens of a row may be read at a time."""
    device = next(model.parameters()).device
    for row in rows:
        row.follow()
    alive = [(row, prompt) for row, prompt in zip(rows, prompts, strict=True) if not row.ended]
    if not alive:
        return
    cache: Any = DynamicCache()
    feed = [[*prompt[head.length :], *(row.next() if skips else ())] for row, prompt in alive]
    writing = [row for row, _ in alive]
    mask = torch.ones(len(writing), 0, dtype=torch.long, device=device)
    last = torch.full((len(writing), 1), head.length - 1, device=device)
    while True:
        batch = {name: value.to(device) for name, value in pad_prompts(feed).items()}
        mask = torch.cat([mask, batch["attention_mask"]], dim=-1)
        positions = last + 1 + batch["position_ids"]
        output = model(
            input_ids=batch["input_ids"], position_ids=positions, logits_to_keep=1, **kept_in(model, cache),
            **head.mask(model, mask, positions.shape[1]),
        )  # fmt: skip
        logits = output.logits[:, -1].float()
        if grammar is not None:
            grammar.restrict(logits, [row.pen if row.chooses else None for row in writing])
        logprobs = logits.log_softmax(-1)
        best = logprobs.max(-1)
        for slot, (row, token, logprob) in enumerate(
            zip(writing, best.indices.tolist(), best.values.tolist(), strict=True)
        ):
            if not row.chooses:
                continue
            out = grammar.way_out(logprobs[slot], row.ids) if grammar is not None and row.closes else None
            row.choose(*((token, logprob) if out is None else (out, float(logprobs[slot, out]))))
        keep = [slot for slot, row in enumerate(writing) if not row.ended]
        if not keep:
            return
        # Finished rows leave the batch: their slots would cost as much as live ones.
        if len(keep) < len(writing):
            slots = torch.tensor(keep, device=device)
            cache.batch_select_indices(slots)
            writing = [writing[slot] for slot in keep]
            mask, positions = mask[slots], positions[slots]
        last = positions[:, -1:]
        width = width_of([len(row.ids) - row.read for row in writing], device) if skips else 1
        feed = [row.next(width) for row in writing]


@torch.inference_mode()
def answer_loss(
    model: torch.nn.Module,
    rows: Sequence[Encoded],
    *,
    batch_size: int = 16,
    advance: Callable[[int], None] = lambda _: None,
) -> float:
    """Mean negative log-likelihood of the answer tokens, stop token included (nats per token).

    Every token of every row counts the same, as in training. Rows that share a prefix are computed together where the
    model's attention goes by positions.
    """
    device = next(model.parameters()).device
    total = 0.0
    longest = max(map(len, rows), default=0)
    ids = [row.input_ids for row in rows]
    with evaluating(model):
        if may_share(model, longest):
            for run in cut(ids, CostModel(pair=0.0, budget=max(TREE, longest))):
                tree = pack([(ids[index], len(rows[index].answer_ids)) for index in run])
                total += float(tree_nll(model, tree.to(device)))
                advance(len(run))
        else:
            for batch in batches([len(row) for row in rows], batch_size):
                padded = collate([ids[index] for index in batch], [rows[index].labels for index in batch])
                total += float(answer_nll(model, {name: value.to(device) for name, value in padded.items()}))
                advance(len(batch))
    return total / max(sum(len(row.answer_ids) for row in rows), 1)
