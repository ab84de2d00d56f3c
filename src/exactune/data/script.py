"""In what script a text is written, and traditional and simplified Chinese characters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache
from typing import Any

__all__ = ["script_of", "simplified"]

LOOKED_AT = 400
"""Characters at a text's beginning that tell its script."""

WEIGHT = 3
"""Latin letters that weigh as much as one Chinese character, kana or Korean syllable."""

KANA = 0.1
"""Share of kana from which a text with Chinese characters is Japanese."""


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


def script_of(text: str) -> str:
    """What most of a text is written in, by its letters: ``Latin``, ``Cyrillic``, ``Japanese`` …

    Chinese is ``Chinese, traditional`` or ``Chinese, simplified`` by the characters that only one of the two has, and
    ``Chinese`` where there are as many of either, as in short texts that have none; a text without letters is ``none``.
    """
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text[:LOOKED_AT])) else "none"
    kinds = Counter(map(_kind, text[:LOOKED_AT]))
    del kinds[""]
    han = kinds.pop("Han", 0) + kinds["traditional"] + kinds["simplified"]
    traditional, simple = kinds.pop("traditional", 0), kinds.pop("simplified", 0)
    kana = kinds.pop("kana", 0)
    weights = Counter({name: WEIGHT * count if name == "Korean" else count for name, count in kinds.items()})
    weights["Han"] = WEIGHT * (han + kana)
    ((script, most),) = weights.most_common(1)
    if script != "Han" or not most:
        return script if most else "none"
    if kana >= KANA * (han + kana):
        return "Japanese"
    if traditional == simple:
        return "Chinese"
    return "Chinese, traditional" if traditional > simple else "Chinese, simplified"


@cache
def _kind(char: str) -> str:
    """The script of one letter; empty for anything else."""
    if not unicodedata.category(char).startswith("L"):
        return ""
    name = unicodedata.name(unicodedata.normalize("NFKC", char)[0], "").split(" ")[0]
    if name == "CJK":
        # The national sets tell the scripts apart without a dictionary: 這 is in Big5 alone, 这 in GB 2312 alone.
        taiwan, china = (_holds(encoding, char) for encoding in ("big5", "gb2312"))
        return "Han" if taiwan == china else "traditional" if taiwan else "simplified"
    named = {"HIRAGANA": "kana", "KATAKANA": "kana", "KATAKANA-HIRAGANA": "kana", "HANGUL": "Korean"}
    return named.get(name, name.capitalize())


def _holds(encoding: str, char: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
