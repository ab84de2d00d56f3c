"""The course of training, from ``train/metrics.jsonl``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exactune.report.files import integer, mapping, number, text

__all__ = ["Curves", "Evaluation", "Point", "primary_metric", "read_curves"]

BUCKETS = 240
"""Most points of a drawn line; more cannot be seen and only make the file larger."""

PREFERRED = ("margin", "pair_accuracy", "logps_chosen", "logps_rejected")
"""What preference methods log beside the loss."""

PRIMARY = ("macro_f1", "field_f1", "entity_f1", "triple_f1", "token_f1", "exact_match", "accuracy")
"""Which metric speaks for a run that was not scored, in order of preference."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a line; ``x`` is in epochs."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation during training."""

    step: int
    epoch: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Curves:
    """What was logged.

    Attributes:
        train_loss: Mean loss of the logged steps, thinned for drawing.
        evaluations: In order of steps.
        moved: By how much of their norm the trained weights had moved, over the evaluations that measured it.
        metric: What chose the best checkpoint; ``loss`` or one of the task's metrics.
        best: The evaluation that ``metric`` prefers; the first of equals.
        step: The last step logged.
        epoch: Its epoch.
        preferred: Of preference methods, each of :data:`PREFERRED` that was logged, thinned as the loss is.
    """

    train_loss: tuple[Point, ...]
    evaluations: tuple[Evaluation, ...]
    moved: tuple[Point, ...]
    metric: str
    best: Evaluation | None
    step: int
    epoch: float
    preferred: Mapping[str, tuple[Point, ...]]

    def line(self, score: str) -> tuple[Point, ...]:
        """One score over the evaluations."""
        return tuple(Point(one.epoch, one.scores[score]) for one in self.evaluations if score in one.scores)

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of all scores, the loss first, then as logged."""
        names = dict.fromkeys(name for one in self.evaluations for name in one.scores)
        return tuple(sorted(names, key=lambda name: name != "loss"))

    @property
    def score(self) -> str:
        """The metric to draw beside the loss; empty if only losses were logged."""
        others = tuple(name for name in self.scores if name != "loss")
        return self.metric if self.metric in others else primary_metric(others)


def primary_metric(names: Sequence[str]) -> str:
    """The metric that best speaks for a run among those it has; empty if it has none."""
    return next((name for name in PRIMARY if name in names), names[0] if names else "")


def read_curves(lines: Iterable[Mapping[str, Any]], chosen: Mapping[str, Any], wanted: Sequence[str]) -> Curves | None:
    """The curves of a run, or ``None`` if nothing was logged.

    Args:
        lines: Logged steps and evaluations. A resumed run logs some steps twice; the later line counts.
        chosen: ``{"step", "metric"}`` of the checkpoint that training kept; empty if it did not finish.
        wanted: Metrics that may have decided, the likeliest first; the first that was logged counts.
    """
    losses: dict[int, Point] = {}
    evaluations: dict[int, Evaluation] = {}
    moved: dict[int, Point] = {}
    preferred: dict[str, dict[int, Point]] = {name: {} for name in PREFERRED}
    for line in lines:
        step, epoch, loss = integer(line.get("step")), number(line.get("epoch")), number(line.get("loss"))
        if step is None or epoch is None:
            continue
        if "eval" in line:
            scores = {
                name: found for name, value in mapping(line["eval"]).items() if (found := number(value)) is not None
            }
            evaluations[step] = Evaluation(step, epoch, scores)
            if (distance := number(line.get("moved"))) is not None:
                moved[step] = Point(epoch, distance)
        elif loss is not None:
            losses[step] = Point(epoch, loss)
            for name, points in preferred.items():
                if (found := number(line.get(name))) is not None:
                    points[step] = Point(epoch, found)
    if not losses and not evaluations:
        return None
    ordered = tuple(evaluations[step] for step in sorted(evaluations))
    names = tuple(dict.fromkeys(name for one in ordered for name in one.scores if name != "loss"))
    likely = (text(chosen.get("metric")), *wanted)
    metric = next((name for name in likely if name in ("loss", *names)), primary_metric(names) or "loss")
    kept_step = integer(chosen.get("step"))
    kept = None if kept_step is None else evaluations.get(kept_step)
    last = max((*losses, *evaluations))
    return Curves(
        train_loss=_thin([losses[step] for step in sorted(losses)]),
        evaluations=ordered,
        moved=tuple(moved[step] for step in sorted(moved)),
        metric=metric,
        best=kept if kept and metric in kept.scores else _best(ordered, metric),
        step=last,
        epoch=max(losses[last].x if last in losses else 0.0, evaluations[last].epoch if last in evaluations else 0.0),
        preferred={
            name: _thin([points[step] for step in sorted(points)]) for name, points in preferred.items() if points
        },
    )


def _best(evaluations: Iterable[Evaluation], metric: str) -> Evaluation | None:
    scored = [one for one in evaluations if metric in one.scores]
    sign = -1.0 if metric == "loss" else 1.0
    return max(scored, key=lambda one: sign * one.scores[metric], default=None)


def _thin(points: Sequence[Point]) -> tuple[Point, ...]:
    """At most :data:`BUCKETS` points, each the mean of equally many neighbours."""
    size = -(-len(points) // BUCKETS) or 1
    groups = (points[start : start + size] for start in range(0, len(points), size))
    return tuple(
        Point(sum(point.x for point in group) / len(group), sum(point.y for point in group) / len(group))
        for group in groups
    )
