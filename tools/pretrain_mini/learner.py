"""One model and its optimizers: takes batches, counts tokens, saves and restores itself."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM

from .batches import Batch
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
        self,
        model: Qwen3ForCausalLM,
        matrix_lr: float,
        embedding_lr: float,
        weight_decay: float = 0.1,
        device: str = "cpu",
    ) -> None:
        """Sets peak learning rates; `update` scales both by the schedule."""
        self.model = model.to(device)
        self.device = torch.device(device)
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

    def loss(self, batch: Batch, sampled: bool = False) -> Tensor:
        """Returns the weighted sum of cross-entropies in nats, a scalar.

        Args:
            batch: The rows.
            sampled: Estimate the loss from a part of the vocabulary, seeded by the step.
        """
        hidden = hidden_states(self.model, batch.ids.to(self.device), *self._tables(batch.ids.shape[1]))
        # Head and loss only where there is something to learn: in repeated rows that is less than half.
        wanted = batch.weights != 0
        hidden, targets, weights = hidden[wanted.to(self.device)], batch.targets[wanted], batch.weights[wanted]
        head = self.model.model.embed_tokens.weight
        bias = torch.zeros(len(head))
        if sampled:
            entries, bias = entries_for(targets, len(head), OTHER_ENTRIES, self.step)
            places = torch.empty(len(head), dtype=torch.long)
            places[entries] = torch.arange(len(entries))
            head, targets = head[entries.to(self.device)], places[targets]
        return ChunkedCrossEntropy.apply(hidden, head, *(part.to(self.device) for part in (targets, bias, weights)))

    def update(self, batch: Batch, scale: float) -> float:
        """Makes one step at `scale` times the peak learning rates; returns the loss.

        Raises:
            FloatingPointError: If the loss is not finite.
        """
        loss = self.loss(batch, sampled=True)
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
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens = state["step"], state["tokens"]

    def _tables(self, length: int) -> tuple[Tensor, Tensor]:
        if length not in self._rotary:
            config = self.model.config
            tables = rotary(length, config.head_dim, float(config.rope_parameters["rope_theta"]))
            self._rotary[length] = tables[0].to(self.device), tables[1].to(self.device)
        return self._rotary[length]
