"""``exactune check``."""

from __future__ import annotations

from typing import Annotated

import typer

from exactune.cli.screen import out, print_json, show_findings
from exactune.language import said, translate

__all__ = ["check"]


def check(
    targets: Annotated[list[str], typer.Argument(help="A config, or data files.", metavar="CONFIG|DATA...")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    select: Annotated[list[str], typer.Option(help="Only these codes.", metavar="CODE")] = [],  # noqa: B006
    ignore: Annotated[list[str], typer.Option(help="Not these codes.", metavar="CODE")] = [],  # noqa: B006
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> None:
    """Find what is wrong with the rows, at file:line. Exit code 1 if there are errors."""
    from exactune.checking import check as run_check

    result = run_check(targets, select=select, ignore=ignore)
    if as_json:
        print_json(result.to_json())
    else:
        for note in result.notes:
            out.print(said("note    {note}", note=note), markup=False)
        show_findings(result.findings)
        out.print(translate(result.summary_line()), markup=False)
    if result.errors or (strict and result.warnings):
        raise typer.Exit(1)
