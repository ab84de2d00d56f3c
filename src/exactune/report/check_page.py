"""The page of ``check --html``: every finding, and every place in a table that can be filtered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from exactune.checks import RULES
from exactune.durable import write_text
from exactune.language import Text, spoken
from exactune.quotes import Piece, Quote, quotes_of, texts_at, visible
from exactune.report.page import inlined, rendered
from exactune.rules import Finding
from exactune.types import Splits

__all__ = ["write_check_page"]

MOST = 1000
"""Places of one finding that the page shows; ``--json`` has them all. Nobody reads a hundred thousand rows."""

LONGEST = 400
"""Characters of a row that are shown."""

CONTEXT = 60
"""Characters on either side of a difference."""


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one code.

    Attributes:
        findings: At least one.
        places: Places in all of them.
        why: Why it matters, as the rule has it.
        quotes: The first places with their texts.
    """

    findings: Sequence[Finding]
    places: int
    why: str
    quotes: Sequence[Quote]

    @property
    def first(self) -> Finding:
        """Gives code, name and severity."""
        return self.findings[0]


def write_check_page(
    path: Path,
    summary: Mapping[str, int],
    findings: Sequence[Finding],
    notes: Sequence[str],
    splits: Splits,
    language: str | None = None,
) -> None:
    """Write the page; it loads nothing, and its one script only hides rows of the table.

    Args:
        path: Where to.
        summary: Counts, as ``check --json`` has them.
        findings: Worst first.
        notes: What was decided while reading.
        splits: The usable rows, to quote them.
        language: Of the page; by default the one spoken.
    """
    texts = texts_at(findings, splits, MOST)
    why = {rule.code: dict(rule.sections).get("Why it matters", "") for rule in RULES}
    groups = []
    for code, found in groupby(findings, key=lambda finding: finding.code):
        group = list(found)
        quotes = [quote for finding in group for quote in quotes_of(finding, texts, MOST)]
        places = sum(len(finding.locations) for finding in group)
        groups.append(Group(group, places, Text(why.get(code, "")), quotes))
    script, digest = inlined("check.js")
    page = rendered(
        "check.html.j2", language or spoken(), summary=summary, groups=groups, notes=notes, script=script,
        digest=digest, shown=shown, near=near,
    )  # fmt: skip
    write_text(path, page)


def shown(text: str) -> str:
    """The beginning of a row's text and its end, where the answer stands."""
    plain = visible(text)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST // 2]} … {plain[-LONGEST // 2 :]}"


def near(pieces: Sequence[Piece]) -> list[Piece]:
    """Compared texts with what is far from every difference left out, and what has no shape written out."""
    last = len(pieces) - 1
    return [
        Piece(piece.kind, _around(piece.text, number == 0, number == last))
        if piece.kind == "same"
        else Piece(piece.kind, shown_exactly(piece.text))
        for number, piece in enumerate(pieces)
    ]


def shown_exactly(text: str) -> str:
    """A stretch that differs, its blanks told apart."""
    plain = visible(text, blanks=True)
    return plain if len(plain) <= LONGEST else plain[:LONGEST] + "…"


def _around(text: str, first: bool, last: bool) -> str:
    before, after = ("" if first else text[:CONTEXT]), ("" if last else text[-CONTEXT:])
    whole = len(text) <= len(before) + len(after) + 1
    kept = text if whole else f"{before}…{after}"
    return "".join(char if char.isspace() and char not in "\r" else visible(char) for char in kept)
