"""What people see: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from exactune import ranks
from exactune.cli.findings import show_findings
from exactune.evaluate.forgetting import in_words
from exactune.language import join, restored, said, translate
from exactune.rules import Finding
from exactune.verdicts import against_baseline, against_run

__all__ = ["TrainingScreen", "fail", "out", "print_json", "show_comparison", "show_metrics"]

SHOWN = (0.95, 0.9, 0.8, 0.5)
"""Shares of the rows for which a threshold of confidence is said."""

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str, findings: Sequence[Finding] = (), *, code: int = 2) -> NoReturn:
    """Say what went wrong, unless another rank does, and end."""
    if ranks.may_speak():
        show_findings(findings, err)
        err.print(Text(translate(message), style="red" if code == 2 else ""))
    sys.exit(code)


def print_json(value: Any) -> None:
    """One JSON document on stdout and nothing else."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def show_metrics(document: Mapping[str, Any]) -> None:
    """The figures of an evaluation beside its baselines."""
    comparison = document.get("comparison")
    title = said("{split}: {rows} rows", split=document["split"], rows=document["n"])
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(said("metric"))
    table.add_column(said("value"), justify="right")
    table.add_column(said("95% interval"), justify="right")
    if comparison:
        table.add_column(said("best baseline"), justify="right")
    for metric, figure in document["metrics"].items():
        star = " *" if metric == document["primary"] else ""
        cells = [f"{figure['value']:.3f}", f"{figure['low']:.3f} - {figure['high']:.3f}"]
        if comparison:
            best = comparison["baseline"]
            cells.append(f"{document['baselines'][best][metric]['value']:.3f} {best}")
        table.add_row(metric + star, *cells)
    out.print(table)
    _show_comparison(document)
    bad = {name: count for name, count in document["statuses"].items() if name != "ok"}
    if bad:
        listed = join(", ", (f"{count} {name}" for name, count in bad.items()))
        out.print(said("not usable: {statuses}", statuses=listed))
    if "closed" in document:
        out.print(said("ended by the grammar at the token limit: {answers} of the answers", answers=document["closed"]))
    if "calibration" in document:
        _show_calibration(document["calibration"])
    for line in in_words(document["general"]) if "general" in document else ():
        out.print(said("general {line}", line=line), markup=False)


def _show_comparison(document: Mapping[str, Any]) -> None:
    """The verdict in words, and the baselines that are not in the table."""
    comparison = document.get("comparison")
    if comparison:
        out.print(said("verdict {verdict}", verdict=against_baseline(comparison)), markup=False)
        rows, metric = document["baseline_rows"], document["primary"]
        others = [
            f"{name} {figures[metric]['value']:.3f}"
            + (said(" (of {rows} rows)", rows=rows[name]) if rows[name] < document["n"] else "")
            for name, figures in document["baselines"].items()
            if name != comparison["baseline"]
        ]
        if others:
            out.print(said("others  {metric} of {listed}", metric=metric, listed=join(", ", others)), markup=False)
    for name, reason in restored(document).get("baselines_left_out", {}).items():
        out.print(said("without {name}: {reason}", name=name, reason=reason), markup=False)


def show_comparison(document: Mapping[str, Any]) -> None:
    """Two runs side by side; of what :func:`~exactune.evaluate.against.compare_runs` gives."""
    title = said("{rows} rows that both have scored", rows=document["rows"])
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    names = said("metric"), said("this run"), said("the other"), said("difference"), said("95% interval")
    for number, name in enumerate((*names, "")):
        table.add_column(name, justify="right" if 0 < number < 5 else "left")
    words = {"better": said("real: better"), "worse": said("real: worse"), "level": said("noise")}
    for metric, found in document["metrics"].items():
        difference = found["difference"]
        table.add_row(
            metric + (" *" if metric == document["primary"] else ""), f"{found['ours']:.3f}", f"{found['theirs']:.3f}",
            f"{difference['value']:+.3f}", f"{difference['low']:+.3f} - {difference['high']:+.3f}",
            words[found["verdict"]],
        )  # fmt: skip
    out.print(table)
    out.print(said("verdict {verdict}", verdict=against_run(document)), markup=False)
    alone = document["only_run"], document["only_against"]
    if any(alone):
        out.print(said("left out: {here} rows of this run alone, {there} of the other", here=alone[0], there=alone[1]))


def _show_calibration(found: Mapping[str, Any]) -> None:
    """What confidences are worth, and where to put ``--abstain-below``."""
    crossed, rows = found["figures"] == "cross-fitted", found["rows"]
    how = (
        said("each fifth of these {rows} rows scaled by the others", rows=rows)
        if crossed
        else said("fitted on {rows} eval rows", rows=rows)
    )
    out.print(
        said(
            "confidence: off by {before:.3f} on average as the model says it, by {after:.3f} after scaling "
            "(temperature {temperature:.2f}; {how})",
            before=found["before"]["ece"],
            after=found["after"]["ece"],
            temperature=found["temperature"],
            how=how,
        )
    )
    whole, *others = found["coverage"]
    for share in SHOWN:
        if point := next((one for one in others if one["coverage"] <= share), None):
            others = [one for one in others if one["coverage"] < point["coverage"]]
            out.print(
                said(
                    "answering the surest {coverage:.0%} of rows: accuracy {accuracy:.3f} instead of {all:.3f}, "
                    "--abstain-below {threshold:.6f}", **point, all=whole["accuracy"],
                )
            )  # fmt: skip


class TrainingScreen:
    """One progress bar: step, loss, newest metric, time left. Without a terminal: a line per evaluation."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal,
        )  # fmt: skip
        self.bar = self.progress.add_task(said("training"), total=None, figures="")
        self.metric = ""

    def __enter__(self) -> TrainingScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.progress.stop()

    def pause(self) -> None:
        """Take the bar away, for lines on stdout; the next step brings it back."""
        self.progress.stop()

    def step(self, step: int, steps: int, newest: Mapping[str, float]) -> None:
        """Move the bar; it appears with the first step, below what was said before."""
        if not self.progress.live.is_started:
            self.progress.start()
        figures = said("loss {loss:.3f}", loss=newest["loss"]) if "loss" in newest else ""
        self.progress.update(self.bar, completed=step, total=steps, figures=f"{figures} {self.metric}".strip())

    def evaluated(self, epoch: float, metrics: Mapping[str, float], is_best: bool) -> None:
        """Print an evaluation above the bar."""
        shown = {name: f"{value:.3f}" for name, value in metrics.items() if name not in ("loss", "low", "high")}
        name, value = next(iter(shown.items()))
        if "low" in metrics:
            shown[name] = f"{value} ({metrics['low']:.2f}-{metrics['high']:.2f})"
        self.metric = f"{name} {value}"
        text = "  ".join(f"{name} {value}" for name, value in shown.items())
        line = said(
            "epoch {epoch:<4g} eval loss {loss:.3f}  {metrics}", epoch=epoch, loss=metrics["loss"], metrics=text
        )
        err.print(line + (said("  best") if is_best else ""))
