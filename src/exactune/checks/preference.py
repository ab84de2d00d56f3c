"""Rules about preference pairs: a better and a worse answer to the same prompt (D60x)."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from exactune.checks.dataset import Dataset
from exactune.data.words import count, excerpt, unique
from exactune.language import say
from exactune.rules import Finding, Rule
from exactune.tasks.jsontext import canonical, parse_answer
from exactune.types import Example, Location, Status

__all__ = ["chosen_equals_rejected", "chosen_longer"]

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
