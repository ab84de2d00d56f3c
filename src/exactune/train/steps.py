"""Steps: which rows an optimizer step sees, and the forward passes that they are computed in.

A batch of the data loader is all that one rank computes for one optimizer step. How it is cut into forward passes
changes the time and the memory of a step, and nothing else: the loss is the sum over answer tokens, divided once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Sampler

from exactune.render.batch import answer_nll, collate, tree_nll
from exactune.render.packing import CostModel, Tree, cut, pack
from exactune.render.template import Encoded

__all__ = ["Cutter", "Pass", "StepLoader", "StepSampler", "padded", "trees"]


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward pass computes.

    Attributes:
        rows: Positions of its rows in the data set, int64 ``[rows]``.
        inputs: A tree, or a padded batch with its labels.
    """

    rows: torch.Tensor
    inputs: Tree | dict[str, torch.Tensor]

    def nll(self, model: torch.nn.Module, device: torch.device) -> torch.Tensor:
        """Summed negative log-likelihood of its answer tokens (nats, scalar)."""
        if isinstance(self.inputs, Tree):
            return tree_nll(model, self.inputs.to(device))
        return answer_nll(model, {name: value.to(device) for name, value in self.inputs.items()})


Cutter = Callable[[Sequence[tuple[int, Encoded]]], list[Pass]]
"""Rows of a step, each with its position in the data set -> forward passes."""


def padded(rows_per_pass: int) -> Cutter:
    """Padded batches, in the order of the rows."""

    def cutter(rows: Sequence[tuple[int, Encoded]]) -> list[Pass]:
        parts = [rows[start : start + rows_per_pass] for start in range(0, len(rows), rows_per_pass)]
        return [
            Pass(
                torch.tensor([position for position, _ in part]),
                collate([row.input_ids for _, row in part], [row.labels for _, row in part]),
            )
            for part in parts
        ]

    return cutter


def trees(cost: CostModel) -> Cutter:
    """Rows that share a prefix computed together, its tokens once."""

    def cutter(rows: Sequence[tuple[int, Encoded]]) -> list[Pass]:
        runs = cut([row.input_ids for _, row in rows], cost)
        return [
            Pass(
                torch.tensor([rows[index][0] for index in run]),
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


class StepLoader(DataLoader):
    """A data loader that tells its sampler of the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch."""
        self.batch_sampler.set_epoch(epoch)
