"""Steps: which rows an optimizer step sees, and the forward passes that they are computed in.

A batch of the data loader is all that one rank computes for one optimizer step. How it is cut into forward passes
changes the time and the memory of a step, and nothing else: the loss is a sum over what the passes hold (answer tokens,
or preference pairs), divided once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.utils.data import DataLoader, Sampler

from exactune.render.batch import answer_nll, collate, tree_nll
from exactune.render.packing import CostModel, Tree, cut, pack
from exactune.render.template import Encoded

__all__ = ["Answers", "Cutter", "Figures", "Pass", "StepLoader", "StepSampler", "padded", "rows_by", "trees"]

Figures = Mapping[str, torch.Tensor]
"""What is logged beside the loss: a name and a value for each row that has one, float32 ``[rows]``."""


class Pass(Protocol):
    """What one forward pass computes."""

    @property
    def rows(self) -> torch.Tensor:
        """Positions of its rows in the data set, int64 ``[rows]``."""

    @property
    def items(self) -> int:
        """Over how many the loss is averaged."""

    @property
    def inputs(self) -> Tree | dict[str, torch.Tensor]:
        """A tree, or a padded batch with its labels."""

    def loss(self, model: torch.nn.Module, device: torch.device) -> tuple[torch.Tensor, Figures]:
        """Summed loss (scalar), and what is logged beside it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A pass over answers that are learned token by token.

    Attributes:
        rows: Positions of its rows in the data set, int64 ``[rows]``.
        items: Answer tokens.
        inputs: A tree, or a padded batch with its labels.
    """

    rows: torch.Tensor
    items: int
    inputs: Tree | dict[str, torch.Tensor]

    def loss(self, model: torch.nn.Module, device: torch.device) -> tuple[torch.Tensor, Figures]:
        """:meth:`nll`, and nothing beside it."""
        return self.nll(model, device), {}

    def nll(self, model: torch.nn.Module, device: torch.device) -> torch.Tensor:
        """Summed negative log-likelihood of its answer tokens (nats, scalar)."""
        if isinstance(self.inputs, Tree):
            return tree_nll(model, self.inputs.to(device))
        return answer_nll(model, {name: value.to(device) for name, value in self.inputs.items()})


Cutter = Callable[[Sequence[tuple[int, Encoded]]], Sequence[Pass]]
"""Rows of a step, each with its position in the data set -> forward passes."""


def padded(rows_per_pass: int) -> Callable[[Sequence[tuple[int, Encoded]]], list[Answers]]:
    """Padded batches, in the order of the rows."""

    def cutter(rows: Sequence[tuple[int, Encoded]]) -> list[Answers]:
        parts = [rows[start : start + rows_per_pass] for start in range(0, len(rows), rows_per_pass)]
        return [
            Answers(
                torch.tensor([position for position, _ in part]),
                sum(len(row.answer_ids) for _, row in part),
                collate([row.input_ids for _, row in part], [row.labels for _, row in part]),
            )
            for part in parts
        ]

    return cutter


def trees(cost: CostModel) -> Callable[[Sequence[tuple[int, Encoded]]], list[Answers]]:
    """Rows that share a prefix computed together, its tokens once."""

    def cutter(rows: Sequence[tuple[int, Encoded]]) -> list[Answers]:
        runs = cut([row.input_ids for _, row in rows], cost)
        return [
            Answers(
                torch.tensor([rows[index][0] for index in run]),
                sum(len(rows[index][1].answer_ids) for index in run),
                pack([(rows[index][1].input_ids, len(rows[index][1].answer_ids)) for index in run]),
            )
            for run in runs
        ]

    return cutter


class StepSampler(Sampler[list[int]]):
    """The rows of each optimizer step, drawn anew for each epoch by seed and epoch alone.

    Every rank takes its part of each step, so the number of rows need not be divisible by anything: where a last step
    has too few, some ranks get none.

    Args:
        rows: In the data set.
        rows_per_step: Over all ranks.
        seed: Of the order.
        rank: This process.
        ranks: How many there are.
    """

    def __init__(self, rows: int, rows_per_step: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.rows, self.rows_per_step, self.seed, self.rank, self.ranks = rows, rows_per_step, seed, rank, ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.rows // self.rows_per_step)

    def __iter__(self) -> Iterator[list[int]]:
        # The draw of accelerate's seeded sampler, so that a run sees its rows in the order that stock TRL would.
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(self.rows, generator=generator).tolist()
        part = -(-self.rows_per_step // self.ranks)
        for start in range(0, self.rows, self.rows_per_step):
            step = order[start : start + self.rows_per_step]
            yield step[self.rank * part : (self.rank + 1) * part]


def rows_by(step: int, rows: int, rows_per_step: int) -> int:
    """Rows trained by a step, over all epochs of ``rows``; the last step of each may have fewer."""
    epochs, steps = divmod(step, -(-rows // rows_per_step))
    return epochs * rows + min(steps * rows_per_step, rows)


class StepLoader(DataLoader):
    """A data loader that tells its sampler of the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch."""
        self.batch_sampler.set_epoch(epoch)
