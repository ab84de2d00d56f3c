"""``exactune report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exactune.cli.screen import out

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
) -> None:
    """Write a run's report again from its files; --lang says in which language."""
    from exactune.report import write_report
    from exactune.report.compare_page import write_compare_page
    from exactune.report.loop_page import write_loop_page
    from exactune.rundir import COMPARISON, LOOP, Run

    if (run / COMPARISON).is_file():
        written = write_compare_page(run)
    else:
        written = write_loop_page(run) if (run / LOOP).is_file() else write_report(Run.open(run))
    out.print(str(written), markup=False)
