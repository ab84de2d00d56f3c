"""JSON files: objects one after another (one per line or pretty-printed), or one array of objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from exactune.data.rows import MARKS, Broken, Item, not_utf8
from exactune.data.strict_json import Scan, is_open, plain_object, scan
from exactune.data.words import excerpt, kind_of
from exactune.language import say

__all__ = ["is_array", "read_array", "read_objects"]

_INK = re.compile(r"\S")
_PARTIAL = re.compile(rf"(tr?u?|fa?l?s?|nu?l?|-|\\?u?[0-9a-fA-F]{{0,4}})\s*[{MARKS}]*\Z")
"""What may stand between the place where a value is missed and the end of a file that was cut."""

_ROW_BELOW = re.compile(r"\n(?=[^\s}\]\",]|[^\S\n]*\{)")
LEFTOVER = 80
"""Characters looked at of what stands behind an array."""

_HINTS = (
    (re.compile("'"), say("write double quotes")),
    (re.compile(r"[}\]]"), say("a value is missing, or a comma too much stands before it")),
    (re.compile("True|False"), say("write true and false in small letters")),
    (re.compile("None|undefined"), say("write null")),
    (re.compile(r"\s*(\{|\Z)"), say("a closing brace is missing before it")),
)
"""What the character at the place of an error says about its cause."""


class _Window:
    """A stretch of the text, in whole lines, that moves on and grows as rows need it.

    Attributes:
        text: The stretch.
        ended: Whether the text ends where it ends.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        self.pieces = iter(pieces)
        self.text, self.ended = "", False
        self._at, self._line = 0, 1

    def ink(self, position: int) -> int | None:
        """The next place with a character from ``position`` on, moving on if need be; ``None`` at the end."""
        while (match := _INK.search(self.text, position)) is None:
            if self.ended:
                return None
            position = self.grow(len(self.text))
        return match.start()

    def grow(self, position: int) -> int:
        """Let go of what is above the line of ``position``, and double the rest; where ``position`` is then."""
        top = self.text.rfind("\n", 0, position) + 1
        self.number(top)
        parts, wanted = [self.text[top:]], 2 * (len(self.text) - top)
        while not self.ended and (len(parts) == 1 or sum(map(len, parts)) < wanted):
            piece = next(self.pieces, None)
            self.ended = piece is None
            parts.append(piece or "")
        self.text, self._at = "".join(parts), 0
        return position - top

    def number(self, position: int) -> int:
        """The line of a place; only ``\\n`` ends one. Places must rise, but for a step back within a line."""
        if position > self._at:
            self._line += self.text.count("\n", self._at, position)
            self._at = position
        return self._line


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _column(text: str, position: int) -> int:
    return position - (text.rfind("\n", 0, position) + 1)


def _resume(text: str, start: int, position: int) -> int:
    """Where the next row may start after a broken one that began at ``start``.

    A new row begins in the column of the broken one; a line in column 0 that cannot continue an object (it does not
    start with a blank, a closing bracket, a key or a comma) begins one too.
    """
    column = _column(text, start)
    match = re.compile(rf'\n(?=[^\s}}\]",]|[ \t]{{{column}}}\{{)').search(text, position)
    return match.end() if match else len(text)


def _resume_below(text: str, start: int, found: Scan) -> int:
    """Where the next row may start after a broken object.

    One that is closed or wrong within its own line and ends with a brace there is alone on it, so that nothing below is
    lost with it. One that is wrong there and stays open may go on, but any line with a brace begins a row.
    """
    end = _line_end(text, start)
    if found.end is not None:
        return end if found.end <= end else _resume(text, start, found.end)
    inside = found.stopped_at is None or found.stopped_at < end
    if inside and text[start:end].rstrip().endswith("}"):
        return end
    match = _ROW_BELOW.search(text, end) if inside and found.stopped_at is not None else None
    return _resume(text, start, start) if match is None else match.end()


def _scan_row(text: str, start: int) -> Scan:
    """The value at ``start``: first within its line, then over several lines if it goes on there."""
    end = _line_end(text, start)
    # The slice keeps the decoder's error reports cheap: they count the lines of the text they are given.
    line = text[start:end].rstrip()
    found = scan(line, 0)
    at = found.stopped_at
    inside = found.end is not None or (at is not None and at < len(line))
    if inside or end == len(text) or not line.startswith("{"):
        return replace(found, end=_plus(start, found.end), stopped_at=_plus(start, at))
    return scan(text, start)


def _plus(start: int, offset: int | None) -> int | None:
    return None if offset is None else start + offset


def _syntax(text: str, start: int, end: int, found: Scan, line: int) -> Broken:
    """The reason with its place: the column, and the line where it is not the row's first."""
    if _is_cut(text, start, end, found):
        return Broken(
            say("the file ends within this row, without a newline: it was not written or copied to its end"), "D108"
        )
    if found.stopped_at is None:
        return Broken(found.reason or "", found.code)
    at = min(found.stopped_at, len(text))
    below = text.count("\n", start, at)
    column = _column(text, at) + 1
    place = (
        say("line {line}, column {column}", line=line + below, column=column)
        if below
        else say("column {column}", column=column)
    )
    hint = next((say("; {hint}", hint=hint) for sign, hint in _HINTS if sign.match(text, at)), "")
    return Broken(say("not JSON: {reason} ({place}){hint}", reason=found.reason, place=place, hint=hint))


