"""Copies of data files: rows changed or left out, all others byte for byte as they were."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exactune.data.encoding import decode
from exactune.data.read import ReadFile, read_bytes
from exactune.data.rows import MARKS
from exactune.data.strict_json import scan
from exactune.data.table_rows import DELIMITERS
from exactune.language import say
from exactune.mend.answers import Change
from exactune.mend.rows import answer_slot, in_json, in_table, with_answer
from exactune.types import Example

__all__ = ["Copy", "RowChange", "copied"]

_LINE_ENDS = re.compile(r"(?:\r\n)+\Z")
_SEPARATOR = re.compile(r"\s*,\s*")


@dataclass(frozen=True, slots=True)
class RowChange:
    """What is to become of a row: left out, or given the answer of the last of the changes."""

    example: Example
    changes: tuple[Change, ...] = ()
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a file.

    Attributes:
        data: Its bytes.
        suffix: Of its name, where the form had to change; else empty.
        form: Changes of the file as a whole: before, after.
        done: Lines of the original whose change is in it.
        notes: What could not be done.
    """

    data: bytes
    suffix: str = ""
    form: tuple[tuple[str, str], ...] = ()
    done: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Piece:
    """A row with its line; ``before`` stands between it and the row before it."""

    line: int
    body: str
    before: str = ""


@dataclass(slots=True)
class _Pieces:
    """A file as text: ``head + rows + tail`` is all of it."""

    head: str
    rows: list[_Piece] = field(default_factory=list)
    tail: str = ""


def copied(data: bytes, shown: str, changes: Mapping[int, RowChange], *, as_utf8: bool) -> Copy:
    """The copy of a file.

    Args:
        data: Its bytes.
        shown: Its name.
        changes: Line -> what is to become of the row there.
        as_utf8: Whether it is to be UTF-8 without a byte-order mark, with plain line ends.
    """
    read = read_bytes(data, shown)
    # Rows that share a line cannot be told apart by their places.
    lines = Counter(row.location.line for row in read.rows)
    changes = {line: change for line, change in changes.items() if lines[line] == 1}
    if read.kind == "parquet":
        return _from_parquet(data, read, shown, changes)
    text = decode(data).text
    marked = any(char in text for char in MARKS)
    if read.encoding != "UTF-8" and (marked or not as_utf8):
        why = say("{file}: not UTF-8, so it is copied as it is", file=shown)
        return Copy(data, notes=(why,) if changes or marked else ())
    pieces = _elements(text) if read.kind == "json" else _by_lines(text, read)
    if pieces is None:
        why = say(
            "{file}: an array with rows that cannot be read, so it is copied as it is; mend these first", file=shown
        )
        return Copy(data, notes=(why,))
    had_mark = data.startswith(codecs.BOM_UTF8)
    form = tuple(_form(read, text, had_mark)) if as_utf8 else ()
    done = _carried_out(pieces, read, changes)
    if form:
        _plain_line_ends(pieces, table=read.kind in ("csv", "tsv"))
    kept = (piece for piece in pieces.rows if not (piece.line in done and changes[piece.line].dropped))
    body = "".join((piece.before if number else "") + piece.body for number, piece in enumerate(kept))
    written = (pieces.head + body + pieces.tail).encode("utf-8", "surrogateescape")
    return Copy((codecs.BOM_UTF8 if had_mark and not as_utf8 else b"") + written, "", form, frozenset(done))


def _form(read: ReadFile, text: str, had_mark: bool) -> Iterator[tuple[str, str]]:
    if read.encoding != "UTF-8":
        yield read.encoding, "UTF-8"
    if had_mark:
        yield "UTF-8 with a byte-order mark", "UTF-8"
    if "\r\n" in text:
        yield "CRLF", "LF"


