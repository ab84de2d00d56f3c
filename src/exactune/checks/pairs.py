"""How findings show a row beside its twin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from exactune.data.words import around_difference, excerpt
from exactune.types import Example, Location

__all__ = ["SHOWN", "Pair", "pair", "pairs_of", "places_of"]

SHOWN = 20
"""Pairs and groups in the evidence; the places are always complete."""

Pair = tuple[Example, Example]
"""The row to act on, and its twin."""


def pairs_of(examples: Sequence[Example], numbers: Iterable[tuple[int, int]]) -> list[Pair]:
    """The first rows and twins of these numbers, no more than are shown."""
    return [(examples[int(row)], examples[int(twin)]) for row, twin in islice(numbers, SHOWN)]


def pair(row: Example, twin: Example) -> dict[str, str]:
    """Two rows as evidence: places, and the texts where they first differ; the answers where these differ."""
    text, other = around_difference(row.input, twin.input)
    shown = {"row": str(row.location), "twin": str(twin.location), "text": text, "other": other}
    if row.answer == twin.answer:
        return shown
    return {**shown, "answer": excerpt(row.answer, 80), "other_answer": excerpt(twin.answer, 80)}


def places_of(examples: Sequence[Example], numbers: NDArray[np.int64]) -> list[Location]:
    """Where the rows of these numbers are; they rise, for the rows may lie on disk."""
    return [examples[number].location for number in numbers.tolist()]
