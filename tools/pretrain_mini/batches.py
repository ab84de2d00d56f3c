"""What one update learns from, and where plain-text batches come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .tokens import load


@dataclass(frozen=True)
class Batch:
    """Rows of one length, padded on the right.

    Attributes:
        ids: int64 [batch, time].
        targets: int64 [batch, time], the next token.
        weights: float32 [batch, time], of each position's cross-entropy in the loss; zero where nothing is learned.
    """

    ids: Tensor
    targets: Tensor
    weights: Tensor

    @property
    def tokens(self) -> int:
        """Tokens read, padding included: what the update costs."""
        return self.ids.numel()


def plain(block: Tensor) -> Batch:
    """Next-token prediction at every position of int64 [batch, time + 1]; the loss is a mean."""
    targets = block[:, 1:].contiguous()
    return Batch(block[:, :-1].contiguous(), targets, torch.full(targets.shape, 1 / targets.numel()))


class TextWindows:
    """Windows of the corpus in one seeded order, all languages mixed by their tokens; any batch can be drawn alone.

    A batch is a function of its position, so a resumed run needs to remember nothing but how far it came.
    """

    def __init__(self, folder: Path, languages: list[str], seed: int, unit: int = 128) -> None:
        """Cuts the token arrays into windows of `unit`; longer rows join windows that follow each other."""
        self._streams = [load(folder, language, "train") for language in languages]
        self._unit = unit
        self._seed = seed
        self._orders: dict[int, np.ndarray] = {}

    def batch(self, tokens_before: int, tokens: int, length: int) -> Batch:
        """Returns the rows at a position of the order for `length`, which is a multiple of the unit."""
        order = self._order(length)
        first, count = tokens_before // length, tokens // length
        rows = [self._row(order[(first + offset) % len(order)], length) for offset in range(count)]
        block = torch.from_numpy(np.stack(rows).astype(np.int64))
        return plain(block)

    def _order(self, length: int) -> np.ndarray:
        """Shuffled (stream, start) pairs, int64 [windows, 2]."""
        if length not in self._orders:
            pairs = [
                np.stack(
                    (np.full((len(stream) - 1) // length, index), np.arange((len(stream) - 1) // length) * length),
                    axis=1,
                )
                for index, stream in enumerate(self._streams)
            ]
            every = np.concatenate(pairs)
            self._orders[length] = every[np.random.default_rng((self._seed, length)).permutation(len(every))]
        return self._orders[length]

    def _row(self, pair: np.ndarray, length: int) -> np.ndarray:
        stream, start = self._streams[int(pair[0])], int(pair[1])
        return stream[start : start + length + 1]
