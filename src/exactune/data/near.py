"""Rows that are nearly the same as another: sketches propose pairs, the texts decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from exactune.data.digests import Keys, digest, earliest, meaning
from exactune.data.frame import Frame, frame_of
from exactune.data.normalise import normalise
from exactune.data.retyped import common_words, differing_words, retyped
from exactune.data.sketches import candidates, sketches_of
from exactune.types import Example

__all__ = ["Near", "Twins", "near_pairs"]

Split = tuple[str, Sequence[Example]]
Numbers = NDArray[np.int64]
Place = tuple[str, int]
"""Split and number of a row in it."""

SAMPLE = 10_000
SAMPLE_CHARACTERS = 5_000_000
"""Training rows, and characters of them, in which lines and words are counted: what is common shows in far fewer."""

BLOCK = 5_000
"""Pairs compared at a time: no more than twice as many texts are held."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Two rows that are nearly the same.

    Attributes:
        row: The row to act on: the later one, or the training row beside an eval or test row.
        twin: The other one.
        agree: Whether they also have the same answer, apart from the words in which the inputs differ.
    """

    row: Place
    twin: Place
    agree: bool


@dataclass(frozen=True, slots=True)
class Near:
    """What was found.

    Attributes:
        twins: In the order of the rows.
        crowded: Rows that look like more others than they were compared with.
    """

    twins: tuple[Twins, ...]
    crowded: int


def near_pairs(splits: Sequence[Split], keys: Mapping[str, Keys]) -> Near:
    """Rows that ask nearly the same as another one of their split, or eval and test rows as a training row.

    Rows that ask the very same are represented by the first of each split.

    Args:
        splits: Name and rows, ``train`` first.
        keys: Of each split.
    """
    rows = _Rows(splits)
    sample = _sample(splits[0][1])
    frame, common = frame_of(sample), common_words(sample)
    pairs, crowded = _candidates(rows, keys, frame)
    found: list[Twins] = []
    for start in range(0, len(pairs), BLOCK):
        block = pairs[start : start + BLOCK]
        # Rising, for the rows may lie on disk.
        held = {number: rows[number] for number in np.unique(block).tolist()}
        texts = {number: frame.inner(example.input) for number, example in held.items()}
        found += [_twins(rows, a, b, held) for a, b in block.tolist() if retyped(texts[a], texts[b], common)]
    return Near(tuple(found), crowded)


def _sample(examples: Iterable[Example]) -> list[str]:
    """The first inputs, each once: what is common must stand in different rows."""
    texts: dict[str, None] = {}
    size = 0
    for example in islice(examples, SAMPLE):
        text = example.input
        texts[text] = None
        size += len(text)
        if size > SAMPLE_CHARACTERS:
            break
    return list(texts)


class _Rows:
    """The rows of all splits, counted through."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self.splits = splits
        self.starts = np.cumsum([0, *(len(rows) for _, rows in splits)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __iter__(self) -> Iterator[Example]:
        return (example for _, rows in self.splits for example in rows)

    def split_of(self, numbers: Numbers | int) -> Numbers:
        return np.searchsorted(self.starts, numbers, side="right") - 1

    def place(self, number: int) -> Place:
        split = int(self.split_of(number))
        return self.splits[split][0], number - int(self.starts[split])

    def __getitem__(self, number: int) -> Example:
        split = int(self.split_of(number))
        return self.splits[split][1][number - int(self.starts[split])]


def _candidates(rows: _Rows, keys: Mapping[str, Keys], frame: Frame) -> tuple[Numbers, int]:
    same = earliest(np.vstack([keys[name].inputs for name, _ in rows.splits]))
    firsts = np.concatenate([earliest(keys[name].inputs) == np.arange(len(part)) for name, part in rows.splits])
    sketches = sketches_of(_texts(rows, frame), len(rows))
    pairs, crowded = candidates(sketches, np.where(firsts, same, -1))
    split = rows.split_of(pairs)
    return pairs[(split[:, 0] == split[:, 1]) | (split[:, 0] == 0)], crowded


def _texts(rows: Iterable[Example], frame: Frame) -> Iterator[tuple[str, int]]:
    """Normalised inputs without their frame, each with a number that stands for its system message."""
    for example in rows:
        yield normalise(frame.inner(example.input)), _number(example.prompt[0].content)


@lru_cache(maxsize=4096)
def _number(system: str) -> int:
    return int.from_bytes(digest(normalise(system))[:8], "little")


def _twins(rows: _Rows, a: int, b: int, held: Mapping[int, Example]) -> Twins:
    first, second = rows.place(a), rows.place(b)
    agree = _agree(held[a], held[b])
    return Twins(second, first, agree) if first[0] == second[0] else Twins(first, second, agree)


def _agree(one: Example, two: Example) -> bool:
    """Whether the answers mean the same, or differ only in words that they copy from the inputs."""
    if meaning(one.answer) == meaning(two.answer):
        return True
    return differing_words(one.answer, two.answer) <= differing_words(one.input, two.input)
