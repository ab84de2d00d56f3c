"""Lines of commented YAML: values beside their reasons, within a width that fits an editor."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len

from exactune.layers import flow

__all__ = ["block", "entry", "heading", "listing", "note", "plain"]

COLUMN = 40
"""Where comments beside values begin, in terminal cells."""

WIDTH = 120

_NO_BREAK = "\N{NO-BREAK SPACE}"


def plain(text: str) -> str:
    """A text for a comment: on one line, without characters that would end it or that YAML refuses."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def note(text: str, indent: str = "", hanging: str = "") -> list[str]:
    """Comment lines; ``hanging`` moves the second and later ones in. What stands in backquotes stays on one line."""
    whole = re.sub("`[^`]{,60}`", lambda quote: quote[0].replace(" ", _NO_BREAK), plain(text))
    lines = textwrap.wrap(
        whole, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# {hanging}",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(_NO_BREAK, " ") for line in lines]


def entry(key: str, value: Any, comment: str = "", *, indent: str = "", live: bool = True) -> list[str]:
    """A value with its comment beside it, or above where the line would be too long.

    Args:
        key: The key.
        value: The value.
        comment: Why, or what it does.
        indent: What stands before the line.
        live: Otherwise the line itself is a comment, to be uncommented.
    """
    return _commented(f"{indent}{'' if live else '# '}{flow({key: value})[1:-1]}", plain(comment), indent)


def _commented(head: str, comment: str, indent: str) -> list[str]:
    if not comment:
        return [head]
    line = head + " " * max(2, COLUMN - cell_len(head)) + f"# {comment}"
    return [line] if cell_len(line) <= WIDTH else [*note(comment, indent), head]


def heading(key: str, comment: str = "") -> list[str]:
    """The line above the values of a block."""
    return _commented(f"{key}:", plain(comment), "")


def listing(key: str, values: Sequence[str], comment: str, *, indent: str = "") -> list[str]:
    """One value, or as many lines as there are values."""
    if len(values) == 1:
        return entry(key, values[0], comment, indent=indent)
    return [*_commented(f"{indent}{key}:", plain(comment), indent), *(f"{indent}- {flow(value)}" for value in values)]


def block(key: str, value: Any, indent: str) -> Iterator[str]:
    """A value over as many lines as it needs to be read."""
    (line,) = entry(key, value, indent=indent)
    if not isinstance(value, dict) or not value or cell_len(line) <= WIDTH - 20:
        yield line
        return
    yield f"{indent}{flow({key: None})[1:-1].removesuffix(' null')}"
    for name, inner in value.items():
        yield from block(name, inner, indent + "  ")
