"""``exactune eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exactune.cli.screen import print_json, show_comparison, show_metrics
from exactune.cli.train import apply_gates
from exactune.errors import ConfigError
from exactune.language import say
from exactune.rundir import Run
from exactune.stop import held

__all__ = ["eval_"]


def eval_(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    data: Annotated[Path | None, typer.Option(help="Score another data file.", metavar="FILE")] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Compare with another run on the same rows, by what both have answered.", metavar="RUN"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Answer and score a run's test rows again, or another file's. Exit code 1 if a gate fails."""
    if against is not None:
        compare(run, against, data, as_json)
        return
    with held():
        from exactune.apply import evaluate

    document = evaluate(run, data=data)
    if as_json:
        print_json(document)
    else:
        show_metrics(document)
    apply_gates(document)


def compare(run: Path, against: Path, data: Path | None, as_json: bool) -> None:
    """Whether two runs differ by more than chance."""
    from exactune.evaluate.against import compare_runs

    if data is not None:
        raise ConfigError(say("--against compares what runs have answered already; leave --data out."))
    document = compare_runs(Run.open(run), Run.open(against))
    if as_json:
        print_json(document)
    else:
        show_comparison(document)
