"""``exactune eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exactune.cli.screen import print_json, show_metrics
from exactune.cli.train import apply_gates
from exactune.rundir import Run
from exactune.stop import held

__all__ = ["eval_"]


def eval_(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    data: Annotated[Path | None, typer.Option(help="Score another data file.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Answer and score a run's test rows again, or another file's. Exit code 1 if a gate fails."""
    with held():
        from exactune.apply import evaluate

    document = evaluate(run, data=data)
    if as_json:
        print_json(document)
    else:
        show_metrics(document)
    if data is None:
        apply_gates(Run(run), document)
