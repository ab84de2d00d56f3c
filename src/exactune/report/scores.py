"""The final figures and what to think of them, from ``eval/metrics.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from exactune.report.curves import primary_metric
from exactune.report.files import integer, mapping, number, sequence, text
from exactune.tasks import METRICS

__all__ = [
    "Band",
    "Comparison",
    "Confusion",
    "Contender",
    "Estimate",
    "Gate",
    "LabelScore",
    "Pair",
    "Score",
    "Scores",
    "Verdict",
    "read_scores",
]

NO_LABEL = "(none)"
"""Name of the column for answers outside the label set, and of the row for gold answers that cannot be read."""

OTHERS = "(others)"
"""Name of the column for labels that a part of a matrix leaves out."""

Standing = Literal["above", "level", "below"]
VERDICTS: Mapping[str, Standing] = {"better": "above", "level": "level", "worse": "below"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval, where one was taken."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """One metric and what the baselines reach on it."""

    metric: str
    estimate: Estimate
    baselines: Mapping[str, Estimate]

    def values_of(self, names: Sequence[str]) -> list[float]:
        """What some baselines reach, of those that have this metric."""
        return [self.baselines[name].value for name in names if name in self.baselines]


@dataclass(frozen=True, slots=True)
class Band:
    """What the guide expects at this number of rows, as shares of 1; ``high`` may be open."""

    low: float
    high: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Gate:
    """A value that the config asks a metric to reach."""

    metric: str
    wanted: float
    reached: float | None

    @property
    def least(self) -> bool:
        """Whether the value is the least wanted; else it is the most."""
        return METRICS.get(self.metric, "max") == "max"

    @property
    def passed(self) -> bool:
        """Whether the metric was taken and is good enough."""
        if self.reached is None:
            return False
        return self.reached >= self.wanted if self.least else self.reached <= self.wanted


@dataclass(frozen=True, slots=True)
class Comparison:
    """The run against its best baseline, row by row; ``rows_needed`` is how many would tell the two apart."""

    baseline: str
    rows: int | None
    difference: Estimate
    verdict: Standing
    rows_needed: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The primary metric against the baselines and against what was to be expected.

    Attributes:
        score: The primary metric.
        standings: Baseline -> where the metric's interval lies; ``level`` where it contains the baseline's value.
            The weakest baseline comes first.
        band: The expectation.
        against_band: By the value alone.
        settled: Whether the whole interval lies where the value does.
        gates: The config's gates.
        comparison: The paired comparison with the best baseline, where one was made; its word goes before intervals.
    """

    score: Score
    standings: Mapping[str, Standing]
    band: Band | None
    against_band: Literal["above", "within", "below"] | None
    settled: bool
    gates: tuple[Gate, ...]
    comparison: Comparison | None = None

    @property
    def tone(self) -> Literal["good", "fair", "poor"]:
        """``poor`` beats no baseline or misses a gate; ``fair`` is less than expected or beats some baselines only."""
        beaten = [standing == "above" for standing in self.standings.values()]
        if (beaten and not any(beaten)) or not all(gate.passed for gate in self.gates):
            return "poor"
        return "good" if all(beaten) and self.against_band != "below" else "fair"

    @property
    def beaten(self) -> tuple[str, ...]:
        """The baselines below the whole interval."""
        return tuple(name for name, standing in self.standings.items() if standing == "above")

    @property
    def unbeaten(self) -> tuple[str, ...]:
        """The other baselines."""
        return tuple(name for name in self.standings if name not in self.beaten)


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Figures of one label, type or field."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int | None
    low: float | None = None
    high: float | None = None

    @property
    def estimate(self) -> Estimate | None:
        """F1 with its interval."""
        return None if self.f1 is None else Estimate(self.f1, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Pair:
    """A confusion: rows of ``gold`` that were answered ``predicted``."""

    gold: str
    predicted: str
    count: int
    of: int

    @property
    def right(self) -> bool:
        """Whether this is no confusion; two answers that cannot be read are no match."""
        return self.gold == self.predicted != NO_LABEL


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of rows: gold labels down, predicted ones across; the columns may have one more."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]

    def cells(self) -> Iterator[tuple[str, tuple[Pair, ...]]]:
        """The matrix row by row: gold label and its cells."""
        for gold, counts in zip(self.rows, self.matrix, strict=True):
            total = sum(counts)
            columns = zip(self.columns, counts, strict=True)
            yield gold, tuple(Pair(gold, predicted, count, total) for predicted, count in columns)

    def shares(self) -> list[tuple[str, float, float]]:
        """Each label with its share of the predictions and of the gold answers, the most predicted first."""
        total = sum(map(sum, self.matrix)) or 1
        predicted = dict(zip(self.columns, map(sum, zip(*self.matrix, strict=True)), strict=True))
        gold = dict(zip(self.rows, map(sum, self.matrix), strict=True))
        names = sorted(dict.fromkeys((*self.columns, *self.rows)), key=lambda name: -predicted.get(name, 0))
        return [(name, predicted.get(name, 0) / total, gold.get(name, 0) / total) for name in names]

    def confused(self) -> list[Pair]:
        """Every confusion that happened, the most frequent first."""
        found = [pair for _, row in self.cells() for pair in row if pair.count and not pair.right]
        return sorted(found, key=lambda pair: (-pair.count, -pair.count / pair.of))


@dataclass(frozen=True, slots=True)
class Contender:
    """The run (``name`` is empty) or a baseline, with all its figures."""

    name: str
    figures: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Scores:
    """``eval/metrics.json``; ``labels`` has the weakest first, ``statuses`` the most frequent."""

    split: str
    rows: int | None
    table: tuple[Score, ...]
    verdict: Verdict | None
    labels: tuple[LabelScore, ...]
    confusion: Confusion | None
    statuses: Mapping[str, int]

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """The run and the baselines, the best by the primary metric first."""
        names = dict.fromkeys(name for score in self.table for name in score.baselines)
        run = Contender("", {score.metric: score.estimate for score in self.table})
        others = (
            Contender(name, {score.metric: score.baselines[name] for score in self.table if name in score.baselines})
            for name in names
        )
        return tuple(sorted((run, *others), key=lambda one: -_primary(one.figures, self.table[0].metric)))


def _primary(figures: Mapping[str, Estimate], metric: str) -> float:
    return figures[metric].value if metric in figures else -1.0


def read_scores(
    document: Mapping[str, Any], expected: Mapping[str, Any], gate: Mapping[str, Any], gate_on: str = "value"
) -> Scores:
    """The scores of a run.

    Args:
        document: ``eval/metrics.json``.
        expected: The recipe's ``{"low", "high", "note"}``, or empty.
        gate: Metric -> value to reach.
        gate_on: Whether the ``value`` must, or the less favourable end of its interval (``lower``).
    """
    metrics = _estimates(document.get("metrics"))
    baselines = {name: _estimates(figures) for name, figures in mapping(document.get("baselines")).items()}
    primary = text(document.get("primary"))
    if primary not in metrics:
        primary = primary_metric(tuple(metrics))
    table = tuple(
        Score(name, metrics[name], {base: figures[name] for base, figures in baselines.items() if name in figures})
        for name in sorted(metrics, key=lambda name: name != primary)
    )
    statuses = {name: count for name, value in mapping(document.get("statuses")).items() if (count := integer(value))}
    gates = tuple(_gates(gate, metrics, gate_on))
    return Scores(
        split=text(document.get("split")),
        rows=integer(document.get("n")),
        table=table,
        verdict=_verdict(table[0], _band(expected), gates, _comparison(document, table[0])) if table else None,
        labels=_label_scores(document.get("per_label")),
        confusion=_confusion(mapping(document.get("confusion"))),
        statuses=dict(sorted(statuses.items(), key=lambda item: -item[1])),
    )


def _estimates(figures: Any) -> dict[str, Estimate]:
    found = {}
    for name, figure in mapping(figures).items():
        value = number(mapping(figure).get("value"))
        if value is not None:
            found[name] = Estimate(value, number(figure.get("low")), number(figure.get("high")))
    return found


def _band(expected: Mapping[str, Any]) -> Band | None:
    low = number(expected.get("low"))
    return None if low is None else Band(low, number(expected.get("high")), text(expected.get("note")))


def _gates(gate: Mapping[str, Any], metrics: Mapping[str, Estimate], on: str) -> Iterator[Gate]:
    for metric, value in gate.items():
        wanted = number(value)
        if wanted is not None:
            reached = metrics[metric].value if metric in metrics else None
            if on == "lower" and metric in metrics:
                low, _, high = _ends(metrics[metric])
                reached = high if METRICS.get(metric) == "min" else low
            yield Gate(metric, wanted, reached)


def _comparison(document: Mapping[str, Any], score: Score) -> Comparison | None:
    """The paired comparison, if it is one by the metric that the verdict is about."""
    found = mapping(document.get("comparison"))
    verdict, difference = VERDICTS.get(text(found.get("verdict"))), _estimates({"": found.get("difference")}).get("")
    if verdict is None or difference is None or found.get("metric") != score.metric:
        return None
    rows, needed = integer(found.get("rows")), integer(found.get("rows_needed"))
    return Comparison(text(found.get("baseline")), rows, difference, verdict, needed)


def _verdict(score: Score, band: Band | None, gates: tuple[Gate, ...], comparison: Comparison | None) -> Verdict:
    low, value, high = _ends(score.estimate)
    standings: dict[str, Standing] = {}
    for name, baseline in sorted(score.baselines.items(), key=lambda item: item[1].value):
        standings[name] = "above" if low > baseline.value else "below" if high < baseline.value else "level"
    if comparison and comparison.verdict == "above":
        # Pairs see more than intervals do, and who beats the best beats the others.
        standings = dict.fromkeys(standings, "above")
    elif comparison and comparison.baseline in standings:
        standings[comparison.baseline] = comparison.verdict
    settled = _place(low, band) == _place(high, band)
    return Verdict(score, standings, band, _place(value, band), settled, gates, comparison)


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    """Low, value and high; a figure without an interval is its own."""
    value = estimate.value
    return (value if estimate.low is None else estimate.low, value, value if estimate.high is None else estimate.high)


def _place(value: float, band: Band | None) -> Literal["above", "within", "below"] | None:
    if band is None:
        return None
    if value < band.low:
        return "below"
    return "above" if band.high is not None and value > band.high else "within"


def _label_scores(per_label: Any) -> tuple[LabelScore, ...]:
    rows = [
        LabelScore(
            label,
            number(mapping(figures).get("precision")),
            number(mapping(figures).get("recall")),
            number(mapping(figures).get("f1")),
            integer(mapping(figures).get("support")),
            number(mapping(figures).get("low")),
            number(mapping(figures).get("high")),
        )
        for label, figures in mapping(per_label).items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.f1 is None, row.f1 or 0.0)))


def _confusion(document: Mapping[str, Any]) -> Confusion | None:
    labels = [text(label) for label in sequence(document.get("labels"))]
    matrix = tuple(tuple(integer(count) or 0 for count in sequence(row)) for row in sequence(document.get("matrix")))
    width = len(matrix[0]) if matrix else 0
    columns = (*labels, NO_LABEL) if width == len(labels) + 1 else tuple(labels)
    if not width or len(matrix) > len(labels) or any(len(row) != len(columns) for row in matrix):
        return None
    return Confusion(tuple(labels[: len(matrix)]), columns, matrix)
