"""``exactune init``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.prompt import IntPrompt
from rich.text import Text

from exactune.cli.screen import err, out
from exactune.language import said, translate

if TYPE_CHECKING:
    from exactune.draft import Doubt, Draft

__all__ = ["init"]


def init(
    data: Annotated[list[str], typer.Argument(help="Data files, or a folder of them.", metavar="DATA...")],
    output: Annotated[
        str, typer.Option("-o", "--output", help="Write here; - for stdout.", metavar="FILE")
    ] = "task.yaml",
    model: Annotated[str, typer.Option(help="The base model.", metavar="M")] = "mini",
    assignments: Annotated[list[str], typer.Option("--set", help="key=value; becomes part of the config.")] = [],  # noqa: B006
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take what is likeliest.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the config.")] = False,
) -> None:
    """Look at the data and write a config with the reason for every value."""
    from exactune.draft import init as draft_config

    asks = not yes and output != "-" and sys.stdin.isatty() and sys.stdout.isatty()
    with err.status(said("reading the rows")) as status:

        def ask(doubt: Doubt) -> Mapping[str, Any]:
            status.stop()
            values = _ask(doubt)
            status.start()
            return values

        draft = draft_config(
            data, output=None if output == "-" else Path(output), model=model, assignments=assignments,
            overwrite=overwrite, ask=ask if asks else None,
        )  # fmt: skip
    if draft.path is None:
        typer.echo(draft.text, nl=False)
    _show(draft, out if draft.path else err)


def _ask(doubt: Doubt) -> Mapping[str, Any]:
    """Let the person choose; Enter takes the first option."""
    out.print("\n" + said("{found}.", found=doubt.found), markup=False)
    for number, option in enumerate(doubt.options, 1):
        out.print(f"  {number}  {translate(option.label)}", markup=False)
    choices = [str(number) for number in range(1, len(doubt.options) + 1)]
    chosen = IntPrompt.ask(Text(translate(doubt.question)), console=out, choices=choices, default=1, show_choices=False)
    return doubt.options[chosen - 1].values


def _show(draft: Draft, console: Console) -> None:
    from exactune.draft.facts import typed

    for line in draft.summary():
        console.print(translate(line), markup=False)
    if draft.path is not None:
        name = typed(draft.path)
        written = said(
            "wrote   {path}\nnext    exactune check {name}\n        exactune train {name}", path=draft.path, name=name
        )
        console.print(written, markup=False)
