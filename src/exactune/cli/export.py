"""``exactune export``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from exactune.cli.screen import out
from exactune.language import said, translate
from exactune.stop import held

__all__ = ["export"]


class To(StrEnum):
    """What a run is exported to."""

    adapter = "adapter"
    merged = "merged"


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    to: Annotated[To, typer.Option(help="The adapter as it is, or one whole model.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to; RUN/export/... if not given.", metavar="DIR")
    ] = None,
) -> None:
    """Write a run's adapter, or its base and adapter as one model, and prove that it scores the same."""
    with held():
        from exactune.exporting import export as export_run

    folder = export_run(
        run, merged=to is To.merged, output=output, say_line=lambda line: out.print(translate(line), markup=False)
    )
    out.print(said("export  {folder}", folder=folder), markup=False)
