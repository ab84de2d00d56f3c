"""What goes wrong most, from the ``errors`` block of ``eval/metrics.json``, with rows that show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exactune.report.files import integer, mapping, mappings, number, sequence, text
from exactune.report.mistakes import Mistake, read_mistake
from exactune.report.scores import Estimate

__all__ = ["Examples", "Fault", "Faults", "Slice", "read_faults"]

SHOWN = 3
"""Rows that are quoted for one kind of error."""

QUOTED = 8
"""Errors of each list whose rows are quoted; those of the others are in the table of answers."""

FRONT = 20
"""Slices worse than the rest that are shown at once."""

LONGEST = 300
"""Characters of a quoted input or answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of error; what does not apply is empty.

    Attributes:
        label: Type, relation or field.
        gold: What was right.
        predicted: What was answered.
        count: How often.
        of: How often it could have happened.
        rows: Ids of the first rows.
    """

    label: str
    gold: str
    predicted: str
    count: int
    of: int | None
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the rows; ``worse`` if its figure is surely below that of all rows."""

    by: str
    value: str
    n: int
    estimate: Estimate
    worse: bool
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Faults:
    """The lists of the block, in its order; ``metric`` is what slices are measured by, ``whole`` its value overall."""

    confused: tuple[Fault, ...]
    missed: tuple[Fault, ...]
    invented: tuple[Fault, ...]
    slices: tuple[Slice, ...]
    metric: str
    whole: Estimate | None

    @property
    def worse(self) -> tuple[Slice, ...]:
        """Slices that are worse than the whole."""
        return tuple(one for one in self.slices if one.worse)

    @property
    def others(self) -> tuple[Slice, ...]:
        """The other slices, after those worse ones that are too many to stand in front."""
        return self.worse[FRONT:] + tuple(one for one in self.slices if not one.worse)

    @property
    def quoted(self) -> frozenset[str]:
        """Ids of the rows that the report quotes."""
        lists: tuple[Sequence[Fault | Slice], ...] = (self.confused, self.missed, self.invented, self.worse)
        return frozenset(row for found in lists for one in found[:QUOTED] for row in one.rows[:SHOWN])


@dataclass(slots=True)
class Examples:
    """The rows to quote, picked out of the predictions as they go by."""

    wanted: frozenset[str]
    found: dict[str, Mistake] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any]) -> None:
        """Keep a row that is wanted."""
        if text(line.get("id")) in self.wanted:
            self.found[text(line.get("id"))] = read_mistake(line, LONGEST)

    def of(self, rows: Sequence[str]) -> list[Mistake]:
        """Those of one error that were found."""
        return [self.found[row] for row in rows[:SHOWN] if row in self.found]


def read_faults(document: Mapping[str, Any]) -> Faults | None:
    """The errors of a run, or ``None`` where none are told."""
    whole = mapping(document.get("figure"))
    faults = Faults(
        tuple(_faults(document, "confused")),
        tuple(_faults(document, "missed")),
        tuple(_faults(document, "invented")),
        tuple(_slices(document)),
        text(whole.get("name")),
        _estimate(whole),
    )
    return faults if faults.confused or faults.missed or faults.invented or faults.slices else None


def _faults(document: Mapping[str, Any], name: str) -> Iterator[Fault]:
    for one in mappings(document.get(name)):
        what = text(one.get("text"))
        gold, predicted = text(one.get("gold")), text(one.get("predicted"))
        if name == "missed":
            gold = what
        elif name == "invented":
            predicted = what
        yield Fault(
            text(one.get("label")), gold, predicted, integer(one.get("count")) or 0, integer(one.get("of")), _rows(one)
        )


def _slices(document: Mapping[str, Any]) -> Iterator[Slice]:
    for one in mappings(document.get("slices")):
        estimate = _estimate(mapping(one.get("metric")))
        if estimate is not None:
            yield Slice(
                text(one.get("by")), text(one.get("value")), integer(one.get("n")) or 0, estimate,
                bool(one.get("worse")), _rows(one),
            )  # fmt: skip


def _estimate(figure: Mapping[str, Any]) -> Estimate | None:
    value = number(figure.get("value"))
    return None if value is None else Estimate(value, number(figure.get("low")), number(figure.get("high")))


def _rows(one: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(text, sequence(one.get("rows"))))
