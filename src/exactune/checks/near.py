"""Rules about rows that are nearly the same: one text typed twice (D202, D204, D206).

Only slips make rows near: misspelt or repeated words, fillers, spacing. Rows of one sentence pattern with other values
are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exactune.checks.dataset import Dataset
from exactune.checks.pairs import SHOWN, Pair, pair
from exactune.data.near import Twins
from exactune.data.words import count, unique
from exactune.language import Text, join, say
from exactune.rules import Finding, Rule
from exactune.types import Location

__all__ = ["near_conflict", "near_duplicate", "near_leak"]


def near_duplicate(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A training row that stands there a second time with a slip.

    What it does:
        Finds training rows whose input differs from an earlier one only by slips (a misspelt word, a filler, a
        repeated word, spacing) and that have the same answer. Rows that differ in a number, a name, a negation or a
        whole other word are not meant.

    Why it matters:
        Repeated rows count several times in the loss, and make a small data set look larger than it is.

    Example:
        train.jsonl:12 {"text": "How do I cancel a transfer", "label": "cancel_transfer"}
        train.jsonl:90 {"text": "How do I cancel a tranfser", "label": "cancel_transfer"}

    Fix:
        Keep one of each, unless misspelt inputs are wanted in training.
    """
    twins = [one for one in dataset.near.twins if one.agree and one.row[0] == one.twin[0] == "train"]
    if twins:
        rows, others = _places(dataset, twins)
        yield rule.finding(
            say(
                "{rows} nearly the same as an earlier one with the same answer: {examples}",
                rows=count(len(rows), "training row"),
                examples=_examples(dataset, twins),
            ),
            locations=rows,
            related=others,
            evidence=_evidence(dataset, twins),
        )


def near_conflict(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Nearly the same question with different answers.

    What it does:
        Finds rows of one split whose inputs differ only by slips (a misspelt word, a filler, a repeated word, spacing)
        and whose answers differ in more than these words.

    Why it matters:
        One of the two answers is probably a label error, and the model is taught both.

    Example:
        train.jsonl:7  {"text": "Why was my card payment declined?", "label": "declined_card_payment"}
        train.jsonl:31 {"text": "Why was my card payment declned?", "label": "card_not_working"}

    Fix:
        Read both rows and give both the answer that is right.
    """
    twins = [one for one in dataset.near.twins if not one.agree and one.row[0] == one.twin[0]]
    if twins:
        rows, others = _places(dataset, twins)
        yield rule.finding(
            say(
                "{rows} nearly the same as an earlier one with another answer: {examples}",
                rows=count(len(rows), "row"),
                examples=_examples(dataset, twins),
            ),
            locations=rows,
            related=others,
            evidence=_evidence(dataset, twins),
        )


def near_leak(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An eval or test row that nearly stands in training.

    What it does:
        Finds training rows whose input differs from an eval or test row only by slips (a misspelt word, a filler, a
        repeated word, spacing), whatever the answers are.

    Why it matters:
        Such eval rows measure memory nearly as much as those that stand in training word for word: the score looks
        better than the model is.

    Example:
        train.jsonl:412 {"text": "I want to close my acount today", "label": "close_account"}
        eval.jsonl:9    {"text": "I want to close my account today", "label": "close_account"}

    Fix:
        Remove the training rows named, or the eval rows beside them.
    """
    twins = [one for one in dataset.near.twins if one.row[0] != one.twin[0]]
    if twins:
        rows, others = _places(dataset, twins)
        yield rule.finding(
            say(
                "{rows} nearly the same as a training row: {examples}",
                rows=count(len(others), "eval or test row"),
                examples=_examples(dataset, twins),
            ),
            locations=rows,
            related=others,
            evidence=_evidence(dataset, twins),
        )


def _pair(dataset: Dataset, twins: Twins) -> Pair:
    splits = dict(dataset.named_splits)
    return splits[twins.row[0]][twins.row[1]], splits[twins.twin[0]][twins.twin[1]]


def _places(dataset: Dataset, twins: list[Twins]) -> tuple[tuple[Location, ...], tuple[Location, ...]]:
    splits = dict(dataset.named_splits)
    sides = (sorted({one.row for one in twins}), sorted({one.twin for one in twins}))
    rows, others = (unique(splits[split][number].location for split, number in side) for side in sides)
    return rows, others


def _examples(dataset: Dataset, twins: list[Twins], limit: int = 3) -> Text:
    pairs = [_pair(dataset, one) for one in twins[:limit]]
    named = join("; ", (say("{row} and {twin}", row=row.location, twin=twin.location) for row, twin in pairs))
    return say("{named}; …", named=named) if len(twins) > limit else named


def _evidence(dataset: Dataset, twins: list[Twins]) -> dict[str, Any]:
    """Figures and samples; rows that are ``crowded`` were compared with their most similar ones only."""
    shown = [pair(*_pair(dataset, one)) for one in twins[:SHOWN]]
    return {"pairs_found": len(twins), "pairs": shown, "crowded": dataset.near.crowded}
