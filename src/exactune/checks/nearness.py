"""Why a span is not in a text, and what there is instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from rapidfuzz import fuzz

from exactune.data.normalise import normalise
from exactune.data.script import simplified
from exactune.language import Text, say

__all__ = ["Miss", "explain_miss"]

ALIKE = 75.0
ALIKE_SHORT = 65.0
SHORT = 4
"""Similarity (0 to 100, rapidfuzz's partial ratio) from which a piece of the text is worth naming: two of eight
characters may differ, or one of three."""

MOST_TEXT = 20_000
"""Characters of a text that are searched for what is alike."""


@dataclass(frozen=True, slots=True)
class Miss:
    """What became of a span.

    Attributes:
        why: One word for the evidence: ``case``, ``width``, ``blanks``, ``script``, ``punctuation``, ``writing`` for
            several of these, ``alike``, or ``absent``.
        instead: The piece of the text that was likely meant, as it stands there; empty if there is none.
    """

    why: str
    instead: str = ""

    @property
    def sentence(self) -> Text:
        """For people."""
        return say("{why}; the input has {instead!r}", why=_SAID[self.why], instead=self.instead) if (
            self.instead
        ) else _SAID[self.why]  # fmt: skip


_SAID = {
    "case": say("it differs in upper and lower case"),
    "width": say("it differs in full and half width"),
    "blanks": say("it differs in blanks"),
    "script": say("it differs in traditional and simplified characters"),
    "punctuation": say("it differs in punctuation"),
    "writing": say("it differs in case, width, blanks, punctuation or script"),
    "alike": say("something like it is there"),
    "absent": say("nothing like it is there"),
    "offset": say("its offsets point elsewhere"),
}


def _width(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _writing(text: str) -> str:
    return normalise(simplified(text))


FORMS: dict[str, Callable[[str], str]] = {
    "case": str.casefold,
    "width": _width,
    "blanks": _blanks,
    "punctuation": lambda text: re.sub(r"[^\w\s]|_", "", text),
    "script": simplified,
    "writing": _writing,
}
"""What is taken from both sides, the cheapest and likeliest first."""


def explain_miss(span: str, text: str) -> Miss:
    """Why a span does not occur in a text that it should be copied from."""
    text = text[:MOST_TEXT]
    for why, form in FORMS.items():
        plain = form(span)
        if plain and plain in form(text):
            return Miss(why, _piece(plain, text, form) or _alike(span, text))
    instead = _alike(span, text)
    return Miss("alike", instead) if instead else Miss("absent")


def _piece(plain: str, text: str, form: Callable[[str], str]) -> str:
    """The piece of the text whose form is the one looked for, where the form keeps every character's place."""
    formed = form(text)
    start = formed.find(plain)
    return text[start : start + len(plain)] if len(formed) == len(text) else ""


def _alike(span: str, text: str) -> str:
    # Of a span longer than the text, the two would change places.
    if len(span) < 2 or len(span) > len(text):
        return ""
    found = fuzz.partial_ratio_alignment(span, text, score_cutoff=ALIKE_SHORT if len(span) <= SHORT else ALIKE)
    return "" if found is None else _whole_words(text, found.dest_start, found.dest_end)


def _whole_words(text: str, start: int, end: int) -> str:
    """A piece of the text with the rest of the words at its ends, in scripts that part words."""
    while start > 0 and text[start - 1 : start + 1].isascii() and text[start - 1 : start + 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1 : end + 1].isascii() and text[end - 1 : end + 1].isalnum():
        end += 1
    return text[start:end].strip()
