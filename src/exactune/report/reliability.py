"""How far confidence can be trusted, from the ``calibration`` block of ``eval/metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exactune.report.curves import Point
from exactune.report.files import integer, mapping, mappings, number, text

__all__ = ["Bin", "Calibration", "Covered", "Reliability", "read_calibration"]

COVERAGE = 0.8
"""The share of answers that the report names a threshold for."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence."""

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy: the expected calibration error, and the bins it is made of."""

    ece: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Covered:
    """Accuracy of the answers that are at least ``threshold`` sure; ``coverage`` is their share."""

    coverage: float
    accuracy: float
    threshold: float

    @property
    def option(self) -> str:
        """The threshold for the command line, rounded down: up, the last of the rows would be left out."""
        return f"{math.floor(self.threshold * 1e6 + 1e-3) / 1e6:g}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence before and after it was scaled.

    Attributes:
        rows: Rows it was fitted on.
        method: How.
        temperature: What log-probabilities were divided by.
        before: As the model gave it.
        after: Scaled.
        coverage: From the surest answers to all of them.
    """

    rows: int | None
    method: str
    temperature: float | None
    before: Reliability | None
    after: Reliability | None
    coverage: tuple[Covered, ...]

    @property
    def line(self) -> tuple[Point, ...]:
        """Accuracy over coverage."""
        return tuple(Point(one.coverage, one.accuracy) for one in self.coverage)

    @property
    def chosen(self) -> Covered | None:
        """The strictest threshold that still answers :data:`COVERAGE` of the rows."""
        enough = [one for one in self.coverage if one.coverage >= COVERAGE - 1e-9]
        return min(enough, key=lambda one: one.coverage, default=None)


def read_calibration(document: Mapping[str, Any]) -> Calibration | None:
    """The calibration of a run, or ``None`` where there is nothing to show."""
    before, after = (_reliability(mapping(document.get(name))) for name in ("before", "after"))
    coverage = []
    for point in mappings(document.get("coverage")):
        share, accuracy, threshold = (number(point.get(key)) for key in ("coverage", "accuracy", "threshold"))
        if share is not None and accuracy is not None and threshold is not None:
            coverage.append(Covered(share, accuracy, threshold))
    if not (before or after or coverage):
        return None
    return Calibration(
        integer(document.get("rows")),
        text(document.get("method")),
        number(document.get("temperature")),
        before,
        after,
        tuple(sorted(coverage, key=lambda one: one.coverage)),
    )


def _reliability(document: Mapping[str, Any]) -> Reliability | None:
    ece, bins = number(document.get("ece")), []
    for one in mappings(document.get("bins")):
        n, confidence, accuracy = integer(one.get("n")), number(one.get("confidence")), number(one.get("accuracy"))
        if n and confidence is not None and accuracy is not None:
            bins.append(Bin(n, confidence, accuracy))
    return None if ece is None else Reliability(ece, tuple(sorted(bins, key=lambda one: one.confidence)))
