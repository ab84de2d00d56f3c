"""Precision, recall and F1 from additive counts.

Keys are ``("gold", label)``, ``("predicted", label)`` and ``("both", label)``. All sums are over multisets, so a
span that stands twice in the right answer has to be found twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exactune.tasks.base import Counts, rate

__all__ = ["Tally", "macro_f1", "micro_f1", "overlap", "tallies"]


@dataclass(slots=True)
class Tally:
    """How often something stood in the right answers, in the given answers, and in both."""

    gold: float = 0.0
    predicted: float = 0.0
    both: float = 0.0

    @property
    def f1(self) -> float:
        """2 both / (gold + predicted). Where nothing was asked and nothing given, the answer is right: 1."""
        total = self.gold + self.predicted
        return 2 * self.both / total if total else 1.0

    def to_row(self) -> dict[str, float]:
        """The row of a ``per_label`` table."""
        return {
            "precision": rate(self.both, self.predicted),
            "recall": rate(self.both, self.gold),
            "f1": self.f1,
            "support": self.gold,
        }


def overlap(gold: Mapping[str, Counter[Any]], predicted: Mapping[str, Counter[Any]]) -> Counter[tuple[str, ...]]:
    """Counts of one example from its items by label.

    Args:
        gold: Label -> multiset of the right items.
        predicted: Label -> multiset of the items given.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for label, items in gold.items():
        counts["gold", label] = items.total()
        if shared := (items & predicted.get(label, Counter())).total():
            counts["both", label] = shared
    for label, items in predicted.items():
        counts["predicted", label] = items.total()
    return counts


def tallies(totals: Counts) -> dict[str, Tally]:
    """The tally of each label that occurred, in the order of ``totals``."""
    found: dict[str, Tally] = {}
    for key, count in totals.items():
        kind = key[0]
        if count and (kind == "gold" or kind == "predicted" or kind == "both"):
            tally = found.get(key[1])
            if tally is None:
                tally = found[key[1]] = Tally()
            setattr(tally, kind, count)
    return found


def micro_f1(found: Mapping[str, Tally]) -> float:
    """F1 of the pooled counts: every item weighs the same."""
    return Tally(
        sum(tally.gold for tally in found.values()),
        sum(tally.predicted for tally in found.values()),
        sum(tally.both for tally in found.values()),
    ).f1


def macro_f1(found: Mapping[str, Tally]) -> float:
    """Mean F1 of the labels that occurred: every label weighs the same."""
    return sum(tally.f1 for tally in found.values()) / len(found) if found else 1.0
