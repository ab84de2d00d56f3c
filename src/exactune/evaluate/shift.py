"""Whether scored rows look like training rows."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import NormalDist, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exactune.checks.names import find_names
from exactune.data.normalise import normalise
from exactune.data.script import script_of
from exactune.evaluate.linear import FOLDS, WORD, held_out
from exactune.evaluate.metrics import CONFIDENCE
from exactune.tasks import Task
from exactune.types import Example

__all__ = ["auc", "find_shift"]

MOST_ROWS = 1000
"""Of each side, seeded."""

MOST_CHARACTERS = 1000
"""Of each input, from its beginning: long documents differ in their heads, too."""

LEAST_ROWS = FOLDS
"""On each side; fewer cannot be told apart in folds."""

SHUFFLES = 200
"""How often rows are dealt to two sides by chance, to see how far labels are apart then."""

WIDE = "\u3040-\u30ff\u3400-\u9fff"
"""Kana and Chinese characters, which stand without spaces."""

PIECE = re.compile(rf"[{WIDE}]+|[^\W{WIDE}]+")
"""A run of those, or a word."""

Floats = NDArray[np.float64]


def find_shift(task: Task, train: Sequence[Example], rows: Sequence[Example], seed: int) -> dict[str, Any] | None:
    """How training and scored rows differ in their inputs and labels.

    Args:
        task: Says what labels are.
        train: The training rows.
        rows: The scored ones.
        seed: Of samples, folds and shuffles.

    Returns:
        ``{"rows", "auc", "length", "script", "unseen", "labels"}``: ``auc`` is that of a linear classifier that tells
        one side from the other in folds (0.5: it cannot), ``length`` the median number of characters, ``unseen`` the
        share of words, of Chinese and Japanese of pairs of characters, that training rows do not have, and ``expected``
        the same of training rows that are held out. ``labels`` has the total variation distance, and in ``chance``
        what 95 % of random divisions of these rows stay below; of JSON, of the field
        (``of``) that differs most beyond that.
        None without rows on both sides.
    """
    if not train or not rows:
        return None
    sides = {"train": _drawn(train, seed), "scored": _drawn(rows, seed)}
    texts = {name: [row.input[:MOST_CHARACTERS] for row in side] for name, side in sides.items()}
    document: dict[str, Any] = {
        "rows": {name: len(side) for name, side in sides.items()},
        "length": {name: float(median(len(row.input) for row in side)) for name, side in sides.items()},
        "script": {name: _shares(map(script_of, side)) for name, side in texts.items()},
    }
    if min(map(len, texts.values())) >= LEAST_ROWS and any(re.search(WORD, text) for text in texts["train"]):
        document["auc"] = _told_apart(texts["train"], texts["scored"], seed)
        document["unseen"] = _unseen(texts["train"], texts["scored"], seed)
    if labels := _labels(task, sides, seed):
        document["labels"] = labels
    return document


def _drawn(rows: Sequence[Example], seed: int) -> list[Example]:
    """A sample of the rows in their order, each input once."""
    wanted = random.Random(seed).sample(range(len(rows)), min(2 * MOST_ROWS, len(rows)))
    kept = set(wanted)
    found: dict[str, Example] = {}
    for number, row in enumerate(rows):
        if number in kept:
            found.setdefault(normalise(row.input), row)
    different = [*found.values()]
    if len(different) > MOST_ROWS:
        places = sorted(random.Random(seed).sample(range(len(different)), MOST_ROWS))
        different = [different[place] for place in places]
    return different


def _shares(names: Iterable[str]) -> dict[str, float]:
    """Name -> share, the most frequent first."""
    times = Counter(names)
    return {name: count / times.total() for name, count in sorted(times.items(), key=lambda one: (-one[1], one[0]))}


def _told_apart(train: Sequence[str], scored: Sequence[str], seed: int) -> dict[str, float]:
    sides = np.repeat([0, 1], [len(train), len(scored)])
    found = held_out([*train, *scored], sides, seed, C=1.0, max_iter=30, class_weight="balanced")
    return auc(found[sides == 0, 1], found[sides == 1, 1])


def auc(lower: Floats, upper: Floats) -> dict[str, float]:
    """The probability that a score of ``upper`` is above one of ``lower``, ties counting half.

    Its interval has the standard error of Hanley and McNeil (1982, The meaning and use of the area under a receiver
    operating characteristic curve).

    Args:
        lower: Scores of the one side, float64 ``[rows]``.
        upper: Of the other one.
    """
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, upper, "left") + np.searchsorted(ordered, upper, "right")
    value = float(below.sum()) / (2 * len(lower) * len(upper))
    first, second = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (len(upper) - 1) * (first - value**2) + (len(lower) - 1) * (second - value**2)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(max(0.0, spread) / (len(lower) * len(upper)))
    return {"value": value, "low": max(0.0, value - reach), "high": min(1.0, value + reach)}


def _unseen(train: Sequence[str], scored: Sequence[str], seed: int) -> dict[str, float]:
    """Both shares by the words of the same training rows: each fold's rows, and all scored ones, by the other folds."""
    pieces, others = [[*_pieces(text)] for text in train], [piece for text in scored for piece in _pieces(text)]
    folds = np.random.default_rng(seed).permutation(len(train)) % FOLDS
    missed = {"scored": 0, "expected": 0}
    held = sum(map(len, pieces))
    for fold in range(FOLDS):
        known = {piece for row in np.flatnonzero(folds != fold).tolist() for piece in pieces[row]}
        missed["scored"] += sum(piece not in known for piece in others)
        rows = np.flatnonzero(folds == fold).tolist()
        missed["expected"] += sum(piece not in known for row in rows for piece in pieces[row])
    return {
        "scored": missed["scored"] / max(1, FOLDS * len(others)),
        "expected": missed["expected"] / max(1, held),
    }


