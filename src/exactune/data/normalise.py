"""What two texts must share to count as the same input."""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache

__all__ = ["normalise"]

_RUNS = re.compile(r"([\W_]+)")
"""What is no letter and no number; among it are marks, emoji and currency signs, which are kept."""

_MAYBE_NUMBER = re.compile(r"[-+.:/](?=\d)")

_DROPPED_ASCII = bytes(code for code in range(128) if chr(code) not in string.ascii_letters + string.digits + "$")

_NARROW = dict(zip("，：；！？（）～\u3000…", [*",:;!?()~ ", "..."], strict=True))
"""NFKC of the wide forms that Chinese text is full of; most texts without them are in NFKC, which is found quickly."""


@lru_cache(maxsize=10_000)
def _kept(run: str) -> str:
    # Emoji and currency tell inputs apart ("好吃👍", "$5"); punctuation, blanks and other symbols rarely do.
    kinds = ((char, unicodedata.category(char)) for char in run)
    return "".join(char for char, kind in kinds if kind[0] in "LMN" or kind in ("So", "Sc"))


def _compatible(text: str) -> str:
    for wide, narrow in _NARROW.items():
        text = text.replace(wide, narrow)
    return unicodedata.normalize("NFKC", text)


def _keep_numbers(before: str, run: str, after: str) -> str:
    """What changes a number stays: 1.5 is not 15, -5 is not 5."""
    if after[:1].isdecimal():
        if run[-1] in "+-":
            return _kept(run[:-1]) + run[-1]
        if run in (".", ":", "/") and before[-1:].isdecimal():
            return run
    return _kept(run)


def normalise(text: str) -> str:
    """The text without width, case, blanks and punctuation outside numbers; if nothing is left, only stripped."""
    plain = text.lower() if text.isascii() else _compatible(text).casefold()
    numbers = _MAYBE_NUMBER.search(plain)
    if not numbers and plain.isascii():
        return plain.encode().translate(None, _DROPPED_ASCII).decode() or plain.strip()
    parts = _RUNS.split(plain)  # with the runs at odd places
    for index in range(1, len(parts), 2):
        run = parts[index]
        parts[index] = _keep_numbers(parts[index - 1], run, parts[index + 1]) if numbers else _kept(run)
    return "".join(parts) or plain.strip()
