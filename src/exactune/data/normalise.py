"""What two texts must share to count as the same input."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["normalise"]


class _Kept(dict[int, int | None]):
    """A translation table, filled on demand, that keeps letters, marks, digits, currency signs and emoji."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        # Emoji and currency tell inputs apart ("好吃👍", "$5"); punctuation, blanks and other symbols rarely do.
        self[code] = code if category[0] in "LMN" or category in ("So", "Sc") else None
        return self[code]


_KEPT = _Kept()

_NUMBER = re.compile(r"((?<=\d)[.:/](?=\d)|[-+](?=\d))")
"""What changes a number: 1.5 is not 15, -5 is not 5."""


def normalise(text: str) -> str:
    """The text without width, case, blanks and punctuation outside numbers; if nothing is left, only stripped."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    # Splitting by a group keeps the separators: every second part.
    parts = _NUMBER.split(plain)
    return "".join(part if index % 2 else part.translate(_KEPT) for index, part in enumerate(parts)) or plain.strip()
