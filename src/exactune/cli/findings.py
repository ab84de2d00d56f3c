"""Findings on a screen: grouped by code, with the rows' texts and where two of them part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from exactune.language import said, say, translate
from exactune.quotes import Piece, Quote, quotes_of, texts_at, visible
from exactune.rules import Finding, Severity
from exactune.types import Location, Splits

__all__ = ["SHOWN", "STYLES", "show_findings", "show_line"]

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "blue"}
COLON = say(": ")

SHOWN = 5
"""Places of a finding, and findings of a code, that are shown."""

CELLS = 100
"""Columns that the text of a row may take; a Chinese character takes two."""

CONTEXT = 20
"""Characters that are shown on either side of a difference."""

LEFT_OUT = "…"

_CJK = r"\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_CLOSING = r"[、，。：；！？）」』》〉】”’…]*"
_BREAKABLE = re.compile(rf"[（「『《〈【“‘]*[{_CJK}]{_CLOSING}|[^\s{_CJK}]+{_CLOSING}|\s+")
"""Chinese may be broken between any two characters, but no line begins with a closing or ends with an opening mark."""


def show_findings(findings: Sequence[Finding], console: Console, splits: Splits | None = None) -> None:
    """Findings with the first of their places, what stands there, and the fix.

    Args:
        findings: Worst first.
        console: Where to.
        splits: The usable rows, to quote them; without them the lines of their files are quoted.
    """
    texts = texts_at(findings, splits, SHOWN)
    for _, group in groupby(findings, key=lambda finding: finding.code):
        _show_code(list(group), texts, console)


def _show_code(group: Sequence[Finding], texts: Mapping[Location, str], console: Console) -> None:
    for finding in group[:SHOWN]:
        head = Text().append(f"{finding.code} {translate(finding.severity.word)}", STYLES[finding.severity])
        head.append(f" {finding.name}", "bold").append(f"{translate(COLON)}{translate(finding.message)}")
        show_line(console, head, hanging=5)
        for quote in quotes_of(finding, texts, SHOWN):
            show_line(console, _place_line(quote, finding, colours=console.is_terminal), indent=5, hanging=7)
        if len(finding.locations) > SHOWN:
            _more(len(finding.locations) - SHOWN, console)
    if len(group) > SHOWN:
        _more(len(group) - SHOWN, console)
    for fix in dict.fromkeys(translate(finding.fix) for finding in group):
        show_line(console, Text(said("fix: {fix}", fix=fix)), indent=5, hanging=7)


def _more(number: int, console: Console) -> None:
    show_line(console, Text(said("and {more:,} more (all with --json)", more=number), "dim"), indent=5, hanging=7)


def _place_line(quote: Quote, finding: Finding, *, colours: bool) -> Text:
    line = Text().append(str(quote.place), "cyan")
    if quote.twin:
        line.append("  " + said("(see {place})", place=quote.twin), "dim")
    if quote.pieces:
        line.append("  ").append_text(_marked(quote.pieces, colours))
    elif quote.text:
        line.append("  " + _clipped(visible(quote.text)))
    # The message of a finding gives the reasons of its first rows itself.
    if quote.reason and str(quote.reason) not in finding.message:
        line.append("  (" + translate(quote.reason) + ")", "dim")
    return line


def _clipped(text: str) -> str:
    """The beginning of a text and its end, where a row has its answer."""
    if cell_len(text) <= CELLS:
        return text
    half = CELLS // 2
    return chop_cells(text, half)[0] + LEFT_OUT + chop_cells(text[::-1], half - 1)[0][::-1]


def _marked(pieces: Sequence[Piece], colours: bool) -> Text:
    """Two texts in one: colours on a terminal, ``[-cut-]{+added+}`` (as ``wdiff`` has it) elsewhere."""
    line = Text()
    for number, piece in enumerate(pieces):
        if piece.kind == "same":
            line.append(_around(visible_within(piece.text), first=number == 0, last=number == len(pieces) - 1))
        else:
            text, cut = visible(piece.text, blanks=True), piece.kind == "cut"
            text = text if cell_len(text) <= CELLS else chop_cells(text, CELLS)[0] + LEFT_OUT
            shown = text if colours else f"[-{text}-]" if cut else f"{{+{text}+}}"
            line.append(shown, "red strike" if cut else "bold green")
    return line


def visible_within(text: str) -> str:
    """:func:`~exactune.quotes.visible` for a stretch in the middle of a text, whose outer blanks count."""
    inner = visible(text)
    return (" " if text[:1].isspace() else "") + inner + (" " if inner and text[-1:].isspace() else "")


def _around(text: str, *, first: bool, last: bool) -> str:
    """What is near a difference of a stretch that two texts share."""
    before, after = ("" if first else text[:CONTEXT]), ("" if last else text[-CONTEXT:])
    return text if len(text) <= len(before) + len(after) + 1 else before + LEFT_OUT + after


def show_line(console: Console, text: Text, *, indent: int = 0, hanging: int = 0) -> None:
    """A line of text: broken to the width of a terminal below its beginning, whole in a pipe."""
    if not console.is_terminal:
        console.print(Text(" " * indent).append_text(text), soft_wrap=True)
        return
    for number, part in enumerate(_broken(text, console.width - indent, hanging - indent)):
        console.print(Text(" " * (indent if number == 0 else max(indent, hanging))).append_text(part), soft_wrap=True)


def _broken(text: Text, width: int, hanging: int) -> Iterator[Text]:
    """Lines of at most ``width`` columns, those below the first narrower; rich itself breaks at blanks alone."""
    offsets, used, room = [], 0, max(width, 20)
    later = max(width - max(hanging, 0), 20)
    for match in _BREAKABLE.finditer(text.plain):
        cells = cell_len(match[0])
        if used and used + cells > room and not match[0].isspace():
            offsets.append(match.start())
            used, room = 0, later
        at = match.start()
        for part in chop_cells(match[0], room)[:-1] if cells > room else ():
            at += len(part)
            offsets.append(at)
            cells, room = cells - cell_len(part), later
        used += cells
    for line in text.divide(offsets):
        line.rstrip()
        yield line
