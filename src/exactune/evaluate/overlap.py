"""Scored rows that the model was trained on, and how much better it is on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exactune.data.digests import earliest, keys_of
from exactune.data.near import near_pairs
from exactune.evaluate.evaluation import Evaluation
from exactune.types import Example

__all__ = ["find_overlap"]


def find_overlap(evaluation: Evaluation, train: Sequence[Example], rows: Sequence[Example]) -> dict[str, Any] | None:
    """Rows that ask what a training row, or a turn that a training chat begins with, asks.

    The same ask what the rules D205 and D207 call the same, near ones what D206 calls nearly the same.

    Args:
        evaluation: Has scored these rows.
        train: The training rows.
        rows: The scored ones.

    Returns:
        ``{"same", "near", "of", "metric": {"overlapping", "others"}}``, each part only where it has rows; None where
        nothing overlaps.
    """
    keys = {"train": keys_of(train, turns_too=True), "scored": keys_of(rows)}
    trained = np.vstack([keys["train"].inputs, keys["train"].turn_inputs])
    first = earliest(np.vstack([trained, keys["scored"].inputs]))[len(trained) :]
    same = first < len(trained)
    twins = near_pairs((("train", train), ("scored", rows)), keys).twins
    near = np.zeros(len(rows), dtype=bool)
    near[[one.twin[1] for one in twins if one.row[0] != one.twin[0]]] = True
    # Rows that ask the very same stand for each other among near ones.
    alike = earliest(keys["scored"].inputs)
    near = near[alike] & ~same
    met = same | near
    if not met.any():
        return None
    parts = {"overlapping": met, "others": ~met}
    figures = {name: evaluation.figure(np.flatnonzero(part).tolist()) for name, part in parts.items() if part.any()}
    return {"same": int(same.sum()), "near": int(near.sum()), "of": len(rows), "metric": figures}
