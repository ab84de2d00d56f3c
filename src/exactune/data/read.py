"""A file to rows with their places. The content decides how it is read, never the extension."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exactune.data.arrow_rows import read_parquet
from exactune.data.encoding import Decoded, decode
from exactune.data.json_rows import is_array, read_array, read_objects
from exactune.data.rows import Broken, BrokenRow, Item, RawRow
from exactune.data.table_rows import DELIMITERS, read_table
from exactune.errors import DataError
from exactune.language import Text, say
from exactune.types import Location

__all__ = ["BrokenRow", "FileKind", "RawRow", "ReadFile", "collected", "read_bytes", "read_file"]

FileKind = Literal["jsonl", "json", "csv", "tsv", "parquet", "dataset"]

_OTHER_KINDS = {
    b"PK\x03\x04": say("an Excel or zip file. Save the sheet as CSV (UTF-8)"),
    b"\x1f\x8b": say("a gzip file. Unpack it first"),
}


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What a file held.

    Attributes:
        rows: Rows in file order.
        broken: Rows that could not be read, in file order.
        kind: ``jsonl`` (objects one after another), ``json`` (an array), ``csv``, ``tsv``, ``parquet`` or ``dataset``
            (loaded by the library of that name).
        sha256: Of the bytes; of the rows as JSON for a ``dataset``.
        encoding: Name of the encoding.
        guessed: Whether the encoding was told from the text itself.
    """

    rows: tuple[RawRow, ...]
    broken: tuple[BrokenRow, ...]
    kind: FileKind
    sha256: str
    encoding: str = "UTF-8"
    guessed: bool = False


def read_file(path: Path, shown: str) -> ReadFile:
    """Read a JSON, CSV, TSV or Parquet file.

    Args:
        path: Where it is.
        shown: Its name in places and messages.

    Raises:
        DataError: It is missing, empty, no text, or a table without a usable header. Bad rows do not raise.
    """
    return read_bytes(_bytes(path, shown), shown)


def read_bytes(data: bytes, shown: str) -> ReadFile:
    """Read the content of a JSON, CSV, TSV or Parquet file.

    Raises:
        DataError: It is empty, no text, or a table without a usable header. Bad rows do not raise.
    """
    for magic, found in _OTHER_KINDS.items():
        if data.startswith(magic):
            raise DataError(say("{shown}: this is {found}.", shown=shown, found=found))
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(b"PAR1"):
        return collected(read_parquet(data, shown), shown, "parquet", digest)
    decoded = decode(data)
    if not decoded.text.strip():
        raise DataError(say("{shown}: the file is empty. Write one row per line.", shown=shown))
    kind, items = _parsed(decoded.text, shown)
    return collected(items, shown, kind, digest, decoded)


def _parsed(text: str, shown: str) -> tuple[FileKind, list[Item]]:
    if is_array(text):
        return "json", list(read_array(text))
    if _is_json(text):
        return "jsonl", list(read_objects(text))
    delimiter, items = read_table(text, shown)
    return "tsv" if delimiter == "\t" else "csv", items


def collected(
    items: Sequence[Item],
    shown: str,
    kind: FileKind,
    sha256: str,
    decoded: Decoded = Decoded(""),  # noqa: B008 - frozen
) -> ReadFile:
    """What a file held, from its rows and what could not be read.

    Raises:
        DataError: There are no rows in it.
    """
    if not items:
        raise DataError(say("{shown}: no rows in it. Write one row per line.", shown=shown))
    return ReadFile(
        tuple(RawRow(found, Location(shown, line)) for line, found in items if isinstance(found, dict)),
        tuple(_broken(found, shown, line, decoded) for line, found in items if isinstance(found, Broken)),
        kind,
        sha256,
        decoded.encoding,
        decoded.guessed,
    )


def _broken(found: Broken, shown: str, line: int, decoded: Decoded) -> BrokenRow:
    # What read the row does not know what the bytes were taken for.
    reason = found.reason
    if found.code == "D107" and isinstance(reason, Text) and isinstance(reason.values, dict):
        reason = say(reason.template, **{**reason.values, "encoding": decoded.encoding})
    return BrokenRow(reason, Location(shown, line), found.code)


def _bytes(path: Path, shown: str) -> bytes:
    if path.is_dir():
        raise DataError(
            say(
                "{shown} is a folder. Name the files in it, or a glob such as {folder}/*.jsonl.",
                shown=shown,
                folder=shown.rstrip("/"),
            )
        )
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(say("{shown}: no such file. Check the path.", shown=shown)) from error
    except (OSError, ValueError) as error:
        raise DataError(
            say(
                "{shown}: cannot be read: {reason}.",
                shown=shown,
                reason=Text(getattr(error, "strerror", None) or str(error)),
            )
        ) from error


def _is_json(text: str) -> bool:
    """Whether it opens with a bracket, or with a stray line that is no header above lines that do."""
    first, _, rest = text.lstrip().partition("\n")
    if first[0] in "{[":
        return True
    return not any(delimiter in first for delimiter in DELIMITERS) and re.search(r"(?m)^\{", rest) is not None