def _is_cut(text: str, start: int, end: int, found: Scan) -> bool:
    """Whether a broken row (``start`` to ``end``) lacks its end: still open where a file without final newline ends."""
    if end < len(text) or text[start] != "{" or text.endswith("\n") or found.stopped_at is None:
        return False
    return (found.reason or "").startswith("Unterminated") or _PARTIAL.match(text, found.stopped_at) is not None


def read_objects(pieces: Iterable[str], *, marked: bool = True) -> Iterator[Item]:
    """Objects one after another; what is not one is a broken row, and reading goes on behind it.

    Args:
        pieces: The text in pieces of whole lines.
        marked: Whether there may be marks for lost bytes in it.
    """
    window, position = _Window(pieces), 0
    while (start := window.ink(position)) is not None:
        text = window.text
        end = _line_end(text, start)
        row = text[start:end].rstrip()
        value = plain_object(row)
        if value is not None and not (marked and not_utf8(row)):
            yield window.number(start), value
            position = end
            continue
        found = _scan_row(text, start)
        position, item = _object(text, start, found, window)
        below = found.end is None and (found.stopped_at is None or found.stopped_at >= end)
        if not window.ended and (position >= len(text) or (below and is_open(text, start))):
            position = window.grow(start)
            continue
        yield window.number(start), item


def _object(text: str, start: int, found: Scan, window: _Window) -> tuple[int, dict[str, Any] | Broken]:
    """Where reading goes on behind a row, and the row."""
    line = window.number(start)
    if found.end is None:
        # Only an object can have lines of its own below its first.
        position = _resume_below(text, start, found) if text[start] == "{" else _line_end(text, start)
        return position, _lost(text, start, position) or _syntax(text, start, position, found, line)
    rest = text[found.end : _line_end(text, found.end)].strip()
    position = _resume_below(text, start, found) if rest else found.end
    return position, not_utf8(text, start, position) or _judged(found, rest)


def _lost(text: str, start: int, end: int) -> Broken | None:
    """Like :func:`not_utf8`, but a file that was cut within a character is cut, not of another encoding."""
    return not_utf8(text, start, len(text.rstrip(MARKS)) if end == len(text) else end)


def _judged(found: Scan, rest: str = "") -> dict[str, Any] | Broken:
    if found.reason is not None:
        return Broken(found.reason, found.code)
    if not isinstance(found.value, dict):
        return Broken(say("a row is an object, found {found}", found=kind_of(found.value)))
    if rest:
        return Broken(say("text after the object: {rest!r}; one row per line", rest=excerpt(rest)))
    return found.value


def is_array(pieces: Iterable[str]) -> bool:
    """Whether the text is one array of rows, not a line that happens to hold a list."""
    window = _Window(pieces)
    start = window.ink(0)
    if start is None or window.text[start] != "[":
        return False
    first = window.text[start : _line_end(window.text, start)].rstrip()
    whole = isinstance(scan(first, 0).value, list)
    return not (whole and window.ink(start + len(first)) is not None)


def read_array(pieces: Iterable[str]) -> Iterator[Item]:
    """The elements of one top-level array, each at the line of its opening brace."""
    window = _Window(pieces)
    opening = window.ink(0)
    assert opening is not None, "there is a bracket"
    first, position, comma = window.number(opening), opening + 1, "opening"
    while (start := window.ink(position)) is not None:
        text = window.text
        if text[start] == "]":
            yield from _closed(window, start, comma)
            return
        found = scan(text, start)
        if found.end is None:
            position = _resume(text, start, start)
            if not window.ended and (position == len(text) or is_open(text, start)):
                position = window.grow(start)
                continue
            line, lost = window.number(start), position == len(text)
            broken = _lost(text, start, position) or _syntax(text, start, position, found, line)
            if lost:
                reason = say("{reason}; the rest of the array cannot be read", reason=broken.reason)
                yield line, replace(broken, reason=reason)
                return
            yield line, broken
            comma = "opening"
            continue
        missing = Broken(say("a comma is missing before this row")) if comma == "none" else None
        yield window.number(start), not_utf8(text, start, found.end) or missing or _judged(found)
        separator = window.ink(found.end)
        comma = "comma" if separator is not None and window.text[separator] == "," else "none"
        position = len(window.text) if separator is None else separator + (comma == "comma")
    yield (
        first,
        Broken(say("the array that opens here is never closed; write a ] at its end, if nothing is missing there")),
    )


def _closed(window: _Window, end: int, comma: str) -> Iterator[Item]:
    """What is wrong about the end of an array."""
    if comma == "comma":
        yield window.number(end), Broken(say("a comma before the closing bracket of the array"))
    after = window.ink(end + 1)
    if after is not None:
        while not window.ended and len(window.text) < after + LEFTOVER:
            after = window.grow(after)
        found = excerpt(window.text[after:][:LEFTOVER])
        yield window.number(after), Broken(say("text after the array: {text!r}", text=found))
