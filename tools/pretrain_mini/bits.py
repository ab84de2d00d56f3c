"""Held-out bits per byte: the loss in a unit that does not depend on the tokenizer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .batches import Batch
from .learner import Learner
from .tokens import load


@torch.no_grad()
def bits_per_byte(
    learner: Learner, tokenizer: Tokenizer, folder: Path, language: str, length: int = 256, rows: int = 64
) -> float:
    """Measures on the first `rows` windows of the held-out tokens; the windows' first tokens have no context and count.

    Returns:
        Bits per UTF-8 byte of the predicted tokens.
    """
    stream = load(folder, language, "held_out")
    length = min(length, len(stream) - 1)
    rows = min(rows, (len(stream) - 1) // length)
    block = torch.from_numpy(stream[: rows * length + 1].astype(np.int64))
    inputs, targets = block[:-1].view(rows, length), block[1:].view(rows, length)
    total = 0.0
    for start in range(0, rows, 8):
        chunk = slice(start, start + 8)
        total += learner.loss(Batch(inputs[chunk], targets[chunk], torch.ones(inputs[chunk].shape))).item()
    text = tokenizer.decode(targets.flatten().tolist(), skip_special_tokens=True)
    return total / math.log(2) / len(text.encode("utf-8"))
