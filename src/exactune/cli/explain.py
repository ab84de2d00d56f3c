"""``exactune explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from exactune.cli.screen import out

__all__ = ["explain"]


def explain(code: Annotated[str, typer.Argument(help="For example D205.", metavar="CODE")]) -> None:
    """What a finding's code means, why it matters and how to mend it."""
    from exactune.checks import RULES
    from exactune.errors import ConfigError

    rules = {rule.code: rule for rule in RULES}
    rule = rules.get(code.upper())
    if rule is None:
        raise ConfigError(f"no rule has the code {code}. Known: {', '.join(sorted(rules))}.")
    out.print(f"{rule.code} {rule.name} ({rule.severity})\n\n{rule.doc}", markup=False)
