"""Rows that say the same thing twice: the shortest way to attention heads that copy.

Text alone teaches copying late, after millions of tokens, and every extraction task needs it. In these rows the second
half can only be predicted by looking up the first.
"""

from __future__ import annotations

import numpy as np
import torch

from .batches import IGNORE, Batch, TextWindows


class Repeats:
    """Draws batches of repeated spans: half of the rows of random tokens, half of text."""

    def __init__(self, windows: TextWindows, size: int, seed: int, reserved: int = 3) -> None:
        """Takes text from `windows` and random tokens from the vocabulary, special tokens excepted."""
        self._windows = windows
        self._size = size
        self._seed = seed
        self._reserved = reserved

    def batch(self, step: int, tokens: int) -> Batch:
        """Returns the batch of a step: a span, a gap of other tokens, the span again, which alone is learned."""
        rng = np.random.default_rng((self._seed, 7, step))
        length = int(rng.integers(6, 49))
        gap = int(rng.integers(1, 17))
        width = 2 * length + gap
        rows = tokens // width
        block = rng.integers(self._reserved, self._size, (rows, width))
        # A position of its own, far from the text phase's, so that these windows are mostly new to the model.
        text = self._windows.batch(step * tokens, rows * 128, 128).ids.numpy()[: rows // 2, :length]
        block[: len(text), :length] = text
        block[:, length + gap :] = block[:, :length]
        whole = torch.from_numpy(block)
        targets = torch.full_like(whole[:, 1:], IGNORE)
        # The first token of the second time cannot be known; from the next on, everything can.
        targets[:, length + gap :] = whole[:, length + gap + 1 :]
        return Batch(whole[:, :-1].contiguous(), targets)
