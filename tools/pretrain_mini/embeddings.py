"""Token embeddings before any gradient: positive pointwise mutual information of neighbours, factorised.

Levy and Goldberg (2014): skip-gram factorises a shifted PMI matrix. A truncated SVD reads tens of millions of tokens in
a minute; gradient steps on the same CPU would read a few percent of them in that time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

WINDOW = 5
"""Neighbours on either side; a pair at distance d counts 1/d."""

SMOOTHING = 0.75
"""Exponent on context frequencies: without it, rare contexts get large values from little evidence (Levy, 2015)."""


def cooccurrences(streams: list[np.ndarray], size: int, chunk: int = 8_000_000) -> np.ndarray:
    """Counts symmetric neighbours, float32 [size, size]. Pairs across document ends are few and left in."""
    counts = np.zeros(size * size, dtype=np.float32)
    for stream in streams:
        for start in range(0, len(stream), chunk):
            ids = stream[start : start + chunk].astype(np.int64)
            for distance in range(1, WINDOW + 1):
                pairs = np.bincount(ids[:-distance] * size + ids[distance:], minlength=size * size)
                counts += pairs.astype(np.float32) / distance
    counts = counts.reshape(size, size)
    return counts + counts.T


def positive_pmi(counts: np.ndarray) -> Tensor:
    """Returns max(0, log p(a, b) / (p(a) p(b)^0.75 / Z)), float32 [size, size]."""
    matrix = torch.from_numpy(counts)
    total = matrix.sum(1).clamp_min(1e-9)
    context = total**SMOOTHING
    context = context / context.sum()
    matrix.div_(total[:, None]).div_(context[None, :])
    return matrix.clamp_min_(1.0).log_()


def factorise(matrix: Tensor, width: int, seed: int, rounds: int = 4) -> Tensor:
    """Randomised truncated SVD of a symmetric matrix (Halko, 2011); returns U * sqrt(S), float32 [size, width]."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(matrix.shape[0], width + 16, generator=generator)
    for _ in range(rounds):
        basis = torch.linalg.qr(matrix @ basis).Q
    left, values, _ = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return (basis @ left)[:, :width] * values[:width].sqrt()


def initial_embeddings(streams: list[np.ndarray], size: int, width: int, seed: int) -> Tensor:
    """Makes the table, float32 [size, width], every row of length one.

    Equal lengths: a factor's length follows its token's frequency, and a rare token should not start invisible.
    Rows without any neighbour (unseen bytes) stay random.
    """
    factors = factorise(positive_pmi(cooccurrences(streams, size)), width, seed)
    # The leading direction is shared by all tokens and would tie every logit together.
    factors = factors - factors.mean(0)
    noise = torch.randn(size, width, generator=torch.Generator().manual_seed(seed + 1))
    seen = torch.zeros(size, dtype=torch.bool)
    for stream in streams:
        seen[torch.from_numpy(np.unique(stream).astype(np.int64))] = True
    table = torch.where(seen[:, None], factors, noise)
    # A random rotation spreads the singular directions over all coordinates: rotary heads and norms see them alike.
    rotation = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(seed + 2))).Q
    table = table @ rotation
    return table / table.norm(dim=1, keepdim=True)
