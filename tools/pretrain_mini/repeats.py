"""Rows that say the same thing twice: they keep the heads that copy (`circuits.py`) in use.

The second half can only be predicted by looking up the first.
"""

from __future__ import annotations

import numpy as np
import torch

from .batches import Batch, TextWindows


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
        targets = whole[:, 1:].contiguous()
        weights = torch.zeros(targets.shape)
        # The first token of the second time cannot be known; from the next on, everything can.
        weights[:, length + gap :] = 1 / (rows * (length - 1))
        return Batch(whole[:, :-1].contiguous(), targets, weights)
