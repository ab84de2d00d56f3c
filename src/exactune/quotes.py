"""What stands at the places of findings, for people: the rows' texts, their twins, and where two texts part."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz

from exactune.data.encoding import decode
from exactune.rules import Finding
from exactune.types import Example, Location, Splits

__all__ = ["Piece", "Quote", "differences", "quotes_of", "texts_at", "visible"]

ARROW = " → "
"""Between a row's input and its answer."""

LONGEST = 4000
"""Characters of a text that are kept for showing."""

NEAR = 60
"""Of 100: from here on two texts look alike."""

MOST_TOKENS = 400
"""Words that two texts are compared by, once what they begin and end with is taken off: comparing costs the square."""

_ESCAPES = {" ": " ", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_TOKEN = re.compile(r"[A-Za-z0-9]+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of two compared texts: ``kind`` is ``same``, ``cut`` (only the other has it) or ``added``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """One place of a finding with what stands there.

    Attributes:
        place: The place.
        text: The row as ``input → answer``; its line as written where it cannot be read; empty where nothing is known.
        reason: Why this row, where a finding has a reason for each.
        twin: Name of the row it repeats, leaks or contradicts.
        pieces: Where it parts from the twin, if both texts are known.
    """

    place: Location
    text: str = ""
    reason: str = ""
    twin: str = ""
    pieces: tuple[Piece, ...] = ()


def quotes_of(finding: Finding, texts: Mapping[Location, str], most: int | None = None) -> list[Quote]:
    """The first places of a finding, with what is known of them."""
    twins = _twins(finding)
    reasons = _listed(finding, "reasons")
    quotes = []
    for number, place in enumerate(islice(finding.locations, most)):
        twin, own, other = twins.get(str(place), ("", "", ""))
        text = texts.get(place, "")
        own, other = (own, other) if own or other else (text, texts.get(_place(twin), ""))
        pieces = tuple(differences(other, own)) if _are_near(own, other) else ()
        quotes.append(Quote(place, text, reasons[number] if number < len(reasons) else "", twin, pieces))
    return quotes


def _are_near(own: str, other: str) -> bool:
    """Whether a reader gains by seeing where two texts part."""
    return own != other and fuzz.ratio(own, other) >= NEAR


def _twins(finding: Finding) -> dict[str, tuple[str, str, str]]:
    """Row -> its twin and, if the finding quotes them, both texts."""
    places, related = finding.locations, finding.related
    twins: dict[str, tuple[str, str, str]] = {}
    if len(related) in (1, len(places)):
        others = related if len(related) == len(places) else related * len(places)
        twins = {str(place): (str(twin), "", "") for place, twin in zip(places, others, strict=True)}
    # What rules write under these names is theirs to choose; only places that are this finding's are ever looked up.
    for group in filter(None, _mappings(finding, "groups")):
        first, *rest = group
        twins |= dict.fromkeys(rest, (first, "", ""))
    for pair in _mappings(finding, "pairs"):
        row, twin = pair.get("row") or pair.get("train"), pair.get("twin") or pair.get("first") or pair.get("eval")
        twin = twin[0] if isinstance(twin, list) and twin else twin
        if isinstance(row, str) and isinstance(twin, str):
            twins.setdefault(row, ("", "", ""))
            twins[row] = (twin, str(pair.get("text") or ""), str(pair.get("other") or ""))
    return twins


def _listed(finding: Finding, name: str) -> Sequence[Any]:
    value = finding.evidence.get(name)
    return value if isinstance(value, list | tuple) else ()


def _mappings(finding: Finding, name: str) -> Iterator[Mapping[str, Any]]:
    return (item for item in _listed(finding, name) if isinstance(item, Mapping))


def _place(name: str) -> Location:
    file, _, line = name.rpartition(":")
    return Location(file, int(line)) if line.isdecimal() else Location(name, None)


def texts_at(findings: Iterable[Finding], splits: Splits | None, most: int | None = None) -> dict[Location, str]:
    """What stands at the first places of findings and at their twins.

    Args:
        findings: What was found.
        splits: The usable rows; without them, and for rows that are not among them, the line of the file is taken.
        most: Places of each finding that will be shown; all if ``None``.
    """
    wanted: set[Location] = set()
    for finding in findings:
        shown = finding.locations[:most]
        twins = _twins(finding)
        wanted.update(place for place in shown if place.line is not None)
        wanted.update(_place(twins[str(place)][0]) for place in shown if str(place) in twins)
    parts = (splits.train, splits.eval, splits.test, splits.mix) if splits else ()
    found = {row.location: _row_text(row) for part in parts for row in part if row.location in wanted}
    return found | _lines(wanted - set(found))


def _row_text(row: Example) -> str:
    asked = row.input
    if len(asked) > LONGEST:
        asked = asked[:LONGEST] + "…"
    return asked + ARROW + row.answer[:LONGEST]


def _lines(places: Iterable[Location]) -> dict[Location, str]:
    """Lines as the files have them; nothing of what is no file of lines."""
    by_file: dict[str, set[int]] = {}
    for place in places:
        if place.line is not None:
            by_file.setdefault(place.file, set()).add(place.line)
    return {
        Location(file, number): line
        for file, numbers in by_file.items()
        for number, line in enumerate(_file_lines(Path(file)), 1)
        if number in numbers
    }


def _file_lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    data = path.read_bytes()
    if not data.startswith(b"PAR1"):
        yield from (line[:LONGEST].rstrip("\r") for line in decode(data).text.split("\n"))


def differences(other: str, text: str) -> Iterator[Piece]:
    """From ``other`` to ``text``: what they share, what only the first has, what only the second has."""
    left, right = _TOKEN.findall(other), _TOKEN.findall(text)
    head = _shared(left, right)
    tail = _shared(left[head:][::-1], right[head:][::-1])
    middle_left, middle_right = left[head : len(left) - tail], right[head : len(right) - tail]
    yield from _piece("same", right[:head])
    if max(len(middle_left), len(middle_right)) > MOST_TOKENS:
        yield from (*_piece("cut", middle_left), *_piece("added", middle_right))
    else:
        for kind, a, b, c, d in SequenceMatcher(None, middle_left, middle_right, autojunk=False).get_opcodes():
            if kind == "equal":
                yield from _piece("same", middle_left[a:b])
            else:
                yield from (*_piece("cut", middle_left[a:b]), *_piece("added", middle_right[c:d]))
    yield from _piece("same", right[len(right) - tail :])


def _shared(left: list[str], right: list[str]) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(left), len(right)))


def _piece(kind: str, tokens: list[str]) -> Iterator[Piece]:
    if tokens:
        yield Piece(kind, "".join(tokens))


def visible(text: str, *, blanks: bool = False) -> str:
    """The text on one line, safe for a terminal: what has no shape of its own is written as an escape.

    Args:
        text: As the row has it.
        blanks: Whether line breaks, tabs and odd blanks are told apart too, as where two texts differ in them.
    """
    return "".join(_shape(char) for char in (text if blanks else " ".join(text.split())))


@lru_cache(10_000)
def _shape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    # Other, separator: controls, format characters, half surrogates, private use, blanks of other widths.
    odd = unicodedata.category(char)[0] in "CZ"
    return (f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}") if odd else char
