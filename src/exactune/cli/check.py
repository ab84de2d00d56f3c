"""``exactune check``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text as Styled

from exactune.cli.findings import show_findings, show_line
from exactune.cli.screen import out, print_json
from exactune.errors import ConfigError
from exactune.language import Text, join, said, say, translate

if TYPE_CHECKING:
    from exactune.checking import CheckResult

__all__ = ["check"]


def check(
    targets: Annotated[list[str], typer.Argument(help="A config, or data files.", metavar="CONFIG|DATA...")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with every place to FILE.", metavar="FILE")
    ] = None,
    select: Annotated[list[str], typer.Option(help="Only these codes.", metavar="CODE")] = [],  # noqa: B006
    ignore: Annotated[list[str], typer.Option(help="Not these codes.", metavar="CODE")] = [],  # noqa: B006
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is mechanical in copies, in the folder of -o.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the copies; new or empty.", metavar="DIR")
    ] = None,
) -> None:
    """Find what is wrong with the rows, at file:line. Exit code 1 if there are errors."""
    from exactune.checking import check as run_check

    if fix or output:
        from exactune.mend import refuse_folder

        refuse_folder(fix, output)
    result = run_check(targets, select=select, ignore=ignore)
    if fix and output:
        with _writing(output):
            result = _mend(targets, result, output, select, ignore, quiet=as_json)
    if html:
        from exactune.report.check_page import write_check_page

        with _writing(html):
            write_check_page(html, result.to_json()["summary"], result.findings, result.notes, result.dataset.splits)
    if as_json:
        print_json(result.to_json())
    else:
        _show(result, html, fixed=fix)
    if result.errors or (strict and result.warnings):
        raise typer.Exit(1)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A place that cannot be written to is the user's to change.

    Raises:
        ConfigError: It cannot.
    """
    try:
        yield
    except OSError as error:
        reason = Text(error.strerror or str(error))
        raise ConfigError(say("{path}: cannot be written: {reason}.", path=path, reason=reason)) from error


def _mend(
    targets: list[str], result: CheckResult, output: Path, select: list[str], ignore: list[str], *, quiet: bool
) -> CheckResult:
    """Write the copies and say what was mended; what is still found in them."""
    from exactune.checking import check_copies
    from exactune.mend import MENDED, mend

    chosen = {code.upper() for code in select} or set(MENDED)
    mended = mend(result, output, chosen - {code.upper() for code in ignore})
    if not quiet:
        for sentence in mended.sentences():
            show_line(out, Styled(translate(sentence)), hanging=8)
    return check_copies(targets, mended.copies, select=select, ignore=ignore)


def _show(result: CheckResult, html: Path | None, *, fixed: bool) -> None:
    for note in result.notes:
        show_line(out, Styled(said("note    {note}", note=note)), hanging=8)
    show_findings(result.findings, out, result.dataset.splits)
    summary = Styled(said("left in the copies: ") if fixed else "")
    show_line(out, summary.append(translate(result.summary_line()), "bold red" if result.errors else "bold"))
    if html:
        show_line(out, Styled(said("wrote   {names}", names=html)))
    elif steps := list(_next_steps(result, fixed=fixed)):
        show_line(out, Styled(said("next: {steps}", steps=join("; ", steps))), hanging=6)


def _next_steps(result: CheckResult, *, fixed: bool) -> Iterator[str]:
    from exactune.mend import MENDED

    codes = [code for code in dict.fromkeys(finding.code for finding in result.findings) if code in MENDED]
    if codes and not fixed:
        yield say("--fix -o DIR mends {codes} in copies", codes=join(", ", codes))
    if result.findings:
        yield say("--html FILE shows every place")
        yield say("--ignore CODE, or `check: {ignore: [CODE]}` in the config, leaves a code out")
