"""What reading a file yields: rows with their places, and rows that could not be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from exactune.types import Location

__all__ = ["BrokenRow", "RawRow", "not_utf8"]

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
"""How ``errors="surrogateescape"`` decodes a byte that is not UTF-8."""


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
class BrokenRow:
    """A row that could not be read.

    Attributes:
        reason: What is wrong with it.
        location: Where it starts.
    """

    reason: str
    location: Location


def not_utf8(text: str, start: int = 0, end: int | None = None) -> str | None:
    """The reason why a piece of text (decoded with ``surrogateescape``) cannot be used, or ``None``."""
    match = _ESCAPED_BYTE.search(text, start, len(text) if end is None else end)
    if match is None:
        return None
    return f"not UTF-8: byte 0x{ord(match[0]) - 0xDC00:02X}; save the file as UTF-8"
