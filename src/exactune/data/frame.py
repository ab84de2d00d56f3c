"""What the inputs of many rows have in common: the instruction around the text that each row is about.

Under a long instruction, all rows look alike and none is short. So rows are compared without it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Frame", "frame_of"]

LEAST_ROWS = 10
SHARE = 0.01
"""A line is part of the frame if it stands in 10 rows and in 1 % of them: sets mix dozens of instructions, not more."""

MOST = 0.9
"""Share of the rows that begin, or end, in the same way: a few rows may be written otherwise."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame of a set's inputs.

    Attributes:
        lines: Whole lines of it.
        start: How most inputs begin, up to a blank or a punctuation mark; may be empty.
        end: How most inputs end, from one on.
    """

    lines: frozenset[str] = frozenset()
    start: str = ""
    end: str = ""

    def inner(self, text: str) -> str:
        """The text without its frame; the whole text where nothing else is left."""
        bare = _without_lines(text, self.lines) if self.lines else text
        return bare.removeprefix(self.start).removesuffix(self.end).strip() or text


def frame_of(texts: Sequence[str]) -> Frame:
    """The frame of a sample of different inputs."""
    seen = Counter(line for text in texts for line in set(text.split("\n")) if line.strip())
    needed = max(LEAST_ROWS, SHARE * len(texts))
    lines = frozenset(line for line, rows in seen.items() if rows >= needed)
    bare = [_without_lines(text, lines) for text in texts]
    start = re.sub(r"[^\W_]+$", "", _shared(bare))
    end = re.sub(r"^[^\W_]+", "", _shared([text[::-1] for text in bare])[::-1])
    return Frame(lines, start, end)


def _without_lines(text: str, lines: frozenset[str]) -> str:
    return "\n".join(line for line in text.split("\n") if line not in lines)


def _shared(texts: Sequence[str]) -> str:
    """How most of these begin: what the outermost of them have in common once a few are left aside at both ends."""
    ordered = sorted(texts)
    aside = int(len(ordered) * (1 - MOST) / 2)
    inner = ordered[aside : len(ordered) - aside]
    if len(inner) < LEAST_ROWS:
        return ""
    first, last = inner[0], inner[-1]
    return first[: next((at for at, char in enumerate(first) if not last.startswith(char, at)), len(first))]
