"""What fine-tuning cost elsewhere, from the ``general`` block of ``eval/metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exactune.report.files import integer, mapping, number

__all__ = ["Changed", "General", "read_general"]

SCORES = ("bits_per_byte", "exact_match", "token_f1")


@dataclass(frozen=True, slots=True)
class Changed:
    """One figure before and after fine-tuning."""

    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        """After less before."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class General:
    """One file that is not of the task: its rows, and each figure that was taken."""

    file: str
    rows: int | None
    figures: Mapping[str, Changed]


def read_general(document: Mapping[str, Any]) -> tuple[General, ...]:
    """Every file of the block, in its order."""
    before, after = mapping(document.get("before")), mapping(document.get("after"))
    found = []
    for file in dict.fromkeys((*before, *after)):
        then, now = mapping(before.get(file)), mapping(after.get(file))
        changed = {name: Changed(number(then.get(name)), number(now.get(name))) for name in SCORES}
        figures = {name: one for name, one in changed.items() if one.before is not None or one.after is not None}
        rows = integer(now.get("n"))
        found.append(General(file, integer(then.get("n")) if rows is None else rows, figures))
    return tuple(one for one in found if one.figures)
