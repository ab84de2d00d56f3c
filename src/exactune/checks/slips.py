"""Why a text is not JSON, in the words of whoever wrote it."""

from __future__ import annotations

from exactune.data.strict_json import scan
from exactune.data.words import excerpt, kind_of
from exactune.language import Text, say

__all__ = ["is_strict", "why_not_json"]

WIDE = dict(zip("，：“”‘’＂「」｛｝［］", ",:" + '"' * 7 + "{}[]", strict=True))
"""Punctuation that looks like JSON's own."""

FOREIGN_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
"""Python's and JavaScript's words."""


def is_strict(text: str) -> bool:
    """Whether a text that can be read as JSON is strict in all: no key stands twice."""
    return scan(text.strip(), 0).reason is None


def why_not_json(text: str) -> Text:
    """What keeps a text from being a JSON object or list, and where."""
    found = scan(text, 0)
    if found.reason is None:
        rest = text[found.end :].strip()
        if not rest:
            return say("{kind}, not an object or a list", kind=kind_of(found.value))
        return say("{rest!r} behind the end of the value", rest=excerpt(rest, 20))
    if found.stopped_at is None:
        return found.reason if isinstance(found.reason, Text) else Text(found.reason)
    if text[:1] not in WIDE and text[:1] not in "{[":
        return say("plain text")
    return _slip(text, found.stopped_at, found.reason)


def _slip(text: str, position: int, reason: str) -> Text:
    before, rest = text[:position].rstrip(), text[position:].lstrip()
    if not rest or reason.startswith("Unterminated"):
        return say("it ends before the value does")
    at = position + len(text[position:]) - len(rest) + 1
    if rest[0] == "'":
        return say("single quotes instead of double ones at character {at:,}", at=at)
    if (before.endswith(",") and rest[0] in "}]") or (rest[0] == "," and rest[1:].lstrip()[:1] in ("}", "]")):
        return say("a comma before the closing bracket at character {at:,}", at=at)
    if rest[0] in WIDE:
        return say("{wide} instead of {plain} at character {at:,}", wide=rest[0], plain=WIDE[rest[0]], at=at)
    if rest.startswith(("//", "/*", "#")):
        return say("a comment at character {at:,}", at=at)
    for word, plain in FOREIGN_WORDS.items():
        if rest.startswith(word):
            return say("{wide} instead of {plain} at character {at:,}", wide=word, plain=plain, at=at)
    return say("{reason} (character {at:,}: {text!r})", reason=reason, at=at, text=excerpt(rest, 20))
