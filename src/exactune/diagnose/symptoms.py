"""A run folder as the diagnosis sees it: what was asked for, what training showed, what evaluation found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from statistics import fmean
from typing import Any

from exactune.config import PREFERENCE, Config
from exactune.errors import RunError
from exactune.language import restored, say
from exactune.layers import read_patch, resolve
from exactune.rundir import Run, read_json, read_jsonl

__all__ = ["NAMED", "Evaluation", "Figure", "Step", "Symptoms", "read_symptoms"]

NAMED = 20
"""Rows that a finding names at most."""


@dataclass(frozen=True, slots=True)
class Step:
    """One logged line of training; ``loss`` is the mean of the steps since the line before.

    Attributes:
        step: Optimizer step.
        epoch: Epochs trained by then.
        loss: Of the answers, of the pairs (``dpo``), or of both (``orpo``).
        grad_norm: Of the last of those steps.
        margin: Of preference methods: by how much the better answers are preferred, mean.
        pair_accuracy: Share of pairs with a margin above 0.
    """

    step: int
    epoch: float
    loss: float
    grad_norm: float | None
    margin: float | None = None
    pair_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation during training.

    Attributes:
        step: Optimizer step.
        epoch: Epochs trained by then.
        scores: ``loss`` and the task's metrics on the eval rows.
        moved: Norm of what training has changed over the norm of the weights it changed.
    """

    step: int
    epoch: float
    scores: Mapping[str, float]
    moved: float | None

    @property
    def loss(self) -> float:
        """On the eval rows."""
        return self.scores["loss"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Symptoms:
    """What the rules look at. A stage that has not run has left nothing here.

    Attributes:
        run: The folder.
        config: As resolved.
        recipe: Dotted config keys with the values that the guide's tables give for this base and so many rows.
        expected: The guide's band for so many rows, ``low`` and ``high``; empty under its minimum of rows.
        rows: Number of training rows.
        held_out: Number of eval and test rows.
        withheld: Files of test rows that the run may not see yet, as in ``train --auto``.
        lines: Of ``train/metrics.jsonl``, as they are.
        steps: Logged lines of training, each step once.
        evaluations: In order.
        kept: ``train/best.json``: the evaluation whose weights were published; empty while training.
        scored: ``eval/metrics.json``; empty if the run was not scored.
        checks: Findings of the data checks, as JSON; of rows that were skipped for them, none.
        pairs: ``pairs`` of ``data.json``: how long the answers of the preference pairs are; empty without any.
    """

    run: Run
    config: Config
    recipe: Mapping[str, Any]
    expected: Mapping[str, float]
    rows: int
    held_out: int
    withheld: frozenset[str]
    lines: tuple[Mapping[str, Any], ...]
    steps: tuple[Step, ...]
    evaluations: tuple[Evaluation, ...]
    kept: Mapping[str, Any]
    scored: Mapping[str, Any]
    checks: Sequence[Mapping[str, Any]]
    pairs: Mapping[str, Any]

    @property
    def method(self) -> str:
        """``training.method``."""
        return self.config.training.method

    @property
    def prefers(self) -> bool:
        """Whether preference pairs were learned."""
        return self.method in PREFERENCE

    @property
    def loss_of_pairs(self) -> bool:
        """Whether the training loss is that of pairs alone: it begins at ln 2, and is no likelihood of answers."""
        return self.method == "dpo"

    @cached_property
    def reference(self) -> tuple[tuple[float, float], ...]:
        """Log-likelihoods of the better and the worse answer of each pair before the first step (nats), of ``dpo``."""
        file = self.run.train_metrics.with_name("reference.jsonl")
        lines = read_jsonl(file) if self.loss_of_pairs else ()
        return tuple((line["chosen"], line["rejected"]) for line in lines)

    @property
    def task(self) -> str:
        """The task's type."""
        return self.config.task.type

    @cached_property
    def epoch_losses(self) -> tuple[float, ...]:
        """Mean training loss of each epoch, float ``[epochs]``; a part of one is one, too."""
        parts: dict[int, list[float]] = {}
        for line in self.steps:
            # A line at the very end of an epoch is of that epoch.
            parts.setdefault(int(line.epoch - 1e-9), []).append(line.loss)
        return tuple(fmean(parts[epoch]) for epoch in sorted(parts))

    @property
    def metric(self) -> str:
        """The task's metric that speaks for the run; empty before anything was evaluated."""
        if self.scored:
            return str(self.scored["primary"])
        names = [name for one in self.evaluations[:1] for name in one.scores if name != "loss"]
        return names[0] if names else ""

    @property
    def figure(self) -> Figure | None:
        """That metric on the scored rows."""
        return figure_of(self.scored.get("metrics", {}).get(self.metric))

    @property
    def trained_figure(self) -> Figure | None:
        """The same on training rows."""
        return figure_of(self.scored.get("train", {}).get("metrics", {}).get(self.metric))

    @property
    def chosen(self) -> Evaluation | None:
        """The evaluation whose weights were published."""
        return next((one for one in self.evaluations if one.step == self.kept.get("step")), None)

    @property
    def at_the_limit(self) -> bool:
        """Whether training went on for as many epochs as it was allowed to."""
        last = self.evaluations[-1].epoch if self.evaluations else 0.0
        return bool(self.kept) and last >= self.config.training.num_epochs.maximum - 1e-6

    @property
    def answers(self) -> Iterator[Mapping[str, Any]]:
        """Lines of ``eval/predictions.jsonl``, read as their turn comes: there may be many."""
        return read_jsonl(self.run.predictions)

    def statuses(self, *names: str) -> int:
        """Scored answers with one of these statuses."""
        return sum(self.scored.get("statuses", {}).get(name, 0) for name in names)

    def rows_with(self, *statuses: str) -> list[str]:
        """Ids of the first scored rows whose answers have one of these statuses."""
        return list(islice((line["id"] for line in self.answers if line["status"] in statuses), NAMED))

    def check_findings(self, *codes: str) -> list[Mapping[str, Any]]:
        """What the data checks found under these codes."""
        return [finding for finding in self.checks if finding["code"] in codes]


def figure_of(estimate: Mapping[str, float] | None) -> Figure | None:
    """``{"value", "low", "high"}`` of a run file."""
    return None if not estimate else Figure(estimate["value"], estimate["low"], estimate["high"])


def read_symptoms(run: Run) -> Symptoms:
    """Everything the rules need, from the run folder alone.

    Raises:
        RunError: Nothing was trained in it yet.
    """
    lines = list(read_jsonl(run.train_metrics))
    if not lines:
        raise RunError(
            say(
                "{run}: nothing was trained in this run yet, so there is nothing to diagnose. Go on with "
                "`exactune train CONFIG --resume`.",
                run=run.path,
            )
        )
    recipe, best = read_json(run.recipe), run.train_metrics.with_name("best.json")
    config, data = resolve([read_patch(run.config)]).config, read_json(run.data)
    tested = data["splits"]["test"]["rows"]
    return Symptoms(
        run=run,
        config=config,
        recipe=recipe["values"],
        expected=recipe["expected"] or {},
        rows=recipe["rows"],
        held_out=data["splits"]["eval"]["rows"] + tested,
        withheld=frozenset(file["path"] for file in data["files"] if file["split"] == "test" and not tested),
        lines=tuple(lines),
        steps=tuple(_steps(lines)),
        evaluations=tuple(_evaluations(lines)),
        kept=read_json(best) if best.is_file() else {},
        scored=read_json(run.metrics) if run.metrics.is_file() else {},
        checks=[restored(finding) for finding in read_json(run.findings) if not _skipped(finding, config)],
        pairs=data.get("pairs", {}),
    )


def _skipped(finding: Mapping[str, Any], config: Config) -> bool:
    """Whether the rows that a finding names were left out."""
    return config.check.on_error == "skip" and finding["severity"] == "error"


def _steps(lines: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    """A resumed run logs some steps twice; the later line counts."""
    known = {line["step"]: line for line in lines if "eval" not in line}
    for step in sorted(known):
        line = known[step]
        figures = (line.get(name) for name in ("grad_norm", "margin", "pair_accuracy"))
        yield Step(step, line["epoch"], line["loss"], *figures)


def _evaluations(lines: Sequence[Mapping[str, Any]]) -> Iterator[Evaluation]:
    known = {line["step"]: line for line in lines if "eval" in line}
    for step in sorted(known):
        line = known[step]
        yield Evaluation(step, line["epoch"], line["eval"], line.get("moved"))
