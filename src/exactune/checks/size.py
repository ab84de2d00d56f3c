"""Rules about how much data there is (D7xx)."""

from __future__ import annotations

from collections.abc import Iterator

from exactune.checks.dataset import Dataset
from exactune.data.words import count, unique
from exactune.language import say
from exactune.rules import Finding, Rule
from exactune.types import Location

__all__ = ["MINIMUM_ROWS", "too_few_rows"]

MINIMUM_ROWS = 100
"""最小可用 in the guide, section 資料量與效能."""


def too_few_rows(dataset: Dataset, rule: Rule[Dataset]) -> Iterator[Finding]:
    """Fewer training rows than fine-tuning needs.

    What it does:
        Fires when fewer than 100 training rows can be used.

    Why it matters:
        The guide calls 100 rows the minimum and expects 70-80 % of the answers to be right up to 500; with fewer, the
        result depends on chance more than on the settings.

    Example:
        train.jsonl holds 40 rows

    Fix:
        Collect at least 100 rows, better 500 and more.
    """
    rows = len(dataset.splits.train)
    if rows < MINIMUM_ROWS:
        yield rule.finding(
            say(
                "{rows}; at least {minimum} are needed for a usable result",
                rows=count(rows, "training row"),
                minimum=MINIMUM_ROWS,
            ),
            locations=unique(Location(example.location.file, None) for example in dataset.splits.train),
            evidence={"rows": rows, "minimum": MINIMUM_ROWS},
        )
