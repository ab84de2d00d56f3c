"""One model and its optimizers: takes batches, counts tokens, saves and restores itself."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM

from .batches import IGNORE, Batch
from .files import write_state
from .muon import Muon
from .network import ChunkedCrossEntropy, entries_for, hidden_states, rotary

MAX_GRAD_NORM = 1.0

OTHER_ENTRIES = 1024
"""Vocabulary entries beside a batch's own targets that it is scored against while learning. The head is half of an
update's cost at full size; a batch of 2048 tokens has about 900 different targets, so this cuts it to a quarter."""


class Learner:
    """Muon for the matrices of the layers, Adam for the embeddings (also the head) and the norms' gains.

    Attributes:
        model: The model that learns.
        step: Updates made.
        tokens: Tokens read, over all phases.
    """

    def __init__(
        self, model: Qwen3ForCausalLM, matrix_lr: float, embedding_lr: float, weight_decay: float = 0.1
    ) -> None:
        """Sets peak learning rates; `update` scales both by the schedule."""
        self.model = model
        self.step = 0
        self.tokens = 0
        embedding = model.model.embed_tokens.weight
        matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
        gains = [p for p in model.parameters() if p.ndim == 1]
        self._optimizers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=matrix_lr, weight_decay=weight_decay),
            torch.optim.Adam(
                [{"params": [embedding], "lr": embedding_lr}, {"params": gains, "lr": matrix_lr}],
                betas=(0.9, 0.95),
                eps=1e-10,
                foreach=True,
            ),
        ]
        self._peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self._optimizers]
        self._rotary: dict[int, tuple[Tensor, Tensor]] = {}

    def loss_sum(self, batch: Batch, sampled: bool = False) -> tuple[Tensor, int]:
        """Returns the summed loss in nats, a scalar, and the number of positions it is over.

        Args:
            batch: The rows.
            sampled: Estimate the loss from a part of the vocabulary, seeded by the step.
        """
        hidden = hidden_states(self.model, batch.ids, *self._tables(batch.ids.shape[1]))
        wanted = batch.targets != IGNORE
        # Head and loss only where there is something to learn: in chat rows that is a tenth of the positions.
        hidden, targets = (
            (hidden.flatten(0, 1), batch.targets.flatten())
            if bool(wanted.all())
            else (hidden[wanted], batch.targets[wanted])
        )
        weight = self.model.model.embed_tokens.weight
        if not sampled:
            return ChunkedCrossEntropy.apply(hidden, weight, targets, weight.new_zeros(len(weight))), len(targets)
        entries, bias = entries_for(targets, len(weight), OTHER_ENTRIES, self.step)
        places = torch.empty(len(weight), dtype=torch.long)
        places[entries] = torch.arange(len(entries))
        return ChunkedCrossEntropy.apply(hidden, weight[entries], places[targets], bias), len(targets)

    def update(self, batch: Batch, scale: float) -> float:
        """Makes one step at `scale` times the peak learning rates; returns the loss in nats per position.

        Raises:
            FloatingPointError: If the loss is not finite.
        """
        total, count = self.loss_sum(batch, sampled=True)
        loss = total / max(count, 1)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"step {self.step}: loss is {loss.item()}; lower the learning rates")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRAD_NORM)
        for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += batch.tokens
        return loss.item()

    def save(self, path: Path) -> None:
        """Writes everything that a resumed run needs."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [x.state_dict() for x in self._optimizers],
            "step": self.step,
            "tokens": self.tokens,
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Restores what `save` wrote."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens = state["step"], state["tokens"]

    def _tables(self, length: int) -> tuple[Tensor, Tensor]:
        if length not in self._rotary:
            config = self.model.config
            self._rotary[length] = rotary(length, config.head_dim, float(config.rope_parameters["rope_theta"]))
        return self._rotary[length]
