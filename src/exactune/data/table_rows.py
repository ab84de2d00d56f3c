"""CSV and TSV files: a header, then one row per record."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
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


def read_table(text: str, shown: str) -> tuple[str, list[Item]]:
    """The delimiter, and each record with its line: a row of strings, or the reason why it cannot be read.

    Raises:
        DataError: There is no usable header, or nothing below it.
    """
    lines = [line + "\n" for line in text.split("\n")]
    # A long document is a legitimate field; the limit of the csv module is global, so it is put back.
    limit = csv.field_size_limit(_LARGEST_FIELD)
    try:
        delimiter = _delimiter(lines, shown)
        records = _records(lines, delimiter)
        header = _header(next(records), shown)
        items = [(line, _row(header, fields, delimiter)) for line, fields in records]
    finally:
        csv.field_size_limit(limit)
    if not items:
        raise DataError(
            say("{shown}: a header ({names}) without rows. Add rows below it.", shown=shown, names=", ".join(header))
        )
    return delimiter, items


def _records(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Records with the line they start at, or a reason; after a broken one reading goes on at the next line."""
    start = 0
    while start < len(lines):
        origin = start
        reader = csv.reader((lines[index] for index in range(origin, len(lines))), delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                if any(field.strip() for field in fields) or len(fields) > 1:
                    yield start + 1, fields
                start = origin + reader.line_num
            return
        except csv.Error as error:
            reason = str(error)
            yield start + 1, next((ours for theirs, ours in _REASONS.items() if theirs in reason), reason)
            start += 1


def _delimiter(lines: list[str], shown: str) -> str:
    """The delimiter that cuts the header into columns and the first records into as many fields."""
    best, best_score = "", (0.0, 1)
    for delimiter in DELIMITERS:
        sizes = [len(fields) for _, fields in islice(_records(lines, delimiter), 20) if isinstance(fields, list)]
        if sizes and sizes[0] > 1:
            score = (sizes.count(sizes[0]) / len(sizes), sizes[0])
            if score > best_score:
                best, best_score = delimiter, score
    first = next(line for line in lines if line.strip())
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
