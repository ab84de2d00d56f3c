"""Traditional and simplified Chinese characters."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["simplified"]


@cache
def _converter() -> Any:
    # Its dictionaries take a moment to load, and most data need none.
    from opencc import OpenCC  # type: ignore[import-untyped, unused-ignore]

    return OpenCC("t2s")


def simplified(text: str) -> str:
    """The text with its traditional characters as simplified ones; two that agree differ in script alone."""
    if text.isascii():
        return text
    converted: str = _converter().convert(text)
    return converted
