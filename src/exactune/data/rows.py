"""What reading a file yields: rows with their places, and rows that could not be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from exactune.language import say
from exactune.types import Location

__all__ = ["MARKS", "Broken", "BrokenRow", "FileKind", "Item", "RawRow", "RowStream", "not_utf8"]

FileKind = Literal["jsonl", "json", "csv", "tsv", "parquet", "dataset"]

MARKS = "".join(map(chr, range(0xDC80, 0xDD00)))
"""How bytes that cannot be decoded are marked, as ``errors="surrogateescape"`` does it."""

_MARKED = re.compile(f"[{MARKS}]")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as the user wrote it.

    Attributes:
        value: The object; the values of a table row are strings.
        location: Where it starts.
    """

    value: dict[str, Any]
    location: Location


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a row cannot be read.

    Attributes:
        reason: What is wrong with it.
        code: Of the rule that reports it.
    """

    reason: str
    code: str = "D101"


Item = tuple[int, dict[str, Any] | Broken]
"""Line of a row, counted from 1, with the row, or with the reason why it cannot be read."""


@dataclass(frozen=True, slots=True)
class RowStream:
    """The rows of a file, read anew each time they are asked for.

    Attributes:
        shown: The file's name in places and messages.
        kind: As :class:`~exactune.data.read.ReadFile` has it, like what follows.
        sha256: Of the bytes, or of the rows.
        items: Rows and what could not be read, in file order; there is at least one.
        encoding: Name of the encoding.
        guessed: Whether the encoding was told from the text itself.
    """

    shown: str
    kind: FileKind
    sha256: str
    items: Callable[[], Iterator[Item]]
    encoding: str = "UTF-8"
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that could not be read.

    Attributes:
        reason: What is wrong with it.
        location: Where it starts.
        code: Of the rule that reports it.
    """

    reason: str
    location: Location
    code: str = "D101"


def not_utf8(text: str, start: int = 0, end: int | None = None) -> Broken | None:
    """Why a piece of text with marks for bytes that are lost cannot be used, or ``None``."""
    match = _MARKED.search(text, start, len(text) if end is None else end)
    if match is None:
        return None
    return Broken(
        say("not {encoding}: byte 0x{byte:02X}; save the file as UTF-8", encoding="UTF-8", byte=ord(match[0]) - 0xDC00),
        "D107",
    )