def _pieces(text: str) -> Iterator[str]:
    """Words without case; of characters that stand without spaces, each two neighbours."""
    for run in PIECE.findall(text.casefold()):
        if "\u3040" <= run[0] <= "\u9fff" and len(run) > 1:
            yield from map("".join, pairwise(run))
        else:
            yield run


def _labels(task: Task, sides: Mapping[str, Sequence[Example]], seed: int) -> dict[str, Any] | None:
    """The labels of both sides: of several fields those that are furthest apart beyond chance."""
    blocks: list[dict[str, Any]] = []
    for field, names in find_names(task, sides.items()).items():
        times = {side: {name: len(rows) for name, rows in names.get(side, {}).items()} for side in sides}
        if all(times.values()):
            blocks.append({"of": field, **_apart(times, seed)})
    return max(blocks, key=lambda block: block["distance"] - block["chance"], default=None)


def _apart(times: Mapping[str, Mapping[str, int]], seed: int) -> dict[str, Any]:
    """The total variation distance of two sides' names, and what chance makes of it."""
    names = list(dict.fromkeys(name for side in times.values() for name in side))
    one, two = (np.array([times[side].get(name, 0) for name in names]) for side in ("train", "scored"))
    chance = np.random.default_rng(seed).multivariate_hypergeometric(one + two, int(one.sum()), size=SHUFFLES)
    apart = [_distance(part, one + two - part) for part in chance]
    shares = {side: _ordered(names, count) for side, count in (("train", one), ("scored", two))}
    return {"distance": _distance(one, two), "chance": float(np.percentile(apart, 95)), **shares}


def _ordered(names: Sequence[str], times: NDArray[np.int64]) -> dict[str, float]:
    shares = zip(names, (times / times.sum()).tolist(), strict=True)
    return dict(sorted(((name, share) for name, share in shares if share), key=lambda one: (-one[1], one[0])))


def _distance(one: NDArray[np.int64], two: NDArray[np.int64]) -> float:
    return float(np.abs(one / one.sum() - two / two.sum()).sum() / 2)
