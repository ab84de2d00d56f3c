"""``exactune diagnose``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from exactune.cli.findings import SHOWN, STYLES, show_line
from exactune.cli.screen import out, print_json
from exactune.language import said, translate

if TYPE_CHECKING:
    from exactune.rules import Finding

__all__ = ["diagnose", "show_diagnosis"]


def diagnose(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    output: Annotated[
        Path | None, typer.Option("-o", help="Write the leading finding's remedy, for --patch.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Say what is wrong with a run, why, and what to change. Exit code 1 if a finding is an error."""
    from exactune.diagnose import diagnose as find
    from exactune.diagnose.remedies import patch_yaml
    from exactune.durable import write_text
    from exactune.rules import Severity
    from exactune.rundir import Run

    findings = find(Run.open(run))
    if output is not None:
        write_text(output, patch_yaml(findings))
    if as_json:
        print_json([finding.to_json() for finding in findings])
    else:
        show_diagnosis(findings)
        if any(finding.patch for finding in findings):
            out.print(_next_step(run, output), markup=False)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(1)


def _next_step(run: Path, output: Path | None) -> str:
    if output is None:
        file = shlex.quote(str(run))
        return said("To try the first remedy: exactune diagnose {run} -o patch.yaml", run=file)
    return said(
        "To try it: exactune train CONFIG --patch {file} --output DIR, with this run's config and another folder",
        file=shlex.quote(str(output)),
    )


def show_diagnosis(findings: Sequence[Finding]) -> None:
    """Findings, leading first: what, where, what it explains, what to change."""
    from exactune.diagnose.remedies import as_yaml

    if not findings:
        out.print(said("Nothing wrong was found with this run."), markup=False)
    for finding in findings:
        head = Text().append(f"{finding.code} {translate(finding.severity.word)}", STYLES[finding.severity])
        head.append(f" {finding.name}", "bold").append(said(": ") + translate(finding.message))
        show_line(out, head, hanging=5)
        rows = finding.evidence.get("rows")
        if rows and isinstance(rows, list):
            _line(said("rows: {rows}", rows=", ".join(rows[:SHOWN])))
        for other in finding.evidence.get("explains", ()):
            _line(said("explains {code}: {message}", code=other["code"], message=other["message"]), "dim")
        _line(said("fix: {fix}", fix=finding.fix))
        for line in as_yaml(finding.patch or {}).splitlines():
            show_line(out, Text(line, "green"), indent=9, hanging=9)
        if expected := finding.evidence.get("expected"):
            _line(said("expected: {expected}", expected=expected))


def _line(text: str, style: str = "") -> None:
    show_line(out, Text(text, style), indent=5, hanging=7)
