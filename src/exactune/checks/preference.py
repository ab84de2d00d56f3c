"""Rules about preference pairs: a better and a worse answer to the same prompt (D60x)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np

from exactune.checks.dataset import Dataset
from exactune.checks.pairs import SHOWN
from exactune.data.digests import Digests, earliest, meaning
from exactune.data.words import count, excerpt, unique
from exactune.language import join, say
from exactune.rules import Finding, Rule
from exactune.tasks.jsontext import canonical, parse_answer
from exactune.types import Example, Location, Status

__all__ = ["chosen_equals_rejected", "chosen_longer", "conflicting_preferences", "empty_rejected"]

ALMOST_ALWAYS = 0.9
"""Share of pairs whose chosen answer is the longer one."""
PAIRS = 50
"""So many pairs at least. Were length no matter, 45 of 50 would be longer once in 480 million sets (binomial, one
half)."""


def _pairs(dataset: Dataset) -> Iterator[tuple[Example, str]]:
    """Rows with a rejected answer, and that."""
    for _, examples in dataset.named_splits:
        for example in examples:
            if example.rejected is not None:
                yield example, example.rejected


def chosen_equals_rejected(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A pair whose two answers are the same.

    What it does:
        Finds preference rows whose chosen and rejected answers agree, without blanks around them; JSON answers without
        spacing and order of keys, too.

    Why it matters:
        Such a pair prefers nothing. A preference method learns nothing from it, and often the rejected answer was lost
        or copied from the wrong column.

    Example:
        {"prompt": "2 + 2?", "chosen": "4", "rejected": "4"}

    Fix:
        Write the answer that is worse as `rejected`, or remove the row.
    """
    equal = [
        (example.location, excerpt(example.answer))
        for example, rejected in _pairs(dataset)
        if _same(example.answer, rejected)
    ]
    if equal:
        place, answer = equal[0]
        yield rule.finding(
            say(
                "{pairs} with the same chosen and rejected answer: {place} {answer!r}",
                pairs=count(len(equal), "preference pair"),
                place=place,
                answer=answer,
            ),
            locations=unique(place for place, _ in equal),
            evidence={"rows": len(equal)},
        )


def _same(first: str, second: str) -> bool:
    first, second = first.strip(), second.strip()
    if first == second or first[:1] not in ("{", "["):
        return first == second
    one, other = parse_answer(first), parse_answer(second)
    return one.status is other.status is Status.OK and canonical(one.value) == canonical(other.value)


def chosen_longer(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Pairs in which the longer answer is almost always the better one.

    What it does:
        Where training has at least 50 preference pairs, counts those whose chosen answer has more characters than the
        rejected one, and fires from 90% on.

    Why it matters:
        Length alone then tells the answers apart, so length is what a preference method learns: the model becomes
        wordy, and not better (Park et al., 2024, https://arxiv.org/abs/2403.19159).

    Example:
        in 95 of 100 pairs the chosen answer is the longer one (medians: 900 and 120 characters)

    Fix:
        Add pairs whose better answer is the shorter one, or leave out pairs whose lengths differ most.
    """
    train = dataset.splits.train
    lengths = [(len(row.answer), len(row.rejected)) for row in train if row.rejected is not None]
    longer = sum(chosen > rejected for chosen, rejected in lengths)
    if len(lengths) >= PAIRS and longer >= ALMOST_ALWAYS * len(lengths):
        chosen, rejected = (int(median(side)) for side in zip(*lengths, strict=True))
        yield rule.finding(
            say(
                "in {longer:,} of {pairs} the chosen answer is longer than the rejected one (medians: {chosen:,} and "
                "{rejected:,} characters)",
                longer=longer,
                pairs=count(len(lengths), "preference pair"),
                chosen=chosen,
                rejected=rejected,
            ),
            locations=unique(Location(row.location.file, None) for row in train if row.rejected is not None),
            evidence={
                "pairs": len(lengths),
                "longer": longer,
                "share": round(longer / len(lengths), 4),
                "median_chosen": chosen,
                "median_rejected": rejected,
            },
        )


def empty_rejected(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """A pair whose rejected answer is empty or blank.

    What it does:
        Finds preference rows whose rejected answer has no visible character.

    Why it matters:
        A preference method then learns from the stop token alone: not to stop at once, which no model is about to do.
        Most often the rejected answer was lost on the way.

    Example:
        {"prompt": "2 + 2?", "chosen": "4", "rejected": ""}

    Fix:
        Write the answer that is worse as `rejected`, or leave the key out where there is none and write the row in
        another format.
    """
    empty = [example.location for example, rejected in _pairs(dataset) if not rejected.strip()]
    if empty:
        yield rule.finding(
            say(
                "{pairs} with an empty rejected answer, the first at {place}",
                pairs=count(len(empty), "preference pair"),
                place=empty[0],
            ),
            locations=unique(empty),
            evidence={"rows": len(empty)},
        )


def conflicting_preferences(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """An answer that one row prefers and another one rejects.

    What it does:
        Finds preference rows whose rejected answer is the right or chosen one of another row of the same split that
        asks the same (without case, blanks and punctuation). JSON answers that differ only in spacing or in the order
        of keys agree.

    Why it matters:
        The two rows pull the model in opposite directions, and what it learns is which of them came last. Often the
        sides of one were swapped, or one of two answers to the same input is a label error.

    Example:
        train.jsonl:4 {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
        train.jsonl:9 {"prompt": "2 + 2?", "chosen": "5", "rejected": "4"}

    Fix:
        Decide which answer is better, and swap the sides of the other row or remove it.
    """
    opposed: list[tuple[Example, Example]] = []
    for name, examples in dataset.named_splits:
        if any(example.rejected is not None for example in examples):
            opposed += _opposed(examples, dataset.keys[name].inputs)
    if opposed:
        named = join(
            "; ", (say("{row} rejects {twin}", row=row.location, twin=twin.location) for row, twin in opposed[:3])
        )
        yield rule.finding(
            say(
                "{pairs} that reject what another row prefers: {named}{more}",
                pairs=count(len(opposed), "preference pair"),
                named=named,
                more="; …" if len(opposed) > 3 else "",
            ),
            locations=unique(row.location for row, _ in opposed),
            related=unique(twin.location for _, twin in opposed),
            evidence={
                "rows": len(opposed),
                "pairs": [
                    {"row": str(row.location), "twin": str(twin.location), "answer": excerpt(twin.answer, 80)}
                    for row, twin in opposed[:SHOWN]
                ],
            },
        )


def _opposed(examples: Sequence[Example], inputs: Digests) -> Iterator[tuple[Example, Example]]:
    """Pairs whose rejected answer is another row's right one, each with the first such row."""
    first = earliest(inputs)
    groups, times = np.unique(first, return_counts=True)
    shared = np.isin(first, groups[times > 1])
    preferred: dict[tuple[int, str], Example] = {}
    rejecting: list[tuple[int, Example, str]] = []
    for number in np.flatnonzero(shared).tolist():
        example, group = examples[number], int(first[number])
        preferred.setdefault((group, meaning(example.answer)), example)
        if example.rejected is not None:
            rejecting.append((group, example, example.rejected))
    for group, example, rejected in rejecting:
        twin = preferred.get((group, meaning(rejected)))
        # A row that rejects its own answer is another rule's.
        if twin is not None and meaning(rejected) != meaning(example.answer):
            yield example, twin
