"""Trees: rows that share a prefix as one sequence that holds each shared token once.

Rows, sorted by their ids, are the paths of a trie; written down depth first, every trie node is one position, and the
nodes below it are the positions right after it, up to its *end*. A token attends to its ancestors and to itself, which
is ``key <= query < end[key]``, and stands at the position of its depth. So a causal model computes for every row what
it would compute for the row alone, and shared tokens are computed once. Rows that share nothing are trees side by side.

Training rows, preference pairs and the labels of a classification are all packed here. Related: prefix sharing for
preference pairs (https://arxiv.org/abs/2410.20305).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import torch

__all__ = ["CostModel", "Tree", "cut", "cut_groups", "pack", "shared"]


@dataclass(frozen=True, slots=True)
class Tree:
    """Rows as one sequence.

    Attributes:
        input_ids: int64 ``[time]``.
        position_ids: Depth of each token, int64 ``[time]``.
        end: Where the tokens below each one end, int64 ``[time]``.
        source: Positions whose logits are needed, rising, int64 ``[sources]``.
        predicted_from: For each target its index into ``source``, int64 ``[targets]``.
        target: Tokens to predict, int64 ``[targets]``.
        weight: How many rows each target counts for, float32 ``[targets]``.
        path: The targets that each row runs through, one row after another, int64 ``[answer tokens]``.
        row: Which row that is, rising from 0, int64 ``[answer tokens]``.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    end: torch.Tensor
    source: torch.Tensor
    predicted_from: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    path: torch.Tensor
    row: torch.Tensor

    def __len__(self) -> int:
        return len(self.input_ids)

    def to(self, device: torch.device) -> Tree:
        """The same on a device."""
        return Tree(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    @property
    def is_path(self) -> bool:
        """Whether it is a single row, for which plain causal attention does."""
        return bool((self.end == len(self)).all())

    def mask(self) -> torch.Tensor:
        """Who attends to whom: bool ``[1, 1, query, key]``."""
        place = torch.arange(len(self), device=self.end.device)
        return ((place <= place[:, None]) & (place[:, None] < self.end))[None, None]


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a forward pass over a tree costs, in units of one token's linear layers.

    Attributes:
        pair: Of one query-key pair.
        call: Of the call itself.
        budget: Most tokens in a tree.
    """

    pair: float
    call: float = 64.0
    budget: int = 1024

    def __call__(self, tokens: int) -> float:
        """Of a tree of so many tokens."""
        return self.call + tokens + self.pair * tokens * tokens


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common prefix."""
    most = min(len(first), len(second))
    if first[:most] == second[:most]:
        return most
    low, high = 0, most
    while high - low > 1:  # first[:low] is shared, first[:high] is not
        middle = (low + high) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle)
    return low


def cut(rows: Sequence[Sequence[int]], cost: CostModel) -> list[list[int]]:
    """Which rows go into one tree, at the least total cost.

    Any split of the sorted rows into runs is considered (dynamic programming over the number of rows).

    Args:
        rows: Ids of each row, prompt and answer.
        cost: See :class:`CostModel`. A row longer than its budget is a tree of its own.

    Returns:
        Lists of indices into ``rows``, each in the order of the ids.
    """
    return cut_groups([[row] for row in rows], cost)


def cut_groups(groups: Sequence[Sequence[Sequence[int]]], cost: CostModel) -> list[list[int]]:
    """:func:`cut` for rows that have to stay together, as the two sides of a preference pair.

    Args:
        groups: The rows of each group, in the order of their ids.
        cost: See :class:`CostModel`. A group larger than its budget is a tree of its own.

    Returns:
        Lists of indices into ``groups``, each in the order of the first rows' ids.
    """
    order = sorted(range(len(groups)), key=lambda index: [list(row) for row in groups[index]])
    read = [[row[:-1] for row in groups[index]] for index in order]
    sizes = [len(rows[0]) + sum(len(row) - shared(before, row) for before, row in pairwise(rows)) for rows in read]
    joins = [0, *(shared(first[-1], second[0]) for first, second in pairwise(read))]
    best, begins = [0.0], [0]
    for stop in range(1, len(order) + 1):
        tokens, found, begin = 0, float("inf"), stop - 1
        for start in range(stop - 1, -1, -1):
            # The tree from `start`: its first group whole, of each other one what the row before it lacks.
            tokens += sizes[start] if start == stop - 1 else sizes[start] - joins[start + 1]
            if start < stop - 1 and tokens > cost.budget:
                break
            if best[start] + cost(tokens) < found:
                found, begin = best[start] + cost(tokens), start
        best.append(found)
        begins.append(begin)
    runs, stop = [], len(order)
    while stop:
        runs.append(order[begins[stop] : stop])
        stop = begins[stop]
    return runs[::-1]


def pack(rows: Sequence[tuple[Sequence[int], int]]) -> Tree:
    """One tree of some rows. What ends a row is predicted and never read, so it is no position.

    Args:
        rows: Ids of each row, in the order of the ids, and how many of its last ones are to be predicted (fewer than
            all: the first token of a row has nothing to be predicted from).
    """
    ids: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    answers: list[list[tuple[int, int]]] = []  # of each row: (position, token that follows)
    path: list[int] = []  # positions of the newest row's tokens
    before: Sequence[int] = ()
    for row, answer in rows:
        read = row[:-1]
        common = shared(before, read)
        for place in path[common:]:
            ends[place] = len(ids)
        del path[common:]
        for depth in range(common, len(read)):
            path.append(len(ids))
            ids.append(row[depth])
            depths.append(depth)
            ends.append(0)
        answers.append([(path[depth - 1], row[depth]) for depth in range(len(row) - answer, len(row))])
        before = read
    for place in path:
        ends[place] = len(ids)
    counts = Counter(edge for edges in answers for edge in edges)
    edges = sorted(counts)
    place_of = {edge: number for number, edge in enumerate(edges)}
    sources = sorted({place for place, _ in edges})
    index = {place: number for number, place in enumerate(sources)}
    return Tree(
        input_ids=torch.tensor(ids),
        position_ids=torch.tensor(depths),
        end=torch.tensor(ends),
        source=torch.tensor(sources),
        predicted_from=torch.tensor([index[place] for place, _ in edges]),
        target=torch.tensor([token for _, token in edges]),
        weight=torch.tensor([float(counts[edge]) for edge in edges]),
        path=torch.tensor([place_of[edge] for edges in answers for edge in edges]),
        row=torch.tensor([number for number, edges in enumerate(answers) for _ in edges]),
    )
