"""A run beside the one that it goes on from, and its pairs: ``start`` of ``eval/metrics.json``, ``pairs`` of
``data.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exactune.report.files import integer, mapping, number, text
from exactune.report.scores import VERDICTS, Estimate, Standing

__all__ = ["Beside", "Pairs", "Start", "read_pairs", "read_start"]


@dataclass(frozen=True, slots=True)
class Beside:
    """One metric of both runs on the same rows."""

    metric: str
    ours: float
    theirs: float
    difference: Estimate
    verdict: Standing
    rows_needed: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """What a run began with, and the comparison with it, its primary metric first.

    Attributes:
        run: As the config names it.
        rows: That both have answered.
        left_out: Why the two are not compared; empty if they are.
        metrics: See :class:`Beside`.
    """

    run: str
    rows: int | None
    left_out: str
    metrics: tuple[Beside, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """How many preference pairs were learned, and the mean tokens of their answers."""

    rows: int
    chosen: float
    rejected: float


def read_start(document: Mapping[str, Any]) -> Start | None:
    """The block, or ``None`` for a run that did not go on from another one."""
    block = mapping(document.get("start"))
    if not block:
        return None
    figures = mapping(block.get("metrics"))
    names = sorted(figures, key=lambda name: name != block.get("primary"))
    found = (_beside(name, mapping(figures[name])) for name in names)
    left_out = block.get("left_out")
    return Start(
        text(block.get("run")), integer(block.get("rows")), left_out if isinstance(left_out, str) else "",
        tuple(one for one in found if one),
    )  # fmt: skip


def _beside(metric: str, figures: Mapping[str, Any]) -> Beside | None:
    ours, theirs, verdict = number(figures.get("ours")), number(figures.get("theirs")), figures.get("verdict")
    difference = mapping(figures.get("difference"))
    value = number(difference.get("value"))
    if ours is None or theirs is None or value is None or not isinstance(verdict, str) or verdict not in VERDICTS:
        return None
    estimate = Estimate(value, number(difference.get("low")), number(difference.get("high")))
    return Beside(metric, ours, theirs, estimate, VERDICTS[verdict], integer(figures.get("rows_needed")))


def read_pairs(document: Mapping[str, Any]) -> Pairs | None:
    """The block, or ``None`` for a run without pairs."""
    block = mapping(document.get("pairs"))
    rows, chosen, rejected = (number(block.get(name)) for name in ("rows", "chosen_mean", "rejected_mean"))
    return None if not rows or chosen is None or rejected is None else Pairs(int(rows), chosen, rejected)