def _by_lines(text: str, read: ReadFile) -> _Pieces:
    """Rows reach from the line they begin in to the one where the next begins."""
    lines = text.split("\n")
    lines = [line + "\n" for line in lines[:-1]] + [lines[-1]]
    places = (*(row.location for row in read.rows), *(row.location for row in read.broken))
    starts = sorted({place.line or 1 for place in places})
    ends = [*(start - 1 for start in starts[1:]), len(lines)]
    rows = [_Piece(start, "".join(lines[start - 1 : end])) for start, end in zip(starts, ends, strict=True)]
    return _Pieces("".join(lines[: starts[0] - 1]), rows)


def _elements(text: str) -> _Pieces | None:
    """The elements of an array; ``None`` where not all of them can be read."""
    start = re.compile(r"\s*\[\s*").match(text)
    if start is None:
        return None
    rows: list[_Piece] = []
    position, before, line, counted = start.end(), "", 1, 0
    while True:
        line, counted = line + text.count("\n", counted, position), position
        found = scan(text, position)
        if found.end is None or found.reason is not None:
            return None
        rows.append(_Piece(line, text[position : found.end], before))
        separator = _SEPARATOR.match(text, found.end)
        if separator is None:
            closed = re.fullmatch(r"\s*\]\s*", text[found.end :]) is not None
            return _Pieces(text[: start.end()], rows, text[found.end :]) if closed else None
        position, before = separator.end(), separator[0]


def _carried_out(pieces: _Pieces, read: ReadFile, changes: Mapping[int, RowChange]) -> set[int]:
    """Change the rows in place; the lines where that was possible."""
    values = {row.location.line: row.value for row in read.rows if row.location.line in changes}
    done: set[int] = set()
    for piece in pieces.rows:
        change = changes.get(piece.line)
        if change is None or piece.line not in values:
            continue
        row = values[piece.line]
        slot = answer_slot(row, change.example)
        if change.dropped:
            done.add(piece.line)
        elif slot is not None:
            done.add(piece.line)
            answer = change.changes[-1].after
            table = read.kind in ("csv", "tsv")
            delimiter = _delimiter(pieces.head, list(row)) if table else ""
            piece.body = (
                in_table(piece.body, row, slot, answer, delimiter) if table else in_json(piece.body, row, slot, answer)
            )
    return done


def _delimiter(header: str, names: list[str]) -> str:
    """What stands between the columns of a header."""
    for delimiter in DELIMITERS:
        rows = csv.reader(io.StringIO(header), delimiter=delimiter)
        if any([name.strip() for name in row] == names for row in rows):
            return delimiter
    return ","


def _plain_line_ends(pieces: _Pieces, *, table: bool) -> None:
    # Within a quoted field of a table a carriage return is part of the text; in JSON it can only stand between values.
    def plain(text: str) -> str:
        return _LINE_ENDS.sub(lambda ends: ends[0].replace("\r\n", "\n"), text) if table else text.replace("\r\n", "\n")

    pieces.head, pieces.tail = plain(pieces.head), plain(pieces.tail)
    for piece in pieces.rows:
        piece.body, piece.before = plain(piece.body), plain(piece.before)


def _from_parquet(data: bytes, read: ReadFile, shown: str, changes: Mapping[int, RowChange]) -> Copy:
    """As JSONL where a row changes: a table written anew would be another file in many ways unseen."""
    rows: list[dict[str, Any]] = []
    done: set[int] = set()
    for row in read.rows:
        line = row.location.line or 0
        change = changes.get(line)
        slot = answer_slot(row.value, change.example) if change else None
        if change and (change.dropped or slot is not None):
            done.add(line)
        if change and change.dropped:
            continue
        rows.append(with_answer(row.value, slot, change.changes[-1].after) if change and slot else row.value)
    if not done:
        return Copy(data)
    if read.broken:
        return Copy(
            data, notes=(say("{file}: Parquet with rows that cannot be read, so it is copied as it is", file=shown),)
        )
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    note = say("{file}: Parquet, written as JSONL", file=shown)
    return Copy(text.encode(), ".jsonl", (), frozenset(done), (note,))
