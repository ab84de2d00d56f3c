"""``exactune explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text as Styled

from exactune.cli.findings import STYLES, show_line
from exactune.cli.screen import out
from exactune.language import ENGLISH, Text, said, say, spoken, translate

if TYPE_CHECKING:
    from exactune.rules import Rule

__all__ = ["explain"]


def explain(code: Annotated[str, typer.Argument(help="For example D205.", metavar="CODE")]) -> None:
    """What a finding's code means, why it matters and how to mend it."""
    from exactune import checks, diagnose
    from exactune.errors import ConfigError

    known: tuple[Rule[Any], ...] = checks.RULES + diagnose.RULES
    rules = {rule.code: rule for rule in known}
    rule = rules.get(code.upper())
    if rule is None:
        raise ConfigError(
            say("no rule has the code {code}. Known: {names}.", code=code, names=", ".join(sorted(rules)))
        )
    title = said("{code} {name} ({severity})", code=rule.code, name=rule.name, severity=rule.severity.word)
    if out.is_terminal:
        _show(rule, title)
    else:
        out.print(f"{title}\n\n{_explanation(rule)}", markup=False)


HEADINGS = {
    "What it does": say("What it does"),
    "Why it matters": say("Why it matters"),
    "Example": say("Example"),
    "Fix": say("Fix"),
}


def _show(rule: Rule[Any], title: str) -> None:
    """The sections, broken to the width of the terminal; an example keeps its lines."""
    show_line(out, Styled(title, STYLES[rule.severity]))
    for heading, text in rule.sections:
        out.print()
        if heading:
            show_line(out, Styled(said("{heading}:", heading=HEADINGS[heading]), "bold"))
        for line in translate(Text(text)).split("\n"):
            show_line(out, Styled(line), indent=4 if heading else 0, hanging=4 if heading else 0)


def _explanation(rule: Rule[Any]) -> str:
    """The docstring as it stands, or its sections translated; Chinese needs no breaks within a paragraph."""
    if spoken() == ENGLISH:
        return rule.doc
    parts = []
    for heading, text in rule.sections:
        body = translate(Text(text))
        indented = "\n".join(f"    {line}" for line in body.split("\n"))
        parts.append(f"{said('{heading}:', heading=HEADINGS[heading])}\n{indented}" if heading else body)
    return "\n\n".join(parts)
