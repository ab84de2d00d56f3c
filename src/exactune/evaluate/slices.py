"""Parts of the scored rows: by length, label, file, script and status, each with its figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exactune.data.script import script_of
from exactune.evaluate.metrics import wilson
from exactune.tasks import Score
from exactune.types import Example, Status

__all__ = ["MOST_ROWS", "Figure", "Slices", "Sums", "figure_of"]

MOST_ROWS = 20
"""Rows that are named for one kind of error or one slice; ``eval/predictions.jsonl`` has them all."""

MOST_VALUES = 500
"""Values of one kind that are told apart, the first ones met; the rest are one slice, ``…``."""

MOST_SLICES = 200
"""Slices of a document."""

BINS = 5
"""Slices by length, with about as many rows each."""

LEAST = 10
"""Rows that a slice needs before it is called worse than the rest."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What slices are measured by: a ratio of sums over rows.

    Attributes:
        name: Of the metric.
        pooled: Whether it is an F1 of pooled counts, else a mean over rows.
    """

    name: str
    pooled: bool

    def terms(self, score: Score) -> tuple[float, float]:
        """What one row adds to numerator and denominator."""
        if not self.pooled:
            return float(score.counts.get((self.name,), 0) if self.name == "token_f1" else score.correct), 1.0
        hits = whole = 0.0
        for key, count in score.counts.items():
            if key[0] == "both":
                hits += 2 * count
            elif key[0] == "gold" or key[0] == "predicted":
                whole += count
        return hits, whole


def figure_of(metrics: Sequence[str]) -> Figure:
    """The figure for a task of these metrics, the primary one first.

    Macro F1 becomes the share of right answers: the rows of one gold label hold next to no other label, so that their
    macro F1 would mostly count the labels that were mistaken for it.
    """
    name, *others = metrics
    if name == "macro_f1":
        name = "accuracy" if "accuracy" in others else "exact_match"
    return Figure(name, pooled=name not in ("accuracy", "exact_match", "token_f1"))


@dataclass(slots=True)
class Sums:
    """Rows of a slice: what a ratio of sums and its interval need, and the first wrong ones."""

    n: int = 0
    telling: int = 0
    hits: float = 0.0
    whole: float = 0.0
    squares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    wrong: list[tuple[int, str]] = field(default_factory=list)

    def add(self, hits: float, whole: float, wrong: tuple[int, str] | None) -> None:
        """Count one row; ``wrong`` is its number and id if its answer is."""
        self.n += 1
        self.telling += whole > 0
        self.hits += hits
        self.whole += whole
        a, b, c = self.squares
        self.squares = a + hits * hits, b + hits * whole, c + whole * whole
        if wrong and len(self.wrong) < MOST_ROWS:
            self.wrong.append(wrong)

    def __add__(self, other: Sums) -> Sums:
        a, b, c = (one + two for one, two in zip(self.squares, other.squares, strict=True))
        wrong = sorted(self.wrong + other.wrong)[:MOST_ROWS]
        return Sums(
            self.n + other.n, self.telling + other.telling, self.hits + other.hits, self.whole + other.whole,
            (a, b, c), wrong,
        )  # fmt: skip

    @property
    def value(self) -> float:
        """The ratio; where nothing was asked and nothing given, all is right."""
        return self.hits / self.whole if self.whole else 1.0

    def estimate(self) -> dict[str, float]:
        """The ratio with its 95 % interval.

        Wilson's interval for as many independent trials as give the ratio's linearised variance (Dean and Pagano,
        2015, for clustered surveys), at most one per item. For a share of rows it is Wilson's own. It needs no
        resampling, so that hundreds of slices cost nothing, and stays honest where few rows are all right or all wrong.
        """
        a, b, c = self.squares
        value, spread = self.value, max(a - 2 * self.value * b + self.value**2 * c, 0.0)
        trials = float(self.telling)
        if 0 < value < 1:
            most = max(self.telling, self.whole / 2)
            trials = min(most, value * (1 - value) * self.whole**2 / spread) if spread else most
        return wilson(value, trials)


class Slices:
    """Sums of each slice, row by row.

    Memory does not grow with the rows: :data:`MOST_VALUES` values of a kind, and lengths of which only the first three
    digits are kept.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.all = Sums()
        self._lengths: dict[int, Sums] = {}
        self._kinds: dict[str, dict[str, Sums]] = {"label": {}, "file": {}, "language": {}, "status": {}}

    def add(self, example: Example, status: Status, score: Score) -> None:
        """Count a row wherever it belongs; one with several gold labels belongs to several slices."""
        hits, whole = self.figure.terms(score)
        wrong = None if score.correct else (self.all.n, example.id)
        self.all.add(hits, whole, wrong)
        self._lengths.setdefault(_rounded(len(example.input)), Sums()).add(hits, whole, wrong)
        labels = (key[1] for key, count in score.counts.items() if key[0] == "gold" and count)
        self._count("label", labels, hits, whole, wrong)
        self._count("file", [example.location.file], hits, whole, wrong)
        self._count("language", [script_of(example.input)], hits, whole, wrong)
        self._count("status", [str(status)], hits, whole, wrong)

    def _count(self, by: str, values: Iterable[str], hits: float, whole: float, wrong: tuple[int, str] | None) -> None:
        known = self._kinds[by]
        for value in values:
            sums = known.get(value if value in known or len(known) < MOST_VALUES else "…")
            if sums is None:
                sums = known[value if len(known) < MOST_VALUES else "…"] = Sums()
            sums.add(hits, whole, wrong)

    def document(self) -> list[dict[str, Any]]:
        """The slices, those that are worse than all rows first and the surest of them on top, then the weakest.

        A slice is worse if it has at least :data:`LEAST` rows and its whole interval lies below the figure of all
        rows. Of a hundred slices two or three are so by chance. A slice of every row says nothing and is left out.
        """
        judged = []
        for by, value, sums in self._each():
            if 0 < sums.n < self.all.n:
                one = sums.estimate()
                judged.append((sums.n >= LEAST and one["high"] < self.all.value, one, by, value, sums))
        judged.sort(key=lambda one: (not one[0], one[1]["high" if one[0] else "value"]))
        return [
            {
                "by": by,
                "value": value,
                "n": sums.n,
                "metric": one,
                "worse": worse,
                "rows": [row for _, row in sums.wrong],
            }
            for worse, one, by, value, sums in judged[:MOST_SLICES]
        ]

    def _each(self) -> Iterator[tuple[str, str, Sums]]:
        yield from (("length", *one) for one in _bins(self._lengths, self.all.n))
        for by, known in self._kinds.items():
            yield from ((by, value, sums) for value, sums in known.items())


def _rounded(length: int) -> int:
    """The length with all but its first three digits as 0."""
    unit: int = 10 ** max(len(str(length)) - 3, 0)
    return length - length % unit


def _bins(lengths: Mapping[int, Sums], rows: int) -> Iterator[tuple[str, Sums]]:
    """Neighbouring lengths put together, so that each bin ends at or after its share of the rows."""
    low, bin_, seen, edge = 0, Sums(), 0, 1
    for length in sorted(lengths):
        low = low if bin_.n else length
        bin_, seen = bin_ + lengths[length], seen + lengths[length].n
        if seen * BINS >= edge * rows:
            yield (f"{low}-{length}" if low < length else str(length)), bin_
            bin_, edge = Sums(), seen * BINS // rows + 1
