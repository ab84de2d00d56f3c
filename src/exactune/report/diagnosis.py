"""The diagnosis of a run: ``diagnosis.json``, and what its pictures are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exactune.diagnose.knowledge import limit
from exactune.diagnose.remedies import as_yaml
from exactune.report.answers import brief
from exactune.report.curves import Curves
from exactune.report.files import integer, mapping, mappings, number, sequence, text
from exactune.report.findings import read_findings
from exactune.report.mistakes import clip
from exactune.report.scores import Estimate
from exactune.rules import Finding

__all__ = ["Compared", "Diagnosed", "Diagnosis", "Doubt", "Doubts", "Hidden", "Overlap", "Shift", "read_diagnosis"]

NESTED = ("expected", "explains", "rows")
"""Evidence that has a place of its own beside the table of figures."""

LONGEST = 200
"""Characters of an answer that are quoted."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A finding that follows from another one."""

    code: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """One finding with its evidence in order.

    Attributes:
        finding: As it was written.
        facts: The figures, without what is nested.
        patch: The patch as YAML; empty without one.
        expected: What it should bring; empty where nobody knows.
        hidden: What else it explains.
        rows: Ids of the rows that show it.
    """

    finding: Finding
    facts: Mapping[str, Any]
    patch: str
    expected: str
    hidden: tuple[Hidden, ...]
    rows: tuple[str, ...]

    def figure(self, key: str) -> float | None:
        """One of the figures."""
        return number(self.facts.get(key))

    def estimate(self, key: str) -> Estimate | None:
        """A figure that may come with its interval."""
        return _estimate(self.finding.evidence.get(key))

    @property
    def difference(self) -> Estimate | None:
        """The difference to a baseline, whose interval stands beside it."""
        value = self.figure("difference")
        return None if value is None else Estimate(value, self.figure("low"), self.figure("high"))

    @property
    def falling(self) -> bool:
        """Whether the loss was still falling when training ended."""
        return (self.figure("falling") or 0.0) >= limit("falling")

    def span(self, curves: Curves) -> tuple[float, float] | None:
        """Where the course of training tells of it, in epochs."""
        found = self._span(curves)
        return None if found is None else (min(max(found[0], 0.0), curves.epoch), min(max(found[1], 0.0), curves.epoch))

    def _span(self, curves: Curves) -> tuple[float, float] | None:
        match self.finding.code:
            case "R101":
                start, end = (self.figure(key) for key in ("best_epoch", "last_epoch"))
                if start is None:
                    start = curves.best.epoch if curves.best else curves.epoch
                return start, curves.epoch if end is None else end
            case "R102":
                return (curves.epoch - 1, curves.epoch) if self.falling else None
            case "R103":
                return _broke(curves, self.figure("step"), self.figure("best_loss"), self.figure("last_loss"))
            case "R104":
                return _swing(curves)
            case "R106":
                return curves.epoch - 1, curves.epoch
        return None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A training row whose answer is likely wrong."""

    id: str
    gold: str
    suggested: str
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Doubts:
    """The rows that were looked at, the estimated share of wrong answers, and the surest of them."""

    rows: int | None
    share: float | None
    examples: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of the training rows and of the scored ones."""

    name: str
    train: float
    scored: float


