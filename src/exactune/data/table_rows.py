"""CSV and TSV files: a header, then one row per record."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from exactune.data.rows import Broken, Item, not_utf8
from exactune.data.words import count, excerpt
from exactune.errors import DataError
from exactune.language import say

__all__ = ["DELIMITERS", "read_table"]

DELIMITERS = {",": say("a comma"), ";": say("a semicolon"), "\t": say("a tab")}
_LARGEST_FIELD = 2**31 - 1
_REASONS = {
    "unexpected end of data": say("a quote is opened here and never closed"),
    "expected after": say("text after a closing quote; double the quotes inside a quoted field"),
    "new-line character": say("a bare carriage return; quote the field"),
}


Pieces = Callable[[], Iterable[str]]
"""The text in pieces of whole lines, as often as it is asked for."""


def read_table(pieces: Pieces, shown: str) -> tuple[str, Callable[[], Iterator[Item]]]:
    """The delimiter, and what gives each record with its line: a row of strings, or why it cannot be read.

    Raises:
        DataError: There is no usable header, or nothing below it.
    """
    with _long_fields():
        delimiter = _delimiter(pieces, shown)
        records = _records(_lines(pieces()), delimiter)
        header = _header(next(records), shown)
        empty = next(records, None) is None
    if empty:
        raise DataError(
            say("{shown}: a header ({names}) without rows. Add rows below it.", shown=shown, names=", ".join(header))
        )
    return delimiter, lambda: _rows(pieces(), header, delimiter)


def _rows(pieces: Iterable[str], header: list[str], delimiter: str) -> Iterator[Item]:
    with _long_fields():
        for line, fields in islice(_records(_lines(pieces), delimiter), 1, None):
            yield line, _row(header, fields, delimiter)


@contextmanager
def _long_fields() -> Iterator[None]:
    """A long document is a legitimate field; the limit of the csv module is global, so it is put back."""
    limit = csv.field_size_limit(_LARGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


class _Lines:
    """The lines of a text; the last of them can be given back, to be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.back: list[str] = []
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.back.pop() if self.back else next(self.lines)
        self.taken.append(line)
        return line

    def give_back(self) -> None:
        """All lines taken but the first."""
        self.back += self.taken[:0:-1]
        self.taken.clear()


def _lines(pieces: Iterable[str]) -> _Lines:
    """Lines with their newline, the last one too; only ``\\n`` ends one."""
    return _Lines(line + "\n" for piece in pieces for line in piece.removesuffix("\n").split("\n"))


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Records with the line they start at, or a reason; after a broken one reading goes on at the next line."""
    line = 1
    while True:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                if any(field.strip() for field in fields) or len(fields) > 1:
                    yield line, fields
                line += len(lines.taken)
                lines.taken.clear()
            return
        except csv.Error as error:
            reason = str(error)
            yield line, next((ours for theirs, ours in _REASONS.items() if theirs in reason), reason)
            line += 1
            lines.give_back()


def _delimiter(pieces: Pieces, shown: str) -> str:
    """The delimiter that cuts the header into columns and the first records into as many fields."""
    best, best_score = "", (0.0, 1)
    for delimiter in DELIMITERS:
        records = islice(_records(_lines(pieces()), delimiter), 20)
        sizes = [len(fields) for _, fields in records if isinstance(fields, list)]
        if sizes and sizes[0] > 1:
            score = (sizes.count(sizes[0]) / len(sizes), sizes[0])
            if score > best_score:
                best, best_score = delimiter, score
    first = next(line for line in _lines(pieces()) if line.strip())
    if not best and re.fullmatch(r"\w{1,40}", first.strip()):
        return ","  # one column, with a name that could be one
    if not best:
        raise DataError(
            say(
                "{shown}: neither JSON nor a table: the first line is {first!r}. Write one JSON object "
                "per line, or a CSV/TSV file whose first line names the columns.",
                shown=shown,
                first=excerpt(first),
            )
        )
    return best


def _header(record: tuple[int, list[str] | str], shown: str) -> list[str]:
    line, fields = record
    if isinstance(fields, str):
        raise DataError(
            say("{shown}:{line}: the header cannot be read: {reason}.", shown=shown, line=line, reason=fields)
        )
    if reason := not_utf8("".join(fields)):
        raise DataError(say("{shown}:{line}: the header is {reason}.", shown=shown, line=line, reason=reason.reason))
    names = [name.strip() for name in fields]
    if "" in names:
        raise DataError(
            say(
                "{shown}:{line}: column {number} has no name in the header. Name or remove it.",
                shown=shown,
                line=line,
                number=names.index("") + 1,
            )
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            say(
                "{shown}:{line}: two columns are named {twice!r} in the header. Rename one.",
                shown=shown,
                line=line,
                twice=twice,
            )
        )
    return names


def _row(header: list[str], fields: list[str] | str, delimiter: str) -> dict[str, Any] | Broken:
    if isinstance(fields, str):
        return Broken(fields)
    if reason := not_utf8("".join(fields)):
        return reason
    if len(fields) != len(header):
        return Broken(
            say(
                "{fields}, the header has {header}; quote a field that holds {delimiter}",
                fields=count(len(fields), "field"),
                header=len(header),
                delimiter=DELIMITERS[delimiter],
            )
        )
    return dict(zip(header, fields, strict=True))
