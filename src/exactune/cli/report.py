"""``exactune report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exactune.cli.lang import named
from exactune.cli.screen import out

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    lang: Annotated[str | None, typer.Option(help="Language of the report: en or zh-TW.", metavar="LANG")] = None,
) -> None:
    """Write a run's report again from its files, in any language."""
    from exactune.report import write_report
    from exactune.rundir import Run

    out.print(str(write_report(Run.open(run), None if lang is None else named(lang))), markup=False)
