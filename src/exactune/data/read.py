"""A file to rows with their places. The content decides how it is read, never the extension."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exactune.data.arrow_rows import read_parquet
from exactune.data.encoding import decoded_pieces, find_encoding
from exactune.data.json_rows import is_array, read_array, read_objects
from exactune.data.rows import Broken, BrokenRow, FileKind, Item, RawRow, RowStream
from exactune.data.source import Source
from exactune.data.table_rows import DELIMITERS, read_table
from exactune.errors import DataError
from exactune.language import Text, say
from exactune.types import Location

__all__ = [
    "BrokenRow",
    "FileKind",
    "RawRow",
    "ReadFile",
    "RowStream",
    "broken_row",
    "collected",
    "open_file",
    "read_bytes",
    "read_file",
]

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
    """Read a JSON, CSV, TSV or Parquet file as a whole; :func:`open_file` reads one of any size.

    Args:
        path: Where it is.
        shown: Its name in places and messages.

    Raises:
        DataError: It is missing, empty, no text, or a table without a usable header. Bad rows do not raise.
    """
    return collected(open_file(path, shown))


def read_bytes(data: bytes, shown: str) -> ReadFile:
    """Read the content of a JSON, CSV, TSV or Parquet file.

    Raises:
        DataError: It is empty, no text, or a table without a usable header. Bad rows do not raise.
    """
    return collected(_opened(Source(shown, data=data)))


def open_file(path: Path, shown: str) -> RowStream:
    """The rows of a JSON, CSV, TSV or Parquet file, none of which is held.

    Args:
        path: Where it is.
        shown: Its name in places and messages.

    Raises:
        DataError: It is missing, empty, no text, or a table without a usable header. Bad rows do not raise.
    """
    return _opened(Source(shown, path))


def _opened(source: Source) -> RowStream:
    shown = source.shown
    with source.open() as file:
        head = file.read(4)
    for magic, found in _OTHER_KINDS.items():
        if head.startswith(magic):
            raise DataError(say("{shown}: this is {found}.", shown=shown, found=found))
    digest = source.sha256()
    if head == b"PAR1":
        return _not_empty(RowStream(shown, "parquet", digest, read_parquet(source)))
    encoding = find_encoding(source.blocks(), source.blocks())

    def pieces() -> Iterator[str]:
        return decoded_pieces(source.blocks(), encoding)

    if not any(map(str.strip, pieces())):
        raise DataError(say("{shown}: the file is empty. Write one row per line.", shown=shown))
    kind, items = _parsed(pieces, shown, marked=not encoding.valid)
    return _not_empty(RowStream(shown, kind, digest, items, encoding.name, encoding.guessed))


def _parsed(
    pieces: Callable[[], Iterator[str]], shown: str, *, marked: bool
) -> tuple[FileKind, Callable[[], Iterator[Item]]]:
    if is_array(pieces()):
        return "json", lambda: read_array(pieces())
    if _is_json(pieces()):
        return "jsonl", lambda: read_objects(pieces(), marked=marked)
    delimiter, items = read_table(pieces, shown)
    return "tsv" if delimiter == "\t" else "csv", items


def _not_empty(stream: RowStream) -> RowStream:
    if next(stream.items(), None) is None:
        raise DataError(say("{shown}: no rows in it. Write one row per line.", shown=stream.shown))
    return stream


def collected(stream: RowStream) -> ReadFile:
    """All that a file holds."""
    rows: list[RawRow] = []
    broken: list[BrokenRow] = []
    for line, found in stream.items():
        if isinstance(found, Broken):
            broken.append(broken_row(found, line, stream))
        else:
            rows.append(RawRow(found, Location(stream.shown, line)))
    return ReadFile(tuple(rows), tuple(broken), stream.kind, stream.sha256, stream.encoding, stream.guessed)


def broken_row(found: Broken, line: int, stream: RowStream) -> BrokenRow:
    """A row that could not be read, with its place."""
    # What read the row does not know what the bytes were taken for.
    reason = found.reason
    if found.code == "D107" and isinstance(reason, Text) and isinstance(reason.values, dict):
        reason = say(reason.template, **{**reason.values, "encoding": stream.encoding})
    return BrokenRow(reason, Location(stream.shown, line), found.code)


def _is_json(pieces: Iterable[str]) -> bool:
    """Whether it opens with a bracket, or with a stray line that is no header above lines that do."""
    # A piece is whole lines.
    parts = itertools.dropwhile(lambda piece: not piece.strip(), pieces)
    first, _, rest = next(parts).lstrip().partition("\n")
    if first[0] in "{[":
        return True
    return not any(delimiter in first for delimiter in DELIMITERS) and any(
        piece.startswith("{") or "\n{" in piece for piece in itertools.chain([rest], parts)
    )