@dataclass(frozen=True, slots=True)
class Shift:
    """Whether scored rows look like training rows.

    Attributes:
        auc: How well a linear classifier tells one from the other; 0.5 is not at all.
        length: Median characters.
        unseen: Share of words that no training row has; for ``train``, of training rows held out in turn.
        script: Shares by script, the most frequent first.
        labels: Shares by label, those that differ most first.
    """

    auc: Estimate | None
    length: Compared | None
    unseen: Compared | None
    script: tuple[Compared, ...]
    labels: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """The metric on scored rows that stand in training, too, and on the others."""

    overlapping: Estimate | None
    others: Estimate | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, the leading finding first, and the measurements that belong to it.

    Attributes:
        found: The findings.
        trained: Statuses of the answers to training rows.
        metrics: Figures of the answers to training rows.
    """

    found: tuple[Diagnosed, ...]
    trained: Mapping[str, int]
    metrics: Mapping[str, Estimate]
    doubts: Doubts | None
    shift: Shift | None
    overlap: Overlap | None

    @property
    def patched(self) -> bool:
        """Whether there is anything to copy."""
        return any(one.patch for one in self.found)


def read_diagnosis(document: Any, metrics: Mapping[str, Any]) -> Diagnosis | None:
    """The diagnosis of a run, or ``None`` where none was made.

    Args:
        document: ``diagnosis.json``.
        metrics: ``eval/metrics.json``.
    """
    if not isinstance(document, list):
        return None
    train = mapping(metrics.get("train"))
    statuses = {name: rows for name, value in mapping(train.get("statuses")).items() if (rows := integer(value))}
    figures = {name: found for name, value in mapping(train.get("metrics")).items() if (found := _estimate(value))}
    doubts, shift, overlap = (mapping(metrics.get(name)) for name in ("doubts", "shift", "overlap"))
    return Diagnosis(
        found=tuple(map(_diagnosed, read_findings(document))),
        trained=dict(sorted(statuses.items(), key=lambda item: -item[1])),
        metrics=figures,
        doubts=_doubts(doubts) if doubts else None,
        shift=_shift(shift) if shift else None,
        overlap=Overlap(*(_estimate(mapping(overlap.get("metric")).get(name)) for name in ("overlapping", "others")))
        if overlap
        else None,
    )


def _diagnosed(finding: Finding) -> Diagnosed:
    expected, explains, rows = (finding.evidence.get(key) for key in NESTED)
    facts = {key: value for key, value in finding.evidence.items() if _told(value) and key not in NESTED[:2]}
    return Diagnosed(
        finding,
        facts,
        as_yaml(finding.patch or {}),
        expected if isinstance(expected, str) else "",
        tuple(Hidden(*(text(one.get(key)) for key in ("code", "name", "message"))) for one in mappings(explains)),
        tuple(map(text, sequence(rows))),
    )


def _told(value: Any) -> bool:
    """Whether a figure can stand in a table."""
    return bool(value) if isinstance(value, str) else isinstance(value, bool) or number(value) is not None


def _broke(curves: Curves, step: float | None, best: float | None, last: float | None) -> tuple[float, float] | None:
    """The step at which the loss jumped; without one, all after the lowest loss if it ended higher."""
    if step is not None and curves.step:
        return step * curves.epoch / curves.step, step * curves.epoch / curves.step
    lowest = min(curves.train_loss, key=lambda point: point.y, default=None)
    return (lowest.x, curves.epoch) if lowest and best is not None and last is not None and last > best else None


def _swing(curves: Curves) -> tuple[float, float] | None:
    """The neighbours of the evaluation that is worse than both by most."""
    sign, line = (1.0, curves.line("loss")) if curves.line("loss") else (-1.0, curves.line(curves.score))
    triples = zip(line, line[1:], line[2:], strict=False)
    most = max(
        triples,
        key=lambda three: min(sign * (three[1].y - three[0].y), sign * (three[1].y - three[2].y)),
        default=None,
    )
    return None if most is None else (most[0].x, most[2].x)


def _estimate(value: Any) -> Estimate | None:
    """A figure, alone or with its interval."""
    parts = mapping(value)
    found = number(parts.get("value") if parts else value)
    return None if found is None else Estimate(found, number(parts.get("low")), number(parts.get("high")))


def _doubts(document: Mapping[str, Any]) -> Doubts:
    examples = tuple(
        Doubt(
            text(one.get("id")),
            _quoted(one.get("gold")),
            _quoted(one.get("suggested")),
            number(one.get("confidence")),
        )
        for one in mappings(document.get("examples"))
    )
    return Doubts(integer(document.get("rows")), number(document.get("share")), examples)


def _quoted(answer: Any) -> str:
    clipped = clip(brief(answer), LONGEST)
    return f"{clipped.text}…" if clipped.left_out else clipped.text


def _shift(document: Mapping[str, Any]) -> Shift:
    unseen, labels = mapping(document.get("unseen")), mapping(document.get("labels"))
    return Shift(
        _estimate(document.get("auc")),
        _compared("length", mapping(document.get("length"))),
        _compared("unseen", {"train": unseen.get("expected"), "scored": unseen.get("scored")}),
        tuple(sorted(_shares(mapping(document.get("script"))), key=lambda one: -one.train - one.scored)),
        tuple(sorted(_shares(labels), key=lambda one: -abs(one.train - one.scored))),
    )


def _compared(name: str, figures: Mapping[str, Any]) -> Compared | None:
    train, scored = number(figures.get("train")), number(figures.get("scored"))
    return None if train is None or scored is None else Compared(name, train, scored)


def _shares(document: Mapping[str, Any]) -> Iterator[Compared]:
    """Every name that either side has; what a side lacks is nothing there."""
    train, scored = mapping(document.get("train")), mapping(document.get("scored"))
    for name in dict.fromkeys((*train, *scored)):
        yield Compared(text(name), number(train.get(name)) or 0.0, number(scored.get(name)) or 0.0)
