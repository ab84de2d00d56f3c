"""A file to rows with their places. The content decides how it is read, never the extension."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from exactune.data.json_rows import is_array, read_array, read_objects
from exactune.data.rows import BrokenRow, RawRow
from exactune.data.table_rows import DELIMITERS, read_table
from exactune.errors import DataError
from exactune.types import Location

__all__ = ["BrokenRow", "RawRow", "ReadFile", "read_bytes", "read_file"]

_OTHER_KINDS = {
    b"\xff\xfe": "UTF-16 text. Save it as UTF-8",
    b"\xfe\xff": "UTF-16 text. Save it as UTF-8",
    b"PK\x03\x04": "an Excel or zip file. Save the sheet as CSV (UTF-8)",
    b"PAR1": "a Parquet file. Write it as JSONL",
    b"\x1f\x8b": "a gzip file. Unpack it first",
}


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What a file held.

    Attributes:
        rows: Rows in file order.
        broken: Rows that could not be read, in file order.
        kind: ``jsonl`` (objects one after another), ``json`` (an array), ``csv`` or ``tsv``.
        sha256: Of the bytes.
    """

    rows: tuple[RawRow, ...]
    broken: tuple[BrokenRow, ...]
    kind: Literal["jsonl", "json", "csv", "tsv"]
    sha256: str


def read_file(path: Path, shown: str) -> ReadFile:
    """Read a JSON, CSV or TSV file.

    Args:
        path: Where it is.
        shown: Its name in places and messages.

    Raises:
        DataError: It is missing, empty, no text, or a table without a usable header. Bad rows do not raise.
    """
    return read_bytes(_bytes(path, shown), shown)


def read_bytes(data: bytes, shown: str) -> ReadFile:
    """Read the content of a JSON, CSV or TSV file.

    Raises:
        DataError: It is empty, no text, or a table without a usable header. Bad rows do not raise.
    """
    for magic, found in _OTHER_KINDS.items():
        if data.startswith(magic):
            raise DataError(f"{shown}: this is {found}.")
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if not text.strip():
        raise DataError(f"{shown}: the file is empty. Write one row per line.")
    kind: Literal["jsonl", "json", "csv", "tsv"]
    items: list[tuple[int, dict[str, Any] | str]]
    if is_array(text):
        kind, items = "json", list(read_array(text))
    elif _is_json(text):
        kind, items = "jsonl", list(read_objects(text))
    else:
        delimiter, items = read_table(text, shown)
        kind = "tsv" if delimiter == "\t" else "csv"
    if not items:
        raise DataError(f"{shown}: no rows in it. Write one row per line.")
    return ReadFile(
        tuple(RawRow(found, Location(shown, line)) for line, found in items if isinstance(found, dict)),
        tuple(BrokenRow(found, Location(shown, line)) for line, found in items if isinstance(found, str)),
        kind,
        hashlib.sha256(data).hexdigest(),
    )


def _bytes(path: Path, shown: str) -> bytes:
    if path.is_dir():
        raise DataError(f"{shown} is a folder. Name the files in it, or a glob such as {shown.rstrip('/')}/*.jsonl.")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{shown}: no such file. Check the path.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{shown}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _is_json(text: str) -> bool:
    """Whether it opens with a bracket, or with a stray line that is no header above lines that do."""
    first, _, rest = text.lstrip().partition("\n")
    if first[0] in "{[":
        return True
    return not any(delimiter in first for delimiter in DELIMITERS) and re.search(r"(?m)^\{", rest) is not None
