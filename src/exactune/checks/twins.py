"""Rules about rows of one split that ask the same thing (D201, D203).

Two rows ask the same when their system messages and inputs agree without case, width, blanks and punctuation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from exactune.checks.dataset import Dataset
from exactune.checks.pairs import SHOWN, pair, pairs_of, places_of
from exactune.data.digests import earliest
from exactune.data.words import count, excerpt, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.types import Example, Location

__all__ = ["conflicting_answers", "exact_duplicate"]


def exact_duplicate(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A training row that stands there more than once.

    What it does:
        Finds training rows that ask the same as an earlier one (without case, blanks and punctuation) and have the
        same answer. Preference pairs with another rejected answer are no repetition.

    Why it matters:
        Repeated rows count several times in the loss, and make a small data set look larger than it is.

    Example:
        train.jsonl:12 {"text": "好吃!", "label": "正面"}
        train.jsonl:90 {"text": "好吃！", "label": "正面"}

    Fix:
        Keep one of each, unless the repetition is meant as a weight.
    """
    train = dataset.splits.train
    first = earliest(dataset.keys["train"].pairs)
    later = np.flatnonzero(first != np.arange(len(first)))
    later = later[
        [_repeats(train[row], train[twin]) for row, twin in zip(later.tolist(), first[later].tolist(), strict=True)]
    ]
    if len(later):
        shown = pairs_of(train, zip(later, first[later], strict=True))
        named = join(
            "; ", (say("{row} repeats {twin}", row=row.location, twin=twin.location) for row, twin in shown[:3])
        )
        yield rule.finding(
            say(
                "{rows} of {all:,} with the input and the answer of an earlier one: {named}{more}",
                rows=count(len(later), "training row"),
                all=len(train),
                named=named,
                more="; …" if len(later) > 3 else "",
            ),
            locations=unique(places_of(train, later)),
            related=unique(places_of(train, np.unique(first[later]))),
            evidence={"rows": len(later), "pairs": [pair(row, twin) for row, twin in shown]},
        )


def _repeats(row: Example, twin: Example) -> bool:
    """Whether a row that asks and answers the same says nothing new by what it rejects."""
    return row.rejected is None or row.rejected == twin.rejected


def conflicting_answers(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """The same question with different answers.

    What it does:
        Finds rows of one split that ask the same (without case, blanks and punctuation) and have different answers.
        JSON answers that differ only in spacing or in the order of keys agree.

    Why it matters:
        The model can learn neither answer, and no score above their share is possible. Often one is a label error.

    Example:
        train.jsonl:7  {"text": "还可以", "label": "正面"}
        train.jsonl:31 {"text": "还可以。", "label": "负面"}

    Fix:
        Decide on one answer and remove or correct the other rows.
    """
    differing: list[Location] = []
    agreeing: list[Location] = []
    shown: list[dict[str, str]] = []
    inputs = 0
    for name, examples in dataset.named_splits:
        keys = dataset.keys[name]
        first, same = earliest(keys.inputs), earliest(keys.pairs)
        # The first row with a row's input is also the first with that input and the answer it has itself.
        different = np.flatnonzero(first != same)
        groups = np.unique(first[different])
        differing += places_of(examples, different)
        agreeing += places_of(examples, np.flatnonzero(np.isin(first, groups) & (first == same)))
        inputs += len(groups)
        shown += _groups(examples, first, groups[: SHOWN - len(shown)])
    if shown:
        yield rule.finding(
            say(
                "{inputs} with different answers, for example {answers}",
                inputs=count(inputs, "input"),
                answers=_answers(shown[0]),
            ),
            locations=unique(differing),
            related=unique(agreeing),
            evidence={"inputs": inputs, "groups": shown},
        )


def _groups(
    examples: Sequence[Example], first: NDArray[np.int64], groups: NDArray[np.int64]
) -> Iterator[dict[str, str]]:
    """Place -> answer of the rows that ask the same, as many as are worth showing."""
    for group in groups.tolist():
        rows = (examples[row] for row in np.flatnonzero(first == group)[:SHOWN].tolist())
        yield {str(row.location): excerpt(row.answer, 80) for row in rows}


def _answers(group: dict[str, str]) -> str:
    return join(", ", (f"{place} {answer!r}" for place, answer in list(group.items())[:3]))
